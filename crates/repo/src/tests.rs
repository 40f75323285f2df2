mod concurrency;
mod crashes;
mod damage;
mod faults;
mod model;
mod opening;
mod round_trip;
mod support;
