//! Deleting backups: alone, with their resource, or with their vault.

use std::collections::BTreeSet;

use strongroom_db::{Backup, Lease, OperationExtra, OperationLog, Tx, Vault};
use strongroom_types::{
    BackupId, BackupStatus, OperationLogId, ProtectStatus, ResourceId, Timestamp, VaultId,
    VaultStatus,
};

use super::collection::request_collection;
use super::{Failure, VaultUsage};
use crate::{App, Error, backups, vaults};

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
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    let Some((vault, backup)) = lock_deleting(&mut tx, backup_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    let deleting = BackupStatus::Deleting;
    tx.move_backup(backup_id, &[backup.status], deleting, now)
        .await?;
    tx.move_children(backup_id, deleting, now).await?;
    let operation_log_id = super::log_of(&job)?.clone();
    tx.start_operation_log(&operation_log_id, now).await?;
    let mut backups = tx.children_of_backup(backup_id).await?;
    let resource_id = Some(backup.resource_id.clone());
    backups.push(backup);
    tx.commit().await?;
    Ok(DeletionWork {
        vault,
        resource_id,
        operation_log_id,
        backups,
    })
}

async fn lock_deleting(tx: &mut Tx, id: &BackupId) -> Result<Option<(Vault, Backup)>, Error> {
    let Some(backup) = tx.find_backup(id).await? else {
        return Ok(None);
    };
    let vault = super::lock_vault(tx, &backup.vault_id).await?;
    let backup = tx.find_backup(id).await?;
    let backup = backup.filter(|backup| backup.status.is_deleting());
    Ok(backup.map(|backup| (vault, backup)))
}

/// The points are gone from the repository; the rows go, and with the last backup its checkpoint.
pub async fn finish_delete_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
    usage: VaultUsage,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::finish(&mut tx, lease, now).await?;
    let Some((mut vault, backup)) = lock_deleting(&mut tx, backup_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    tx.delete_backup(backup_id).await?;
    super::publish_usage(app, &mut tx, &mut vault, &usage, now).await?;
    tx.update_vault_resource_usage(&backup.resource_id, usage.resource_bytes)
        .await?;
    backups::refresh_checkpoint(&mut tx, &backup.checkpoint_id).await?;
    let log = super::log_of(&job)?;
    let extra = super::get_log(&mut tx, log).await?.extra.0;
    super::end_log(&mut tx, log, None, extra, now).await?;
    request_collection(app, &mut tx, &vault, &job, now).await?;
    tx.commit().await?;
    Ok(())
}

/// The subject of a removal job is its operation log.
pub async fn start_remove_resource(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
) -> Result<DeletionWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let Some((vault, resource_id)) = lock_removing(&mut tx, operation_log_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    tx.move_backups_of_vault(&vault.id, Some(&resource_id), BackupStatus::Deleting, now)
        .await?;
    tx.start_operation_log(operation_log_id, now).await?;
    let backups = tx.backups_of_vault(&vault.id, Some(&resource_id)).await?;
    tx.commit().await?;
    Ok(DeletionWork {
        vault,
        resource_id: Some(resource_id),
        operation_log_id: operation_log_id.clone(),
        backups,
    })
}

async fn lock_removing(
    tx: &mut Tx,
    log: &OperationLogId,
) -> Result<Option<(Vault, ResourceId)>, Error> {
    let OperationLog {
        vault_id: Some(vault_id),
        resource_id: Some(resource_id),
        ..
    } = super::get_log(tx, log).await?
    else {
        return Err(Error::broken(format!(
            "operation log {log} names no resource"
        )));
    };
    let Some(vault) = tx.lock_vault(&vault_id).await? else {
        return Ok(None);
    };
    let row = tx.find_vault_resource(&resource_id).await?;
    let row = row.filter(|row| row.vault_id == vault.id);
    let removing = row.is_some_and(|row| row.protect_status == ProtectStatus::Removing);
    Ok(removing.then_some((vault, resource_id)))
}

