//! Disks through an engine in memory and back.

mod failures;
mod notify;
mod repositories;
mod transfer;
