use strongroom_db::{
    AppliedPolicy, Backup, Checkpoint, DiskReading, JsonText, LastSaved, Lease, NoticeEvent,
    OperationExtra, Quiesce, Server, Tx, Vault, VaultResource, Volume,
};
use strongroom_types::{
    BackupId, BackupStatus, FailedFreeze, ImageType, MachineRecord, OperationLogId, ProtectStatus,
    ResourceType, ServerId, Timestamp, Trouble, VolumeId,
};

use super::{Failure, VaultUsage};
use crate::policies::options_of;
use crate::{App, Error, backups, notices, proofs};

#[derive(Debug, Clone)]
pub struct BackupWork {
    pub vault: Vault,
    /// Those that are applied to the vault.
    pub policies: Vec<AppliedPolicy>,
    pub checkpoint: Checkpoint,
    /// The server's backup, or the disk's.
    pub backup: Backup,
    pub operation_log_id: OperationLogId,
    pub disks: Vec<DiskWork>,
    pub project_name: String,
    /// The server, where it is one and is still in the inventory.
    pub server: Option<Server>,
    /// What the vault says about the resource.
    pub resource: Option<VaultResource>,
    /// What the server's machine was made of when it last said so.
    pub machine: Option<MachineRecord>,
}

#[derive(Debug, Clone)]
pub struct DiskWork {
    /// The row that will hold the point: a child of a server's backup, or the disk's backup itself.
    pub backup: Backup,
    /// `None`: the volume is gone from the inventory.
    pub volume: Option<Volume>,
    /// On its server; 0 for a disk that has none.
    pub position: u64,
    /// The newest point of this volume that was made here, whatever was asked for.
    pub last: Option<LastSaved>,
}

#[derive(Debug, Clone)]
pub struct BackupOutcome {
    /// One for each disk of the work.
    pub disks: Vec<DiskOutcome>,
    /// The instant whose data was saved.
    pub protected_at: Timestamp,
    /// Absent where nobody wished that the guest holds still.
    pub quiesce: Option<Quiesce>,
    /// What the server's machine is made of, as far as anybody knows.
    pub machine: Option<MachineRecord>,
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
    /// Absent for a copy, for which no disk was read.
    pub reading: Option<DiskReading>,
}

pub type DiskFailure = Failure;

impl BackupWork {
    /// What becomes of the backup if the guest does not hold its file systems still.
    pub fn on_failed_freeze(&self) -> FailedFreeze {
        options_of(&self.backup, &self.policies).on_failed_freeze
    }
}

impl BackupOutcome {
    fn readings(&self) -> impl Iterator<Item = &DiskReading> {
        let saved = self
            .disks
            .iter()
            .filter_map(|disk| disk.result.as_ref().ok());
        saved.filter_map(|saved| saved.reading.as_ref())
    }
}

/// Marks the backup, its disks and its operation log as running.
pub async fn start_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
) -> Result<BackupWork, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    let Some(mut backup) = find_running(&mut tx, backup_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    let protecting = BackupStatus::Protecting;
    tx.move_backup(backup_id, &[backup.status], protecting, now)
        .await?;
    tx.move_children(backup_id, protecting, now).await?;
    tx.update_backup_progress(backup_id, 0, now).await?;
    let operation_log_id = super::log_of(&job)?.clone();
    tx.start_operation_log(&operation_log_id, now).await?;
    backup.status = protecting;
    let work = read_work(&mut tx, backup, operation_log_id).await?;
    tx.commit().await?;
    Ok(work)
}

async fn find_running(tx: &mut Tx, id: &BackupId) -> Result<Option<Backup>, Error> {
    let backup = tx.find_backup(id).await?;
    Ok(backup.filter(|backup| backup.status.is_protecting()))
}

