//! Every line of SQL, for SQLite and PostgreSQL alike.
//!
//! [`Db::begin`] opens a [`Tx`]; all queries are methods of `Tx`, one file per resource. Each method holds one
//! SQL text that both databases run; what differs is in `dialect.rs`. While a `Tx` is open, nothing but the
//! database may be awaited: on SQLite it holds the only writer.

mod audit;
mod backup_attachments;
mod backup_lists;
mod backup_machines;
mod backups;
mod checkpoints;
mod conditions;
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
mod metering;
mod migrations_of_resources;
mod notices;
mod operation_logs;
mod orders;
mod organization_policies;
mod page;
mod policies;
mod policy_runs;
mod proofs;
mod replicas;
mod replications;
mod restores;
mod retention;
mod storage_units;
mod trusted_clock;
mod tx;
mod unprotected;
mod vault_resources;
mod vault_tags;
mod vaults;

pub use audit::{AuditFilter, AuditRecord, Trail, audit_identified, audit_made};
pub use backup_attachments::BackupAttachment;
pub use backups::{
    Backup, BackupFilter, BackupSort, BackupSortKey, Direction, LastSaved, Ownership, Quiesce,
    RetentionFilter, VaultPoint,
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
pub use metering::{Capacity, UsageFilter};
pub use notices::{Notice, NoticeEvent};
pub use operation_logs::{
    DiskReading, OperationEnd, OperationExtra, OperationLog, OperationLogFilter, ReplicationTask,
    WantedBackup,
};
pub use orders::VaultOrder;
pub use organization_policies::{Deployment, OrganizationPolicy};
pub use page::{Listed, Page};
pub use policies::{
    Destination, Policy, PolicyFilter, PolicyOptions, PolicyRules, ProveOption, VaultPolicy,
};
pub use policy_runs::{AppliedPolicy, SinceFull};
pub use proofs::{FileSystemCheck, Proof, ProofEnd};
pub use replicas::{Replica, ReplicaDisk};
pub use replications::Replication;
pub use restores::{NewServer, Restore, RestoreMapping, RestoreTarget};
pub use retention::CopiesOfPolicy;
pub use storage_units::StorageUnit;
pub use trusted_clock::TrustedClock;
pub use tx::Tx;
pub use vault_resources::{IncludedVolume, VaultResource};
pub use vault_tags::{NameMatch, TagMatch, Tagged, TaggedVaultFilter};
pub use vaults::{Tag, Vault, VaultFilter, VaultTag};

#[cfg(test)]
mod tests;
