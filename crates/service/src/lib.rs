//! The rules: vaults, resources, checkpoints, backups, restores, identity and authorisation.
//!
//! Every function checks in this order: authorise, validate, load, rules. It knows no HTTP, no SQL and no
//! storage; a change of state and the job it causes commit in one transaction.

mod actions;
mod app;
pub mod auto_bind;
pub mod backups;
mod caller;
pub mod checkpoints;
mod disks;
mod error;
pub mod expirations;
pub mod identity;
pub mod inventory;
pub mod locks;
pub mod metering;
pub mod migrations;
pub mod notices;
pub mod operation_logs;
pub mod orders;
pub mod progress;
pub mod protectables;
mod provider;
pub mod resources;
mod restores;
mod secret_seal;
mod settings;
mod stock;
pub mod vault_tags;
pub mod vaults;
mod work;

pub use actions::Action;
pub use app::App;
pub use caller::Caller;
pub use disks::{DiskError, DiskFacts, Disks};
pub use error::Error;
pub use provider::{provider_of_resource, provider_of_vault};
pub use secret_seal::{SealBroken, SecretSeal};
pub use settings::Settings;
/// What [`App`] is built on; opening it is all that others do with it.
pub use strongroom_db::Db;

/// Rows, filters and pages that travel through this crate unchanged.
pub mod rows {
    pub use strongroom_db::{
        Account, Attachment, Backup, BackupFilter, BackupSort, BackupSortKey, Capacity, Checkpoint,
        Direction, Domain, IncludedVolume, JsonText, Membership, NameMatch, Notice, NoticeEvent,
        OperationExtra, OperationLog, OperationLogFilter, Page, Project, Restore, RestoreMapping,
        RetentionFilter, Server, SkippedResource, Tag, TagMatch, Tagged, TaggedVaultFilter,
        UsageFilter, Vault, VaultFilter, VaultOrder, VaultResource, Volume,
    };
}

#[cfg(test)]
mod tests;