async fn read_work(
    tx: &mut Tx,
    backup: Backup,
    operation_log_id: OperationLogId,
) -> Result<BackupWork, Error> {
    let gone = |what: &str| Error::broken(format!("the {what} of backup {} is gone", backup.id));
    let vault = tx.find_vault(&backup.vault_id).await?;
    let checkpoint = tx.find_checkpoint(&backup.checkpoint_id).await?;
    let project = tx.find_project(&backup.project_id).await?;
    let server_id = ServerId::from(backup.resource_id.clone());
    let attached = tx
        .attachments_of_servers(std::slice::from_ref(&server_id))
        .await?;
    let mut disks = Vec::new();
    for row in tx.disks_of_backup(&backup.id).await? {
        let volume_id = VolumeId::from(row.resource_id.clone());
        let place = attached.iter().find(|place| place.volume_id == volume_id);
        disks.push(DiskWork {
            position: place.map_or(0, |place| place.position),
            volume: tx.find_volume(&volume_id).await?,
            last: tx.last_saved(&row.project_id, &volume_id).await?,
            backup: row,
        });
    }
    Ok(BackupWork {
        vault: vault.ok_or_else(|| gone("vault"))?,
        policies: tx.applied_policies(&backup.vault_id).await?,
        checkpoint: checkpoint.ok_or_else(|| gone("checkpoint"))?,
        project_name: project.ok_or_else(|| gone("project"))?.name,
        server: tx.find_server(&server_id).await?,
        resource: tx.find_vault_resource(&backup.resource_id).await?,
        machine: tx
            .newest_machine_of(&backup.project_id, &backup.resource_id)
            .await?,
        backup,
        operation_log_id,
        disks,
    })
}

