//! Disks through an engine in memory and back.

mod repositories;
mod transfer;
