//! Disks through an engine in memory and back.

mod failures;
mod repositories;
mod transfer;
