//! Backups as their owner sees them.

use std::collections::BTreeMap;

use strongroom_db::{
    Backup, BackupFilter, BackupSort, OperationExtra, OperationLog, Page, Replication, Tx, Vault,
};
use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, CheckpointStatus, JobKind, PolicyId, ProjectId,
    ProtectStatus, ResourceId, VaultId, VaultStatus,
};

use crate::sharing::{self, Seen};
use crate::work::{self, Subject};
use crate::{Action, App, Caller, Error, contents, locks, vaults};

pub use crate::restores::{
    BegunServer, NewRestore, RestoredServer, restore, restore_as_new_server,
};

/// Where no vault says which one.
const NO_ENTERPRISE_PROJECT: &str = "0";

#[derive(Debug, Clone)]
pub struct BackupView {
    pub backup: Backup,
    /// The vault of the caller's project that holds it: of a shared backup, the one that took it, if one did.
    pub vault_id: Option<VaultId>,
    /// One per disk of a server's backup; empty in lists.
    pub children: Vec<Backup>,
    /// Of that vault.
    pub enterprise_project_id: String,
    /// Its copies to other regions.
    pub replications: Vec<Replication>,
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
    let mut rows = Vec::with_capacity(listed.rows.len());
    for (vault_id, backup) in held_by(&mut tx, project, listed.rows).await? {
        rows.push(BackupView {
            backup,
            vault_id,
            children: Vec::new(),
            replications: Vec::new(),
            enterprise_project_id: String::new(),
        });
    }
    let vaults: Vec<_> = rows
        .iter()
        .filter_map(|view| view.vault_id.clone())
        .collect();
    let vaults = tx.vaults_by_id(&vaults).await?.into_iter();
    let vaults: BTreeMap<_, _> = vaults
        .map(|vault| (vault.id, vault.enterprise_project_id))
        .collect();
    let ids: Vec<_> = rows.iter().map(|view| view.backup.id.clone()).collect();
    let mut replications: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for replication in tx.replications_of_backups(&ids).await? {
        let of_backup = replications.entry(replication.backup_id.clone());
        of_backup.or_default().push(replication);
    }
    for view in &mut rows {
        let known = view.vault_id.as_ref().and_then(|id| vaults.get(id));
        view.enterprise_project_id = known.map_or(NO_ENTERPRISE_PROJECT, |id| id).to_owned();
        if view.backup.project_id == *project {
            view.replications = replications.remove(&view.backup.id).unwrap_or_default();
        }
    }
    Ok((rows, listed.total))
}

/// Each backup with the vault of the project that holds it.
async fn held_by(
    tx: &mut Tx,
    project: &ProjectId,
    backups: Vec<Backup>,
) -> Result<Vec<(Option<VaultId>, Backup)>, Error> {
    let shared: Vec<_> = backups
        .iter()
        .filter(|backup| backup.project_id != *project)
        .map(|backup| backup.parent_id.as_ref().unwrap_or(&backup.id).clone())
        .collect();
    let members: BTreeMap<_, _> = match shared.as_slice() {
        [] => BTreeMap::new(),
        shared => {
            let members = tx.members_of_project(project, shared).await?.into_iter();
            members.map(|m| (m.backup_id, m.vault_id)).collect()
        }
    };
    let held = backups.into_iter().map(|backup| {
        let vault_id = if backup.project_id == *project {
            Some(backup.vault_id.clone())
        } else {
            let shared = backup.parent_id.as_ref().unwrap_or(&backup.id);
            members.get(shared).cloned().flatten()
        };
        (vault_id, backup)
    });
    Ok(held.collect())
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
    let mut tx = app.db.begin().await?;
    let backup = find(&mut tx, project, id).await?;
    let vault = tx.lock_vault(&backup.vault_id).await?;
    let vault = vaults::owned(vault, project, &backup.vault_id)?;
    // What was read before the vault's lock may have changed meanwhile.
    let backup = find(&mut tx, project, id).await?;
    check_deletable(app, &mut tx, &vault, &backup).await?;
    start_deletion(app, &mut tx, &vault, &backup, &caller.request_id, None).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(())
}

