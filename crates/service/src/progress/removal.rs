//! Deleting backups: alone, with their resource, or with their vault.

use strongroom_db::{Backup, Lease, Vault};
use strongroom_types::{BackupId, OperationLogId, ResourceId, VaultId};

use super::{Failure, VaultUsage};
use crate::{App, Error};

#[derive(Debug, Clone)]
pub struct DeletionWork {
    pub vault: Vault,
    /// The resource, where the work is about one.
    pub resource_id: Option<ResourceId>,
    pub operation_log_id: OperationLogId,
    /// Every row that goes, children included; those with a point have data to delete.
    pub backups: Vec<Backup>,
}

/// From here on the backup is `deleting` and nothing reads its points.
pub async fn start_delete_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
) -> Result<DeletionWork, Error> {
    todo!()
}

/// The points are gone from the repository; the rows go, and with the last backup its checkpoint.
pub async fn finish_delete_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
    usage: VaultUsage,
) -> Result<(), Error> {
    todo!()
}

/// The subject of a removal job is its operation log.
pub async fn start_remove_resource(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
) -> Result<DeletionWork, Error> {
    todo!()
}

pub async fn finish_remove_resource(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    usage: VaultUsage,
) -> Result<(), Error> {
    todo!()
}

pub async fn start_delete_vault(
    app: &App,
    lease: &Lease,
    vault_id: &VaultId,
) -> Result<DeletionWork, Error> {
    todo!()
}

/// Every point of the vault is gone; backups, resources, tags and the vault's row go.
pub async fn finish_delete_vault(
    app: &App,
    lease: &Lease,
    vault_id: &VaultId,
) -> Result<(), Error> {
    todo!()
}

/// Ends any of the three; what is left shows as an error and can be deleted again. `operation_log_id` is the work's.
pub async fn fail_deletion(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    failure: Failure,
) -> Result<(), Error> {
    todo!()
}
