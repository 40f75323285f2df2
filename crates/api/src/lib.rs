//! The HTTP face: router, extractors, handlers, the one error mapping, OpenAPI.
//!
//! A request passes `observe` (id, span, metrics), `audit` (what is recorded of it), `auth` (who asks, for which project),
//! `limits` (whether it is their turn), an extractor per part,
//! a handler that calls one function of the service, and `convert` both ways. Every refusal is an [`ApiError`].

mod accounts;
mod administration;
mod attachments;
mod audit;
mod audit_list;
mod auth;
mod backup_machines;
mod backups;
mod checkpoints;
mod contents;
mod convert;
mod document;
mod error;
mod extract;
mod file_agents;
mod identity;
mod imports;
mod inventory;
mod limits;
mod link;
mod machines;
mod members;
mod meta;
mod metering;
mod observe;
mod operation_logs;
mod orders;
mod organization_policies;
mod params;
mod policies;
mod policy_options;
mod proofs;
mod protectables;
mod ranges;
mod replications;
mod resources;
mod router;
mod state;
mod vault_orders;
mod vault_tags;
mod vaults;

pub use audit::Peer;
pub use error::ApiError;
pub use limits::{Limiter, Limits};
pub use observe::RequestId;
pub use router::router;
pub use state::{ApiState, RenderMetrics};

#[cfg(test)]
mod tests;