/// The backup's resource is on its way from this vault to another, or was until this vault was locked.
pub(crate) async fn is_moving(tx: &mut Tx, vault: &Vault, backup: &Backup) -> Result<bool, Error> {
    if backup.vault_id != vault.id {
        return Ok(true);
    }
    Ok(protection(tx, backup).await? == Some(ProtectStatus::Migrating))
}

/// The state of the server or disk whose backup it is, if a vault protects that still.
pub(crate) async fn protection(
    tx: &mut Tx,
    backup: &Backup,
) -> Result<Option<ProtectStatus>, Error> {
    let top = match &backup.parent_id {
        Some(parent) => tx.find_backup(parent).await?,
        None => None,
    };
    let resource_id = top.map_or_else(|| backup.resource_id.clone(), |top| top.resource_id);
    let row = tx.find_vault_resource(&resource_id).await?;
    Ok(row.map(|row| row.protect_status))
}

/// Why no backup of the vault may go just now: machines may be running from it, or somebody copies it out. Of one resource, or of
/// one backup, where it is given.
pub(crate) async fn in_use_outside(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    resource: Option<&ResourceId>,
    backup: Option<&BackupId>,
) -> Result<Option<Error>, Error> {
    let attached = tx
        .count_backup_attachments(&vault.id, resource, backup)
        .await?;
    if attached > 0 {
        return Ok(Some(Error::BackupAttached));
    }
    let are_read = contents::are_read(app, tx, vault, resource, backup).await?;
    Ok(are_read.then_some(Error::BackupRead))
}

async fn check_deletable(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    backup: &Backup,
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
    let by_members = tx
        .count_restores_by_members(&vault.id, None, Some(&backup.id))
        .await?;
    if by_members > 0 || children.iter().any(|child| child.status.is_restoring()) {
        return Err(Error::BackupInUse);
    }
    if tx
        .count_active_replications(&vault.id, Some(&backup.id))
        .await?
        > 0
    {
        return Err(Error::BackupInUse);
    }
    if let Some(error) = in_use_outside(app, tx, vault, None, Some(&backup.id)).await? {
        return Err(error);
    }
    if !locks::may_delete(vault, backup, locks::trusted_now(app, tx).await?) {
        return Err(Error::LockedBackups);
    }
    if is_moving(tx, vault, backup).await? {
        return Err(Error::VaultBusy);
    }
    let resource = std::slice::from_ref(&backup.resource_id);
    let running = !tx.resources_being_backed_up(resource).await?.is_empty();
    let newest = tx.newest_backup_of(&vault.id, &backup.resource_id).await?;
    if running && newest.as_ref() == Some(&backup.id) {
        return Err(Error::NewestBackupNeeded);
    }
    Ok(())
}

/// Marks a backup as waiting for its deletion, ends its sharing, and adds the job. `policy_id` is the policy that wants
/// it, if one does.
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
    let members = tx.members_of_backup(&backup.id).await?;
    sharing::withdraw(tx, members, now).await?;
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

/// A backup of the project itself, to change it. One of another project is as unknown as one that does not exist, unless
/// it is shared.
pub(crate) async fn find(tx: &mut Tx, project: &ProjectId, id: &BackupId) -> Result<Backup, Error> {
    let Seen { backup, member } = sharing::find(tx, project, id).await?;
    match member {
        None => Ok(backup),
        Some(_) => Err(Error::SharedBackup),
    }
}

pub(crate) async fn view(
    tx: &mut Tx,
    project: &ProjectId,
    id: &BackupId,
) -> Result<BackupView, Error> {
    let seen = sharing::find(tx, project, id).await?;
    let vault_id = seen.vault_id().cloned();
    let enterprise_project_id = match &vault_id {
        None => NO_ENTERPRISE_PROJECT.to_owned(),
        Some(id) => {
            let vault = vaults::owned(tx.find_vault(id).await?, project, id)?;
            vault.enterprise_project_id
        }
    };
    Ok(BackupView {
        children: tx.children_of_backup(id).await?,
        // Where its owner copies it is not the business of those that it is shared with.
        replications: match seen.member {
            None => tx.replications_of_backups(std::slice::from_ref(id)).await?,
            Some(_) => Vec::new(),
        },
        enterprise_project_id,
        vault_id,
        backup: seen.backup,
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
