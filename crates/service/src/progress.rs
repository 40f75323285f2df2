//! What jobs report. The worker reads a job's work here, does it, and publishes the outcome in the transaction
//! that ends the job; a lease that was lost publishes nothing.
//!
//! Every `start_…` may be called again by a later attempt and then starts over. `NothingToDo` means that the
//! subject is gone or past that step and that the job has been ended. Every `fail_…` ends the job for good; a
//! job that is to be tried again is given back with [`retry`].

mod backup;
mod collection;
mod migration;
mod proof;
mod removal;
mod replication;
mod restore;
mod sharing;
mod sync;

pub use backup::{
    BackupOutcome, BackupWork, DiskFailure, DiskOutcome, DiskSaved, DiskWork, fail_backup,
    finish_backup, report_progress, start_backup,
};
pub use collection::{fail_collection, finish_collection};
pub use migration::{
    MigrationUsage, MigrationWork, fail_migration, finish_migration, start_migration,
};
pub use proof::{ProofOutcome, ProofWork, fail_proof, finish_proof, start_proof};
pub use removal::{
    DeletionWork, fail_deletion, finish_delete_backup, finish_delete_vault, finish_remove_resource,
    start_delete_backup, start_delete_vault, start_remove_resource,
};
pub use replication::{
    ReplicationTurn, ReplicationWork, fail_replication, finish_replication, note_destination,
    report_replication, start_replication,
};
pub use restore::{
    NewServerWork, RestoreDisk, RestoreWork, fail_restore, finish_restore, start_restore,
};
pub use sharing::{ShareWork, fail_measure_share, finish_measure_share, start_measure_share};
pub use sync::{SyncCounts, SyncWork, fail_sync, finish_sync, forget_gone, list_found, start_sync};

use std::collections::BTreeSet;

use strongroom_db::{Job, Lease, OperationEnd, OperationExtra, OperationLog, Tx, Vault};
use strongroom_types::{
    BackupId, OperationLogId, OperationStatus, ResourceId, Timestamp, Trouble, VaultId,
};

use crate::{App, Error, notices, vaults};

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

/// What a vault's own backups take, as the worker measured it over exactly `points`. Publishing it fails with
/// `UsageStale` when the vault's points are others by then.
#[derive(Debug, Clone, Default)]
pub struct VaultUsage {
    /// Ids of the points that the vault will hold once the outcome is published.
    pub points: Vec<String>,
    pub vault_bytes: u64,
    /// The same over the points of the one resource that the job is about.
    pub resource_bytes: u64,
}

/// The points of a vault's finished backups, by id.
pub async fn list_points_of_vault(
    app: &App,
    vault_id: &VaultId,
) -> Result<Vec<PointOfVault>, Error> {
    let mut tx = app.db.read().await?;
    let points = tx.points_of_vault(vault_id).await?.into_iter();
    let points = points.map(|point| PointOfVault {
        point_id: point.point_id,
        backup_id: point.backup_id,
        resource_id: point.resource_id,
    });
    Ok(points.collect())
}

/// Gives a job back, to be tried again at `run_at`; `reason` is for the operator.
pub async fn retry(app: &App, lease: &Lease, reason: &str, run_at: Timestamp) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    if !tx.retry_job(lease, reason, run_at).await? {
        return Err(Error::LeaseLost);
    }
    tx.commit().await?;
    Ok(())
}

/// Locks the job that the lease is for, and reads it.
async fn hold(tx: &mut Tx, lease: &Lease) -> Result<Job, Error> {
    if !tx.hold_job(lease).await? {
        return Err(Error::LeaseLost);
    }
    tx.find_job(&lease.job_id).await?.ok_or(Error::LeaseLost)
}

/// Ends the job; everything else in the transaction is published with it.
async fn finish(tx: &mut Tx, lease: &Lease, now: Timestamp) -> Result<Job, Error> {
    let job = hold(tx, lease).await?;
    if tx.finish_job(lease, now).await? {
        Ok(job)
    } else {
        Err(Error::LeaseLost)
    }
}

/// Ends a job whose subject is gone or past it.
async fn nothing_to_do(mut tx: Tx, lease: &Lease, now: Timestamp) -> Result<Error, Error> {
    tx.finish_job(lease, now).await?;
    tx.commit().await?;
    Ok(Error::NothingToDo)
}

fn log_of(job: &Job) -> Result<&OperationLogId, Error> {
    let id = job.operation_log_id.as_ref();
    id.ok_or_else(|| Error::broken(format!("job {} has no operation log", job.id)))
}

/// Ends the operation log of a job, well without a failure.
async fn end_log(
    tx: &mut Tx,
    id: &OperationLogId,
    failure: Option<&Failure>,
    extra: OperationExtra,
    now: Timestamp,
) -> Result<(), Error> {
    let end = OperationEnd {
        status: match failure {
            None => OperationStatus::Success,
            Some(_) => OperationStatus::Failed,
        },
        trouble: failure.map(|failure| failure.trouble),
        error_message: failure
            .map(|failure| failure.message.clone())
            .unwrap_or_default(),
        extra,
    };
    tx.end_operation_log(id, &end, now).await?;
    Ok(())
}

async fn get_log(tx: &mut Tx, id: &OperationLogId) -> Result<OperationLog, Error> {
    let log = tx.find_operation_log(id).await?;
    log.ok_or_else(|| Error::broken(format!("operation log {id} is gone")))
}

/// Reads a vault and takes its lock.
async fn lock_vault(tx: &mut Tx, id: &VaultId) -> Result<Vault, Error> {
    let vault = tx.lock_vault(id).await?;
    vault.ok_or_else(|| Error::broken(format!("vault {id} is gone while a job needs it")))
}

/// Publishes a vault's use, unless its points are others than those that were measured.
pub(crate) async fn publish_usage(
    app: &App,
    tx: &mut Tx,
    vault: &mut Vault,
    usage: &VaultUsage,
    now: Timestamp,
) -> Result<(), Error> {
    let held = tx.points_of_vault(&vault.id).await?;
    let held: BTreeSet<_> = held.iter().map(|point| point.point_id.as_str()).collect();
    let measured: BTreeSet<_> = usage.points.iter().map(String::as_str).collect();
    if held != measured {
        return Err(Error::UsageStale);
    }
    let before = vault.clone();
    let accounted = tx.accounted_bytes_in(&vault.id).await?;
    vaults::rules::set_used(vault, usage.vault_bytes + accounted);
    vault.updated_at = now;
    vaults::save(tx, vault).await?;
    notices::tell_of_use(app, tx, &before, vault, now).await
}
