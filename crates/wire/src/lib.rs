//! The CBR v3 and identity contracts: request and response shapes, error codes, request signatures.

pub mod accounts;
pub mod administration;
pub mod agent_checks;
pub mod attachments;
pub mod audit;
pub mod backup_machines;
pub mod backups;
pub mod checkpoints;
mod codes;
pub mod contents;
mod error_body;
pub mod file_agents;
pub mod identity;
pub mod imports;
pub mod inventory;
pub mod link;
pub mod members;
pub mod metadata;
pub mod metering;
pub mod operation_logs;
pub mod orders;
pub mod organization_policies;
pub mod policies;
pub mod policy_options;
pub mod proofs;
pub mod protectables;
pub mod replications;
pub mod resources;
pub mod signing;
pub mod tags;
mod time;
pub mod values;
pub mod vault_requests;
pub mod vault_tags;
pub mod vaults;
pub mod vocabulary;

pub use codes::Code;
pub use error_body::ErrorBody;
pub use time::CbrTime;

#[cfg(test)]
mod tests;
