//! Backups as their owner sees them.

use std::collections::BTreeMap;

use strongroom_db::{
    Backup, BackupFilter, BackupSort, OperationExtra, OperationLog, Page, Tx, Vault,
};
use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, CheckpointStatus, JobKind, PolicyId, ProjectId,
    Timestamp, VaultStatus,
};

use crate::work::{self, Subject};
use crate::{Action, App, Caller, Error, vaults};

pub use crate::restores::{NewRestore, restore};

#[derive(Debug, Clone)]
pub struct BackupView {
    pub backup: Backup,
    /// One per disk of a server's backup; empty in lists.
    pub children: Vec<Backup>,
    /// Of its vault.
    pub enterprise_project_id: String,
}

/// The page and how many backups match in all. Newest first unless `sort` says otherwise.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &BackupFilter,
    sort: &[BackupSort],
    page: &Page,
) -> Result<(Vec<BackupView>, u64), Error> {
    caller.authorise(Action::BackupsList, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_backups(project, filter, sort, page).await?;
    let vaults: Vec<_> = listed.rows.iter().map(|b| b.vault_id.clone()).collect();
    let vaults: BTreeMap<_, _> = tx
        .vaults_by_id(&vaults)
        .await?
        .into_iter()
        .map(|vault| (vault.id, vault.enterprise_project_id))
        .collect();
    let view = |backup: Backup| BackupView {
        enterprise_project_id: vaults.get(&backup.vault_id).cloned().unwrap_or_default(),
        children: Vec::new(),
        backup,
    };
    Ok((listed.rows.into_iter().map(view).collect(), listed.total))
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
) -> Result<BackupView, Error> {
    caller.authorise(Action::BackupsGet, project)?;
    let mut tx = app.db.read().await?;
    view(&mut tx, project, id).await
}

/// Changes the name; the disks' backups of a server's keep theirs.
pub async fn rename(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
    name: String,
) -> Result<BackupView, Error> {
    caller.authorise(Action::BackupsUpdate, project)?;
    let mut tx = app.db.begin().await?;
    find(&mut tx, project, id).await?;
    tx.rename_backup(id, &name, app.now()).await?;
    let view = view(&mut tx, project, id).await?;
    tx.commit().await?;
    Ok(view)
}

/// Answers at once; a job deletes the data and then the row.
pub async fn delete(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
) -> Result<(), Error> {
    caller.authorise(Action::BackupsDelete, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let backup = find(&mut tx, project, id).await?;
    let vault = tx.lock_vault(&backup.vault_id).await?;
    let vault = vaults::owned(vault, project, &backup.vault_id)?;
    // What was read before the vault's lock may have changed meanwhile.
    let backup = find(&mut tx, project, id).await?;
    check_deletable(&mut tx, &vault, &backup, now).await?;
    start_deletion(app, &mut tx, &vault, &backup, &caller.request_id, None).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(())
}

async fn check_deletable(
    tx: &mut Tx,
    vault: &Vault,
    backup: &Backup,
    now: Timestamp,
) -> Result<(), Error> {
    let refuse = |message: &str| {
        Err(Error::BackupNotDeletable {
            message: message.to_owned(),
        })
    };
    if backup.parent_id.is_some() {
        return refuse("a disk's part of a server's backup is deleted with the server's backup");
    }
    if vault.status == VaultStatus::Deleting {
        return refuse("the vault and all its backups are being deleted");
    }
    match backup.status {
        BackupStatus::Available | BackupStatus::Error => {}
        BackupStatus::WaitingRestore | BackupStatus::Restoring => return Err(Error::BackupInUse),
        BackupStatus::WaitingProtect
        | BackupStatus::Protecting
        | BackupStatus::WaitingDelete
        | BackupStatus::Deleting => {
            return refuse(&format!("the backup is {}", backup.status));
        }
    }
    let children = tx.children_of_backup(&backup.id).await?;
    if children.iter().any(|child| child.status.is_restoring()) {
        return Err(Error::BackupInUse);
    }
    if vault.locked && backup.auto_trigger && backup.expired_at.is_none_or(|end| end > now) {
        return Err(Error::LockedBackups);
    }
    let resource = std::slice::from_ref(&backup.resource_id);
    let running = !tx.resources_being_backed_up(resource).await?.is_empty();
    let newest = tx.newest_backup_of(&vault.id, &backup.resource_id).await?;
    if running && newest.as_ref() == Some(&backup.id) {
        return Err(Error::NewestBackupNeeded);
    }
    Ok(())
}

/// Marks a backup as waiting for its deletion and adds the job. `policy_id` is the policy that wants it, if one does.
pub(crate) async fn start_deletion(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    backup: &Backup,
    request_id: &str,
    policy_id: Option<&PolicyId>,
) -> Result<(), Error> {
    let now = app.now();
    let from = [BackupStatus::Available, BackupStatus::Error];
    let waiting = BackupStatus::WaitingDelete;
    if !tx.move_backup(&backup.id, &from, waiting, now).await? {
        return Err(Error::BackupNotDeletable {
            message: "the backup has just changed its state".to_owned(),
        });
    }
    tx.move_children(&backup.id, waiting, now).await?;
    let subject = Subject {
        id: &backup.resource_id,
        resource_type: backup.resource_type,
        name: &backup.resource_name,
    };
    let extra = OperationExtra::Delete {
        backup_id: backup.id.clone(),
        backup_name: backup.name.clone(),
    };
    let log = OperationLog {
        checkpoint_id: Some(backup.checkpoint_id.clone()),
        policy_id: policy_id.cloned(),
        ..work::new_log(app, vault, Some(&subject), extra, request_id, now)
    };
    work::begin(
        app,
        tx,
        JobKind::DeleteBackup,
        backup.id.as_str(),
        &log,
        now,
    )
    .await?;
    refresh_checkpoint(tx, &backup.checkpoint_id).await
}

/// A backup of another project is as unknown as one that does not exist.
pub(crate) async fn find(tx: &mut Tx, project: &ProjectId, id: &BackupId) -> Result<Backup, Error> {
    let backup = tx.find_backup(id).await?;
    backup
        .filter(|backup| backup.project_id == *project)
        .ok_or_else(|| Error::BackupNotFound {
            backup_id: id.clone(),
        })
}

async fn view(tx: &mut Tx, project: &ProjectId, id: &BackupId) -> Result<BackupView, Error> {
    let backup = find(tx, project, id).await?;
    let vault = tx.find_vault(&backup.vault_id).await?;
    let vault = vaults::owned(vault, project, &backup.vault_id)?;
    Ok(BackupView {
        children: tx.children_of_backup(id).await?,
        enterprise_project_id: vault.enterprise_project_id,
        backup,
    })
}

/// Derives a checkpoint's state from its backups; the row goes with the last of them.
pub(crate) async fn refresh_checkpoint(tx: &mut Tx, id: &CheckpointId) -> Result<(), Error> {
    let statuses: Vec<_> = tx
        .backups_of_checkpoint(id)
        .await?
        .into_iter()
        .map(|backup| backup.status)
        .collect();
    if statuses.is_empty() {
        tx.delete_checkpoint(id).await?;
        return Ok(());
    }
    let status = if statuses.iter().any(|s| s.is_protecting()) {
        CheckpointStatus::Protecting
    } else if statuses.contains(&BackupStatus::Error) {
        CheckpointStatus::Error
    } else if statuses.iter().all(|s| s.is_deleting()) {
        CheckpointStatus::Deleting
    } else {
        CheckpointStatus::Available
    };
    tx.update_checkpoint_status(id, status).await?;
    Ok(())
}
