use strongroom_db::{Backup, Checkpoint, Lease, Vault, Volume};
use strongroom_types::{BackupId, OperationLogId, Timestamp};

use super::{Failure, VaultUsage};
use crate::{App, Error};

#[derive(Debug, Clone)]
pub struct BackupWork {
    pub vault: Vault,
    pub checkpoint: Checkpoint,
    /// The server's backup, or the disk's.
    pub backup: Backup,
    pub operation_log_id: OperationLogId,
    pub disks: Vec<DiskWork>,
}

#[derive(Debug, Clone)]
pub struct DiskWork {
    /// The row that will hold the point: a child of a server's backup, or the disk's backup itself.
    pub backup: Backup,
    /// `None`: the volume is gone from the inventory.
    pub volume: Option<Volume>,
    /// The newest point of this volume in the project; absent when there is none or a full backup was asked for.
    pub parent_point: Option<String>,
}

#[derive(Debug, Clone)]
pub struct BackupOutcome {
    /// One for each disk of the work.
    pub disks: Vec<DiskOutcome>,
    /// The instant whose data was saved.
    pub protected_at: Timestamp,
}

#[derive(Debug, Clone)]
pub struct DiskOutcome {
    pub backup_id: BackupId,
    pub result: Result<DiskSaved, DiskFailure>,
}

#[derive(Debug, Clone)]
pub struct DiskSaved {
    pub point_id: String,
    pub size_bytes: u64,
    /// What this backup added to the storage.
    pub stored_bytes: u64,
}

pub type DiskFailure = Failure;

/// Marks the backup, its disks and its operation log as running.
pub async fn start_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
) -> Result<BackupWork, Error> {
    todo!()
}

/// Shows how far a backup or restore is, 0 to 100. `backup_id` is the one that was started.
pub async fn report_progress(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    backup_id: &BackupId,
    percent: u64,
) -> Result<(), Error> {
    todo!()
}

/// Publishes a backup: every point must be durable. A failed disk makes the backup an error; the points of its
/// other disks stay restorable one by one.
pub async fn finish_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
    outcome: BackupOutcome,
    usage: VaultUsage,
) -> Result<(), Error> {
    todo!()
}

/// Ends a backup that saved nothing.
pub async fn fail_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
    failure: Failure,
) -> Result<(), Error> {
    todo!()
}
