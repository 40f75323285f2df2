//! Checkpoints: one run of backups over a vault.

mod obstacles;
mod origin;
mod run;
mod selection;

use std::collections::BTreeMap;

use strongroom_db::{Backup, Checkpoint, VaultResource};
use strongroom_types::{
    BackupStatus, CheckpointId, PolicyId, ProjectId, ProtectStatus, ResourceId, ResourceType,
    VaultId, VolumeId,
};

use crate::findings::Findings;
use crate::resources::NewResource;
use crate::stock::Stock;
use crate::vaults::{self, check_description};
use crate::{Action, App, Caller, Error, audit, auto_bind};

pub(crate) use run::{check_room, start};

const RETENTION_DAYS_MAX: i64 = 36_500;

#[derive(Debug, Clone)]
pub struct NewCheckpoint {
    pub vault_id: VaultId,
    /// 1 to 64 characters; made up when absent.
    pub name: Option<String>,
    pub description: String,
    pub incremental: bool,
    pub auto_trigger: bool,
    /// Of an automatic checkpoint: one of the vault's backup policies. Absent: the only one that it has, if so.
    pub policy_id: Option<PolicyId>,
    /// -1 (keep) or 1 to 36500 days.
    pub retention_days: i64,
    pub selection: Selection,
}

/// What to back up.
#[derive(Debug, Clone)]
pub enum Selection {
    WholeVault,
    /// All but the suspended ones.
    AutoProtected,
    Resources(Vec<ResourceId>),
    /// With disks to leave out of this run.
    Details(Vec<NewResource>),
}

#[derive(Debug, Clone)]
pub struct CheckpointView {
    /// Carries `skipped_resources`.
    pub checkpoint: Checkpoint,
    pub vault_name: String,
    pub resources: Vec<CheckpointResource>,
}

#[derive(Debug, Clone)]
pub struct CheckpointResource {
    pub id: ResourceId,
    pub resource_type: ResourceType,
    pub name: String,
    pub size_gb: u64,
    pub backup_bytes: u64,
    pub backup_count: u64,
    /// In the answer to a create: as it was before.
    pub protect_status: ProtectStatus,
    pub auto_protect: bool,
    pub exclude_volumes: Vec<VolumeId>,
}

/// Backs up what can be backed up now; the rest is listed as skipped. `NothingToBackUp` when that is all.
pub async fn create(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewCheckpoint,
) -> Result<CheckpointView, Error> {
    caller.authorise(Action::VaultsBackup, project)?;
    check_new(&new)?;
    bind_first(app, project, &new).await?;
    let findings = examine(app, project, &new).await?;
    let mut tx = app.db.begin().await?;
    let view = run::start(app, &mut tx, &new, &findings, &caller.request_id).await?;
    audit::made("checkpoint", &view.checkpoint.id);
    tx.commit().await?;
    app.wake.notify_one();
    Ok(view)
}

/// A vault that takes in what nobody protects does so before all of it is backed up.
async fn bind_first(app: &App, project: &ProjectId, new: &NewCheckpoint) -> Result<(), Error> {
    if !matches!(new.selection, Selection::WholeVault) {
        return Ok(());
    }
    let mut tx = app.db.read().await?;
    let vault = vaults::owned(tx.find_vault(&new.vault_id).await?, project, &new.vault_id)?;
    drop(tx);
    if vault.auto_bind {
        auto_bind::bind_for(app, &vault.id).await?;
    }
    Ok(())
}

/// Looks at the disks and the machines of what is selected, before the transaction that decides: they may be slow.
pub(crate) async fn examine(
    app: &App,
    project: &ProjectId,
    new: &NewCheckpoint,
) -> Result<Findings, Error> {
    let mut tx = app.db.read().await?;
    let vault = vaults::owned(tx.find_vault(&new.vault_id).await?, project, &new.vault_id)?;
    let selected = selection::select(&mut tx, &vault, &new.selection).await?;
    let named = selected.iter().map(|r| (&r.resource_id, r.resource_type));
    let stock = Stock::load(&mut tx, project, named).await?;
    drop(tx);
    Ok(Findings::gather(app, stock.volumes(), stock.machines()).await)
}

fn check_new(new: &NewCheckpoint) -> Result<(), Error> {
    check_description(&new.description)?;
    if new.policy_id.is_some() && !new.auto_trigger {
        return Err(Error::invalid(
            "policy_id is for automatic backups: auto_trigger must be true.",
        ));
    }
    match new.retention_days {
        -1 => Ok(()),
        1..=RETENTION_DAYS_MAX if new.auto_trigger => Err(Error::invalid(
            "retention_duration_days cannot be given for an automatic backup.",
        )),
        1..=RETENTION_DAYS_MAX => Ok(()),
        _ => Err(Error::invalid(format!(
            "retention_duration_days must be -1 or 1 to {RETENTION_DAYS_MAX}."
        ))),
    }
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &CheckpointId,
) -> Result<CheckpointView, Error> {
    caller.authorise(Action::VaultsShowCheckpoint, project)?;
    let mut tx = app.db.read().await?;
    let checkpoint = tx.find_checkpoint(id).await?;
    let checkpoint = checkpoint
        .filter(|checkpoint| checkpoint.project_id == *project)
        .ok_or_else(|| Error::CheckpointNotFound {
            checkpoint_id: id.clone(),
        })?;
    let vault = tx.find_vault(&checkpoint.vault_id).await?;
    let vault = vaults::owned(vault, project, &checkpoint.vault_id)?;
    let backups = tx.backups_of_checkpoint(id).await?;
    let ids: Vec<_> = backups.iter().map(|b| b.resource_id.clone()).collect();
    let rows = tx.vault_resources_by_id(&ids).await?.into_iter();
    let rows: BTreeMap<_, _> = rows
        .filter(|row| row.vault_id == vault.id)
        .map(|row| (row.resource_id.clone(), row))
        .collect();
    let resources = backups
        .into_iter()
        .map(|backup| resource_of(rows.get(&backup.resource_id), backup))
        .collect();
    Ok(CheckpointView {
        checkpoint,
        vault_name: vault.name,
        resources,
    })
}

/// A resource as a checkpoint shows it: its state is that of the checkpoint's own backup of it.
fn resource_of(row: Option<&VaultResource>, backup: Backup) -> CheckpointResource {
    let protect_status = match backup.status {
        BackupStatus::WaitingProtect | BackupStatus::Protecting => ProtectStatus::Protecting,
        BackupStatus::WaitingRestore | BackupStatus::Restoring => ProtectStatus::Restoring,
        BackupStatus::Error => ProtectStatus::Error,
        BackupStatus::Available | BackupStatus::WaitingDelete | BackupStatus::Deleting => {
            ProtectStatus::Available
        }
    };
    let excluded = row.and_then(|row| row.exclude_volumes.clone());
    CheckpointResource {
        id: backup.resource_id,
        resource_type: backup.resource_type,
        name: backup.resource_name,
        size_gb: backup.resource_size_gb,
        backup_bytes: row.map_or(0, |row| row.backup_bytes),
        backup_count: row.map_or(0, |row| row.backup_count),
        protect_status,
        auto_protect: row.is_none_or(|row| row.auto_protect),
        exclude_volumes: excluded.map(|list| list.0).unwrap_or_default(),
    }
}
