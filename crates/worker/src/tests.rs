//! Disks through an engine in memory and back.

mod failures;
mod guests;
mod notify;
mod repositories;
mod transfer;
