//! Disks through an engine in memory and back, and what happens by itself.

mod contents;
mod exports;
mod failures;
mod fixtures;
mod guests;
mod live;
mod notify;
mod replicas;
mod repositories;
mod transfer;
mod upkeep;