/// The points of all its backups are gone from the repository; the resource leaves the vault.
pub async fn finish_remove_resource(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    usage: VaultUsage,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::finish(&mut tx, lease, now).await?;
    let Some((mut vault, resource_id)) = lock_removing(&mut tx, operation_log_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    let backups = tx.backups_of_vault(&vault.id, Some(&resource_id)).await?;
    tx.delete_backups_of_vault(&vault.id, Some(&resource_id))
        .await?;
    super::publish_usage(app, &mut tx, &mut vault, &usage, now).await?;
    refresh_checkpoints(&mut tx, &backups).await?;
    tx.delete_vault_resource(&resource_id).await?;
    let extra = super::get_log(&mut tx, operation_log_id).await?.extra.0;
    super::end_log(&mut tx, operation_log_id, None, extra, now).await?;
    request_collection(app, &mut tx, &vault, &job, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn refresh_checkpoints(tx: &mut Tx, backups: &[Backup]) -> Result<(), Error> {
    let checkpoints: BTreeSet<_> = backups.iter().map(|backup| &backup.checkpoint_id).collect();
    for checkpoint in checkpoints {
        backups::refresh_checkpoint(tx, checkpoint).await?;
    }
    Ok(())
}

pub async fn start_delete_vault(
    app: &App,
    lease: &Lease,
    vault_id: &VaultId,
) -> Result<DeletionWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    let Some(vault) = lock_leaving(&mut tx, vault_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    tx.move_backups_of_vault(vault_id, None, BackupStatus::Deleting, now)
        .await?;
    let operation_log_id = super::log_of(&job)?.clone();
    tx.start_operation_log(&operation_log_id, now).await?;
    let backups = tx.backups_of_vault(vault_id, None).await?;
    tx.commit().await?;
    Ok(DeletionWork {
        vault,
        resource_id: None,
        operation_log_id,
        backups,
    })
}

async fn lock_leaving(tx: &mut Tx, id: &VaultId) -> Result<Option<Vault>, Error> {
    let vault = tx.lock_vault(id).await?;
    Ok(vault.filter(|vault| vault.status == VaultStatus::Deleting))
}

/// Every point of the vault is gone; backups, resources, tags and the vault's row go.
pub async fn finish_delete_vault(
    app: &App,
    lease: &Lease,
    vault_id: &VaultId,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::finish(&mut tx, lease, now).await?;
    let Some(vault) = lock_leaving(&mut tx, vault_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    tx.delete_backups_of_vault(vault_id, None).await?;
    tx.delete_checkpoints_of_vault(vault_id).await?;
    tx.delete_resources_of_vault(vault_id).await?;
    tx.delete_storage_unit(vault_id).await?;
    tx.delete_vault(vault_id).await?;
    let log = super::log_of(&job)?;
    let extra = super::get_log(&mut tx, log).await?.extra.0;
    super::end_log(&mut tx, log, None, extra, now).await?;
    request_collection(app, &mut tx, &vault, &job, now).await?;
    tx.commit().await?;
    Ok(())
}

/// Ends any of the three; what is left shows as an error and can be deleted again. `operation_log_id` is the work's.
pub async fn fail_deletion(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    failure: Failure,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    tx.fail_job(lease, &failure.message, now).await?;
    let log = super::get_log(&mut tx, operation_log_id).await?;
    let extra = match log.extra.0.clone() {
        OperationExtra::Delete {
            backup_id,
            backup_name,
        } => {
            fail_backup_deletion(&mut tx, &backup_id, now).await?;
            OperationExtra::Delete {
                backup_id,
                backup_name,
            }
        }
        OperationExtra::RemoveResources { total_count, .. } => {
            let fail_count = fail_removal(&mut tx, operation_log_id, now).await?;
            OperationExtra::RemoveResources {
                total_count,
                fail_count,
            }
        }
        OperationExtra::VaultDelete { total_count, .. } => {
            let fail_count = fail_vault_deletion(&mut tx, &log, now).await?;
            OperationExtra::VaultDelete {
                total_count,
                fail_count,
            }
        }
        OperationExtra::Backup { .. }
        | OperationExtra::Restore { .. }
        | OperationExtra::NotStarted { .. }
        | OperationExtra::UpdateExpirationTime { .. }
        | OperationExtra::MigrateResource { .. }
        | OperationExtra::Sync { .. }
        | OperationExtra::Replication(_) => {
            return Err(Error::broken(format!(
                "operation {} deletes nothing",
                log.id
            )));
        }
    };
    super::end_log(&mut tx, operation_log_id, Some(&failure), extra, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn fail_backup_deletion(tx: &mut Tx, id: &BackupId, now: Timestamp) -> Result<(), Error> {
    let Some((_, backup)) = lock_deleting(tx, id).await? else {
        return Ok(());
    };
    tx.move_backup(id, &[backup.status], BackupStatus::Error, now)
        .await?;
    tx.move_children(id, BackupStatus::Error, now).await?;
    backups::refresh_checkpoint(tx, &backup.checkpoint_id).await
}

async fn fail_removal(tx: &mut Tx, log: &OperationLogId, now: Timestamp) -> Result<u64, Error> {
    let Some((vault, resource_id)) = lock_removing(tx, log).await? else {
        return Ok(0);
    };
    let from = [ProtectStatus::Removing];
    tx.move_vault_resource(&resource_id, &from, ProtectStatus::Error)
        .await?;
    fail_backups(tx, &vault, Some(&resource_id), now).await
}

async fn fail_vault_deletion(
    tx: &mut Tx,
    log: &OperationLog,
    now: Timestamp,
) -> Result<u64, Error> {
    let Some(vault_id) = &log.vault_id else {
        return Err(Error::broken(format!(
            "operation log {} names no vault",
            log.id
        )));
    };
    let Some(mut vault) = lock_leaving(tx, vault_id).await? else {
        return Ok(0);
    };
    vault.status = VaultStatus::Error;
    vault.updated_at = now;
    vaults::save(tx, &vault).await?;
    fail_backups(tx, &vault, None, now).await
}

/// Shows what could not be deleted as an error; answers how many backups that are.
async fn fail_backups(
    tx: &mut Tx,
    vault: &Vault,
    resource: Option<&ResourceId>,
    now: Timestamp,
) -> Result<u64, Error> {
    tx.move_backups_of_vault(&vault.id, resource, BackupStatus::Error, now)
        .await?;
    let backups = tx.backups_of_vault(&vault.id, resource).await?;
    refresh_checkpoints(tx, &backups).await?;
    let tops = backups.iter().filter(|backup| backup.parent_id.is_none());
    Ok(tops.count() as u64)
}
