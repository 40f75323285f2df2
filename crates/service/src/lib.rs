//! The rules: vaults, resources, checkpoints, backups, restores, identity and authorisation.
//!
//! Every function checks in this order: authorise, validate, load, rules. It knows no HTTP, no SQL and no
//! storage; a change of state and the job it causes commit in one transaction.

mod actions;
mod app;
pub mod attachments;
pub mod audit;
pub mod auto_bind;
pub mod backup_machines;
pub mod backups;
mod caller;
pub mod checkpoints;
pub mod contents;
pub mod discovery;
mod disks;
mod error;
pub mod expirations;
pub mod features;
pub mod file_agents;
mod findings;
pub mod guests;
pub mod identity;
pub mod imports;
pub mod inventory;
pub mod live_servers;
pub mod locks;
mod machines;
pub mod metadata;
pub mod metering;
pub mod migrations;
pub mod notices;
pub mod operation_logs;
pub mod orders;
pub mod organization_policies;
pub mod peers;
pub mod policies;
pub mod predecessors;
pub mod progress;
pub mod proofs;
pub mod protectables;
mod provenance;
mod provider;
pub mod recovery;
pub mod replicas;
pub mod replications;
pub mod resources;
mod restores;
pub mod retention;
pub mod schedules;
mod secret_seal;
mod settings;
pub mod sharing;
mod stock;
pub mod vault_policies;
pub mod vault_tags;
pub mod vaults;
mod work;

pub use actions::Action;
pub use app::App;
pub use caller::Caller;
pub use disks::{DiskError, DiskFacts, Disks};
pub use error::Error;
pub use guests::{GuestAgents, GuestError, GuestFacts};
pub use machines::{
    LibvirtDomain, MachineAddress, MachineError, MachineFacts, Machines, NoMachines,
};
pub use provenance::{PolicyNote, Provenance, ServerNote};
pub use provider::{provider_of_resource, provider_of_vault};
pub use secret_seal::{SealBroken, SecretSeal};
pub use settings::{Settings, StorageUnitSetting};
/// What [`App`] is built on; opening it is all that others do with it.
pub use strongroom_db::Db;

/// Rows, filters and pages that travel through this crate unchanged.
pub mod rows {
    pub use strongroom_db::{
        Account, Attachment, AuditFilter, AuditRecord, Backup, BackupAttachment, BackupFilter,
        BackupSort, BackupSortKey, Capacity, Checkpoint, Direction, DiskReading, Domain,
        FileSystemCheck, IncludedVolume, JsonText, LastSaved, Member, MemberFilter, MemberSort,
        MemberSortKey, Membership, NameMatch, Notice, NoticeEvent, OperationExtra, OperationLog,
        OperationLogFilter, Ownership, Page, Policy, PolicyFilter, PolicyOptions, PolicyRules,
        Project, Proof, ProveOption, Quiesce, Replication, ReplicationTask, Restore,
        RestoreMapping, RetentionFilter, Server, SkippedResource, Tag, TagMatch, Tagged,
        TaggedVaultFilter, UsageFilter, Vault, VaultFilter, VaultOrder, VaultPolicy, VaultResource,
        Volume, WantedBackup,
    };
}

#[cfg(test)]
mod tests;
