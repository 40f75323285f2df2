//! The real binary with real disks, real clients and real crashes.

mod api;
mod clients;
mod disks;
mod face;
mod full_disk;
mod kill;
mod repo;
mod restore;
mod seed;
mod server;
mod verbs;
