//! The real router over real databases of both kinds, with a clock, ids and disks that the tests decide.

mod access;
mod accounts;
mod audit;
mod auth;
mod codes;
mod document;
mod extract;
mod file_agents;
mod generated;
mod golden;
mod identity;
mod installation;
mod layers;
mod limits;
mod machines;
mod metrics;
mod organization_policies;
mod policies;
mod policy_page;
mod refusals;
mod schemas;
mod server;
mod sharing;
mod vault_calls;
mod vault_orders;
mod vault_tags;
