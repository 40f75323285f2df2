//! The HTTP face: router, extractors, handlers, the one error mapping, OpenAPI.
//!
//! A request passes `observe` (id, span, metrics), `auth` (who asks, for which project), an extractor per part,
//! a handler that calls one function of the service, and `convert` both ways. Every refusal is an [`ApiError`].

mod administration;
mod auth;
mod backups;
mod checkpoints;
mod convert;
mod document;
mod error;
mod extract;
mod identity;
mod inventory;
mod meta;
mod observe;
mod operation_logs;
mod orders;
mod params;
mod policies;
mod protectables;
mod resources;
mod router;
mod state;
mod vaults;

pub use error::ApiError;
pub use observe::RequestId;
pub use router::router;
pub use state::{ApiState, RenderMetrics};

#[cfg(test)]
mod tests;
