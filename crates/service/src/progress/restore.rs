use strongroom_db::{Backup, JsonText, Lease, OperationExtra, Restore, Server, Tx, Volume};
use strongroom_types::{
    BackupStatus, MachineRecord, MemberId, MemberStatus, OperationLogId, OperationStatus,
    ProtectStatus, Timestamp,
};

use super::Failure;
use crate::{App, Error};

#[derive(Debug, Clone)]
pub struct RestoreWork {
    pub operation_log_id: OperationLogId,
    /// The backup that was asked for.
    pub backup: Backup,
    /// The server that the targets belong to.
    pub server: Option<Server>,
    pub disks: Vec<RestoreDisk>,
    pub power_on: bool,
    /// Set where the server is made for it.
    pub new_server: Option<NewServerWork>,
}

#[derive(Debug, Clone)]
pub struct NewServerWork {
    /// Where its images and the definitions of its machine lie.
    pub folder: String,
    /// The libvirt that shall know it.
    pub libvirt_uri: Option<String>,
    /// What the machine of the backup was made of, if that is known.
    pub machine: Option<MachineRecord>,
}

#[derive(Debug, Clone)]
pub struct RestoreDisk {
    /// Has a point.
    pub backup: Backup,
    pub target: Volume,
}

/// Marks the backup and the operation log as running. The subject of a restore job is its operation log.
pub async fn start_restore(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
) -> Result<RestoreWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    let Some(restore) = tx.find_restore(operation_log_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    match &restore.member_id {
        None => mark_restoring(&mut tx, &restore, now).await?,
        Some(member_id) => check_right(&mut tx, &restore, member_id).await?,
    }
    tx.start_operation_log(operation_log_id, now).await?;
    let work = read_work(&mut tx, restore).await?;
    tx.commit().await?;
    Ok(work)
}

async fn mark_restoring(tx: &mut Tx, restore: &Restore, now: Timestamp) -> Result<(), Error> {
    let from = [BackupStatus::WaitingRestore, BackupStatus::Restoring];
    let restoring = BackupStatus::Restoring;
    if tx
        .move_backup(&restore.backup_id, &from, restoring, now)
        .await?
    {
        return Ok(());
    }
    Err(Error::broken(format!(
        "backup {} is not being restored",
        restore.backup_id
    )))
}

/// Another project's backup is read only while it is shared. A restore that has begun is done to its end all the same:
/// half of it would leave the receiver a disk of two mixed contents.
async fn check_right(tx: &mut Tx, restore: &Restore, member: &MemberId) -> Result<(), Error> {
    let log = super::get_log(tx, &restore.operation_log_id).await?;
    if log.status != OperationStatus::Waiting {
        return Ok(());
    }
    match tx.find_member_by_id(member).await? {
        Some(member) if member.status == MemberStatus::Accepted => Ok(()),
        _ => Err(Error::ShareWithdrawn),
    }
}

async fn read_work(tx: &mut Tx, restore: Restore) -> Result<RestoreWork, Error> {
    let gone = |what: String| Error::broken(format!("{what} is gone while it is being restored"));
    let mut disks = Vec::with_capacity(restore.mappings.0.len());
    for mapping in restore.mappings.0 {
        let backup = tx.find_backup(&mapping.backup_id).await?;
        let target = tx.find_volume(&mapping.volume_id).await?;
        disks.push(RestoreDisk {
            backup: backup.ok_or_else(|| gone(format!("backup {}", mapping.backup_id)))?,
            target: target.ok_or_else(|| gone(format!("volume {}", mapping.volume_id)))?,
        });
    }
    let backup = tx.find_backup(&restore.backup_id).await?;
    let log = super::get_log(tx, &restore.operation_log_id).await?;
    let server = match log.extra.0 {
        OperationExtra::Restore {
            target_resource_id, ..
        } => tx.find_server(&target_resource_id.into()).await?,
        OperationExtra::Backup { .. }
        | OperationExtra::Delete { .. }
        | OperationExtra::RemoveResources { .. }
        | OperationExtra::VaultDelete { .. }
        | OperationExtra::NotStarted { .. }
        | OperationExtra::UpdateExpirationTime { .. }
        | OperationExtra::MigrateResource { .. }
        | OperationExtra::Sync { .. }
        | OperationExtra::Replication(_) => None,
    };
    let new_server = match restore.new_server {
        None => None,
        Some(JsonText(new)) => Some(NewServerWork {
            folder: new.folder,
            libvirt_uri: new.libvirt_uri,
            machine: tx.find_backup_machine(&restore.backup_id).await?,
        }),
    };
    Ok(RestoreWork {
        backup: backup.ok_or_else(|| gone(format!("backup {}", restore.backup_id)))?,
        operation_log_id: restore.operation_log_id,
        server,
        disks,
        power_on: restore.power_on,
        new_server,
    })
}

/// Every target's bytes are durable.
pub async fn finish_restore(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::finish(&mut tx, lease, now).await?;
    end(app, tx, lease, operation_log_id, None).await
}

/// The targets may hold a mixture; the backup can be restored again.
pub async fn fail_restore(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    failure: Failure,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    tx.fail_job(lease, &failure.message, now).await?;
    end(app, tx, lease, operation_log_id, Some(&failure)).await
}

async fn end(
    app: &App,
    mut tx: Tx,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    failure: Option<&Failure>,
) -> Result<(), Error> {
    let now = app.now();
    let Some(restore) = tx.find_restore(operation_log_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    if restore.member_id.is_none() {
        let from = [BackupStatus::WaitingRestore, BackupStatus::Restoring];
        tx.move_backup(&restore.backup_id, &from, BackupStatus::Available, now)
            .await?;
    }
    let from = [ProtectStatus::Restoring];
    tx.move_vault_resource(&restore.resource_id, &from, ProtectStatus::Available)
        .await?;
    tx.delete_restore(operation_log_id).await?;
    let extra = super::get_log(&mut tx, operation_log_id).await?.extra.0;
    super::end_log(&mut tx, operation_log_id, failure, extra, now).await?;
    tx.commit().await?;
    Ok(())
}
