//! Every line of SQL, for SQLite and PostgreSQL alike.
//!
//! [`Db::begin`] opens a [`Tx`]; all queries are methods of `Tx`, one file per resource. Each method holds one
//! SQL text that both databases run; what differs is in `dialect.rs`. While a `Tx` is open, nothing but the
//! database may be awaited: on SQLite it holds the only writer.

mod audit;
mod backups;
mod checkpoints;
mod connect;
mod credentials;
mod dialect;
mod error;
mod file_agents;
mod identity;
mod inventory;
mod jobs;
mod json_text;
mod members;
mod metadata;
mod operation_logs;
mod orders;
mod organization_policies;
mod page;
mod policies;
mod policy_runs;
mod restores;
mod retention;
mod tx;
mod vault_resources;
mod vaults;

pub use audit::{AuditFilter, AuditRecord, Trail, audit_identified, audit_made};
pub use backups::{
    Backup, BackupFilter, BackupSort, BackupSortKey, Direction, Ownership, VaultPoint,
};
pub use checkpoints::{Checkpoint, SkippedResource};
pub use connect::Db;
pub use credentials::{AccessKey, Token};
pub use error::{Error, Result};
pub use file_agents::{FileAgent, FileAgentFilter, FileAgentPath};
pub use identity::{Account, Domain, Membership, Project, ProjectFilter};
pub use inventory::{Attachment, InventoryFilter, Server, Volume};
pub use jobs::{Job, JobCount, Lease, NewJob};
pub use json_text::JsonText;
pub use members::{Member, MemberFilter, MemberSort, MemberSortKey};
pub use operation_logs::{OperationEnd, OperationExtra, OperationLog, OperationLogFilter};
pub use orders::VaultOrder;
pub use organization_policies::{Deployment, OrganizationPolicy};
pub use page::{Listed, Page};
pub use policies::{Destination, Policy, PolicyFilter, PolicyRules, VaultPolicy};
pub use policy_runs::{AppliedPolicy, SinceFull};
pub use restores::{Restore, RestoreMapping, RestoreTarget};
pub use tx::Tx;
pub use vault_resources::{IncludedVolume, VaultResource};
pub use vaults::{Tag, Vault, VaultFilter, VaultTag};

#[cfg(test)]
mod tests;
