//! What jobs report. The worker reads a job's work here, does it, and publishes the outcome in the transaction
//! that ends the job; a lease that was lost publishes nothing.
//!
//! Every `start_…` may be called again by a later attempt and then starts over. `NothingToDo` means that the
//! subject is gone or past that step and that the job has been ended. Every `fail_…` ends the job for good; a
//! job that is to be tried again is given back with [`retry`].

mod backup;
mod expiry;
mod removal;
mod restore;

pub use backup::{
    BackupOutcome, BackupWork, DiskFailure, DiskOutcome, DiskSaved, DiskWork, fail_backup,
    finish_backup, report_progress, start_backup,
};
pub use expiry::expire_backups;
pub use removal::{
    DeletionWork, fail_deletion, finish_delete_backup, finish_delete_vault, finish_remove_resource,
    start_delete_backup, start_delete_vault, start_remove_resource,
};
pub use restore::{RestoreDisk, RestoreWork, fail_restore, finish_restore, start_restore};

use strongroom_db::Lease;
use strongroom_types::{BackupId, ResourceId, Timestamp, Trouble, VaultId};

use crate::{App, Error};

/// Why an operation has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub trouble: Trouble,
    /// For the owner of the resource to read.
    pub message: String,
}

/// A point that a vault's use counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PointOfVault {
    pub point_id: String,
    /// The disk's backup.
    pub backup_id: BackupId,
    /// The resource in the vault: the server, where the disk is a server's.
    pub resource_id: ResourceId,
}

/// What a vault's backups take, as the worker measured it over exactly `points`. Publishing it fails with
/// `UsageStale` when the vault's points are others by then.
#[derive(Debug, Clone, Default)]
pub struct VaultUsage {
    /// Ids of the points that the vault will hold once the outcome is published.
    pub points: Vec<String>,
    pub vault_bytes: u64,
    /// The same over the points of the one resource that the job is about.
    pub resource_bytes: u64,
}

/// The points of a vault's finished backups.
pub async fn list_points_of_vault(
    app: &App,
    vault_id: &VaultId,
) -> Result<Vec<PointOfVault>, Error> {
    todo!()
}

/// Gives a job back, to be tried again at `run_at`; `reason` is for the operator.
pub async fn retry(app: &App, lease: &Lease, reason: &str, run_at: Timestamp) -> Result<(), Error> {
    todo!()
}
