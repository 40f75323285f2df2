//! The real router over real databases of both kinds, with a clock, ids and disks that the tests decide.

mod access;
mod auth;
mod codes;
mod contract;
mod document;
mod extract;
mod generated;
mod golden;
mod identity;
mod installation;
mod layers;
mod metrics;
mod policies;
mod refusals;
mod schemas;
mod server;
