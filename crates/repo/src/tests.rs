mod concurrency;
mod crashes;
mod damage;
mod opening;
mod round_trip;
mod support;