/// Shows how far a backup or restore is, 0 to 100. `backup_id` is the one that was started.
pub async fn report_progress(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    backup_id: &BackupId,
    percent: u64,
) -> Result<(), Error> {
    let now = app.now();
    let percent = percent.min(100);
    let mut tx = app.db.begin().await?;
    super::hold(&mut tx, lease).await?;
    tx.update_operation_progress(operation_log_id, percent, now)
        .await?;
    tx.update_backup_progress(backup_id, percent, now).await?;
    tx.commit().await?;
    Ok(())
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
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::finish(&mut tx, lease, now).await?;
    let Some((mut vault, backup)) = lock_running(&mut tx, backup_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    let failure = publish_rows(&mut tx, &backup, &outcome, now).await?;
    super::publish_usage(app, &mut tx, &mut vault, &usage, now).await?;
    // What a copy from another region is a backup of, no vault here protects.
    if backup.image_type == ImageType::Backup {
        tx.update_vault_resource_usage(&backup.resource_id, usage.resource_bytes)
            .await?;
    }
    let log = super::log_of(&job)?;
    publish_end(&mut tx, log, &backup, failure.as_ref(), &outcome, now).await?;
    tell_of_wrong_bitmaps(app, &mut tx, &backup, &outcome, now).await?;
    if failure.is_none() {
        proofs::follow_policy(app, &mut tx, &backup, &job.request_id, now).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Ends a backup that saved nothing.
pub async fn fail_backup(
    app: &App,
    lease: &Lease,
    backup_id: &BackupId,
    failure: Failure,
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let job = super::hold(&mut tx, lease).await?;
    tx.fail_job(lease, &failure.message, now).await?;
    let Some((_, backup)) = lock_running(&mut tx, backup_id).await? else {
        return Err(super::nothing_to_do(tx, lease, now).await?);
    };
    let rows = tx.disks_of_backup(&backup.id).await?.into_iter();
    let outcome = BackupOutcome {
        disks: rows
            .map(|row| DiskOutcome {
                backup_id: row.id,
                result: Err(failure.clone()),
            })
            .collect(),
        protected_at: now,
        quiesce: None,
        machine: None,
    };
    publish_rows(&mut tx, &backup, &outcome, now).await?;
    let log = super::log_of(&job)?;
    publish_end(&mut tx, log, &backup, Some(&failure), &outcome, now).await?;
    tx.commit().await?;
    Ok(())
}

async fn lock_running(tx: &mut Tx, id: &BackupId) -> Result<Option<(Vault, Backup)>, Error> {
    let Some(backup) = find_running(tx, id).await? else {
        return Ok(None);
    };
    let vault = super::lock_vault(tx, &backup.vault_id).await?;
    Ok(Some((vault, backup)))
}

/// Writes how every row ended. Answers why the whole is an error, if it is.
async fn publish_rows(
    tx: &mut Tx,
    backup: &Backup,
    outcome: &BackupOutcome,
    now: Timestamp,
) -> Result<Option<Failure>, Error> {
    let rows = tx.disks_of_backup(&backup.id).await?;
    let (mut failures, mut stored_bytes, mut size_bytes) = (Vec::new(), 0, 0);
    let count = rows.len();
    for mut row in rows {
        let result = outcome.disks.iter().find(|disk| disk.backup_id == row.id);
        match result.map(|disk| &disk.result) {
            Some(Ok(saved)) => {
                size_bytes += saved.size_bytes;
                stored_bytes += saved.stored_bytes;
                set_saved(&mut row, saved, outcome.protected_at);
            }
            Some(Err(failure)) => {
                set_failed(&mut row, failure);
                failures.push(failure.clone());
            }
            None => {
                let failure = Failure {
                    trouble: Trouble::Internal,
                    message: "the disk was not backed up".to_owned(),
                };
                set_failed(&mut row, &failure);
                failures.push(failure);
            }
        }
        end_row(tx, row, now).await?;
    }
    let failure = failures.into_iter().next();
    if backup.resource_type != ResourceType::Server {
        return Ok(failure);
    }
    let mut top = backup.clone();
    top.quiesce = outcome.quiesce.clone().map(JsonText);
    if let Some(failure) = &failure {
        set_failed(&mut top, failure);
    } else {
        top.status = BackupStatus::Available;
        top.progress = 100;
        top.protected_at = Some(outcome.protected_at);
        top.size_bytes = size_bytes;
    }
    top.stored_bytes = stored_bytes;
    end_row(tx, top, now).await?;
    if let Some(machine) = &outcome.machine {
        tx.insert_backup_machine(&backup.id, machine).await?;
    }
    if count == 0 {
        return Err(Error::broken(format!("backup {} has no disks", backup.id)));
    }
    Ok(failure)
}

fn set_saved(row: &mut Backup, saved: &DiskSaved, protected_at: Timestamp) {
    row.status = BackupStatus::Available;
    row.progress = 100;
    row.point_id = Some(saved.point_id.clone());
    row.size_bytes = saved.size_bytes;
    row.stored_bytes = saved.stored_bytes;
    row.protected_at = Some(protected_at);
}

fn set_failed(row: &mut Backup, failure: &Failure) {
    row.status = BackupStatus::Error;
    row.trouble = Some(failure.trouble);
    row.trouble_message.clone_from(&failure.message);
}

async fn end_row(tx: &mut Tx, mut row: Backup, now: Timestamp) -> Result<(), Error> {
    row.updated_at = now;
    if tx.end_backup(&row).await? {
        Ok(())
    } else {
        Err(Error::broken(format!("backup {} is not running", row.id)))
    }
}

/// The resource, the checkpoint and the operation log follow the backup.
async fn publish_end(
    tx: &mut Tx,
    log: &OperationLogId,
    backup: &Backup,
    failure: Option<&Failure>,
    outcome: &BackupOutcome,
    now: Timestamp,
) -> Result<(), Error> {
    let status = match failure {
        None => ProtectStatus::Available,
        Some(_) => ProtectStatus::Error,
    };
    if backup.image_type == ImageType::Backup {
        let from = [ProtectStatus::Protecting];
        tx.move_vault_resource(&backup.resource_id, &from, status)
            .await?;
    }
    backups::refresh_checkpoint(tx, &backup.checkpoint_id).await?;
    let mut extra = super::get_log(tx, log).await?.extra.0;
    if let OperationExtra::Backup { quiesce, disks, .. } = &mut extra {
        quiesce.clone_from(&outcome.quiesce);
        *disks = outcome.readings().cloned().collect();
    }
    super::end_log(tx, log, failure, extra, now).await
}

/// The backup is right all the same: whoever runs the host must know that its record of changes was not.
async fn tell_of_wrong_bitmaps(
    app: &App,
    tx: &mut Tx,
    backup: &Backup,
    outcome: &BackupOutcome,
    now: Timestamp,
) -> Result<(), Error> {
    for reading in outcome.readings() {
        let Some(offset) = reading.wrong_at else {
            continue;
        };
        let event = NoticeEvent::ChangesMissed {
            project_id: backup.project_id.clone(),
            backup_id: backup.id.clone(),
            volume_id: reading.volume_id.clone(),
            offset,
        };
        notices::tell(app, tx, &event, now).await?;
    }
    Ok(())
}
