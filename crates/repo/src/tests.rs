mod round_trip;
mod support;
