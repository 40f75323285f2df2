mod concurrency;
mod crashes;
mod damage;
mod model;
mod opening;
mod round_trip;
mod support;
