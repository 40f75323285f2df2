//! Disks through an engine in memory and back.

mod failures;
mod replicas;
mod repositories;
mod transfer;
