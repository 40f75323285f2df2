//! Restoring backups onto disks of the inventory.

mod new_server;
mod plan;

use strongroom_db::{
    Backup, JsonText, Member, NewServer, OperationExtra, OperationLog, Restore, RestoreMapping,
    RestoreTarget, Tx, Vault,
};
use strongroom_types::{
    BackupId, BackupStatus, JobKind, OperationLogId, ProjectId, ProtectStatus, ResourceId,
    ServerId, Timestamp, VaultStatus, VolumeId,
};

use crate::findings::Findings;
use crate::sharing::{self, Seen};
use crate::work::{self, Subject};
use crate::{Action, App, Caller, Error, backups, vaults};
pub use new_server::{BegunServer, RestoredServer, restore_as_new_server};
use plan::Plan;

/// A server's backup takes `server_id` and mappings (none when it goes back to where it came from); a disk's
/// backup takes `volume_id`, and its mappings are ignored.
#[derive(Debug, Clone)]
pub struct NewRestore {
    pub server_id: Option<ServerId>,
    pub volume_id: Option<VolumeId>,
    pub mappings: Vec<RestoreMapping>,
    pub power_on: bool,
    /// The request asked for a restore of files, by `resource_id` or `details`; refused.
    pub of_files: bool,
}

/// Answers at once with the operation log to watch; a job overwrites the disks.
pub async fn restore(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
    new: NewRestore,
) -> Result<OperationLogId, Error> {
    caller.authorise(Action::BackupsRestore, project)?;
    // The disks are looked at before the transaction that decides: they may be slow.
    let mut tx = app.db.read().await?;
    let source = Source::find(&mut tx, project, id).await?;
    let plan = Plan::make(&mut tx, project, &source.backup, &new).await?;
    check_restores(&mut tx, &plan.examined_ids()).await?;
    drop(tx);
    let findings = Findings::gather(app, plan.disks_to_examine(), plan.machines()).await;
    if !(app.settings.stops_machines && plan.is_of_server()) {
        plan.check_machines(&findings)?;
    }
    plan.check_disks(&findings)?;

    let now = app.now();
    let mut tx = app.db.begin().await?;
    let source = Source::lock(&mut tx, project, id).await?;
    let log = start(app, &mut tx, &source, &new, &caller.request_id, now).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(log.id)
}

/// What is restored, and by what right.
struct Source {
    backup: Backup,
    /// Set where the backup is another project's.
    member: Option<Member>,
    /// The vault of the caller's project that holds it.
    vault: Vault,
}

impl Source {
    async fn find(tx: &mut Tx, project: &ProjectId, id: &BackupId) -> Result<Self, Error> {
        let seen = sharing::find(tx, project, id).await?;
        seen.check_usable()?;
        let vault_id = seen.vault_id().ok_or(Error::ShareNotAccepted)?;
        let vault = vaults::owned(tx.find_vault(vault_id).await?, project, vault_id)?;
        let Seen { backup, member } = seen;
        check_backup(&backup, member.as_ref())?;
        Ok(Self {
            backup,
            member,
            vault,
        })
    }

    /// As it is under the lock of the owner's vault, even where another project restores: the backup and who may read it stay as they are.
    async fn lock(tx: &mut Tx, project: &ProjectId, id: &BackupId) -> Result<Self, Error> {
        let source = Self::find(tx, project, id).await?;
        tx.lock_vault(&source.backup.vault_id).await?;
        Self::find(tx, project, id).await
    }
}

/// A project to which a backup is shared may read it beside its owner.
fn check_backup(backup: &Backup, member: Option<&Member>) -> Result<(), Error> {
    if backup.status == BackupStatus::Available {
        return Ok(());
    }
    if backup.status.is_restoring() {
        if member.is_some() {
            return Ok(());
        }
        return Err(Error::ResourceBeingRestored {
            resource_id: backup.resource_id.clone(),
        });
    }
    Err(Error::BackupStateForbidsRestore {
        status: backup.status,
    })
}

/// Whether the vault's state, and what is done to it just now, leave its backups alone.
async fn check_vault(tx: &mut Tx, source: &Source) -> Result<(), Error> {
    let Source {
        backup,
        member,
        vault,
    } = source;
    match vault.status {
        VaultStatus::Available | VaultStatus::Lock => {}
        VaultStatus::Frozen | VaultStatus::Deleting | VaultStatus::Error => {
            return Err(Error::VaultStateForbidsRestore {
                status: vault.status,
            });
        }
    }
    if member.is_none() && backups::is_moving(tx, vault, backup).await? {
        return Err(Error::VaultBusy);
    }
    Ok(())
}

/// Decides everything again under the locks, and starts.
async fn start(
    app: &App,
    tx: &mut Tx,
    source: &Source,
    new: &NewRestore,
    request_id: &str,
    now: Timestamp,
) -> Result<OperationLog, Error> {
    check_vault(tx, source).await?;
    let plan = Plan::make(tx, &source.vault.project_id, &source.backup, new).await?;
    let volumes = plan.target_ids();
    for volume_id in &volumes {
        if !tx.lock_volume(volume_id).await? {
            return Err(Error::TargetVolumeNotFound {
                volume_id: volume_id.clone(),
            });
        }
    }
    check_traffic(tx, &plan, &volumes).await?;
    let resource_id = plan.protected_resource();
    reserve_resource(tx, &resource_id).await?;
    let wanted = Wanted {
        resource_id,
        target: plan.target(),
        mappings: plan.mappings(),
        power_on: new.power_on,
        new_server: None,
    };
    enqueue(app, tx, source, wanted, request_id, now).await
}

/// A restore that nothing speaks against.
struct Wanted {
    /// What a vault would protect of the target.
    resource_id: ResourceId,
    /// Id and name of what is overwritten.
    target: (ResourceId, String),
    mappings: Vec<RestoreMapping>,
    power_on: bool,
    new_server: Option<NewServer>,
}

async fn enqueue(
    app: &App,
    tx: &mut Tx,
    source: &Source,
    wanted: Wanted,
    request_id: &str,
    now: Timestamp,
) -> Result<OperationLog, Error> {
    let Source {
        backup,
        member,
        vault,
    } = source;
    if member.is_none() {
        mark_waiting(tx, backup, now).await?;
    }
    let log = new_log(app, vault, backup, wanted.target, request_id, now);
    work::begin(app, tx, JobKind::Restore, log.id.as_str(), &log, now).await?;
    let mut volumes: Vec<_> = wanted
        .mappings
        .iter()
        .map(|mapping| mapping.volume_id.clone())
        .collect();
    volumes.sort();
    tx.insert_restore(&Restore {
        operation_log_id: log.id.clone(),
        backup_id: backup.id.clone(),
        resource_id: wanted.resource_id,
        mappings: JsonText(wanted.mappings),
        power_on: wanted.power_on,
        member_id: member.as_ref().map(|member| member.id.clone()),
        new_server: wanted.new_server.map(JsonText),
    })
    .await?;
    for volume_id in volumes {
        let target = RestoreTarget {
            volume_id,
            operation_log_id: log.id.clone(),
        };
        tx.insert_restore_target(&target).await?;
    }
    Ok(log)
}

/// Only its owner's restores show in a backup's state: those of others keep it from being deleted, not from being used.
async fn mark_waiting(tx: &mut Tx, backup: &Backup, now: Timestamp) -> Result<(), Error> {
    let from = [BackupStatus::Available];
    let to = BackupStatus::WaitingRestore;
    if tx.move_backup(&backup.id, &from, to, now).await? {
        return Ok(());
    }
    Err(Error::BackupStateForbidsRestore {
        status: backup.status,
    })
}

/// Nobody else may be writing a target or reading it for a backup.
async fn check_traffic(tx: &mut Tx, plan: &Plan, volumes: &[VolumeId]) -> Result<(), Error> {
    check_restores(tx, volumes).await?;
    let mut resources: Vec<_> = volumes.iter().cloned().map(ResourceId::from).collect();
    resources.push(plan.protected_resource());
    if let Some(resource_id) = tx.resources_being_backed_up(&resources).await?.pop() {
        return Err(Error::ResourceBeingBackedUp { resource_id });
    }
    Ok(())
}

/// A restore holds its targets as a running machine would: ask for restores before asking the disks.
async fn check_restores(tx: &mut Tx, volumes: &[VolumeId]) -> Result<(), Error> {
    match tx.restore_targets_of(volumes).await?.pop() {
        None => Ok(()),
        Some(target) => Err(Error::ResourceBeingRestored {
            resource_id: target.volume_id.into(),
        }),
    }
}

/// Shows the target as restoring in the vault that protects it, if one does.
async fn reserve_resource(tx: &mut Tx, id: &ResourceId) -> Result<(), Error> {
    let Some(row) = tx.find_vault_resource(id).await? else {
        return Ok(());
    };
    let from = [
        ProtectStatus::Available,
        ProtectStatus::Error,
        ProtectStatus::Deleted,
    ];
    if tx
        .move_vault_resource(id, &from, ProtectStatus::Restoring)
        .await?
    {
        return Ok(());
    }
    let resource_id = id.clone();
    match row.protect_status {
        ProtectStatus::Removing => Err(Error::ResourceBeingRemoved { resource_id }),
        ProtectStatus::Migrating => Err(Error::VaultBusy),
        ProtectStatus::Protecting => Err(Error::ResourceBeingBackedUp { resource_id }),
        _ => Err(Error::ResourceBeingRestored { resource_id }),
    }
}

fn new_log(
    app: &App,
    vault: &Vault,
    backup: &Backup,
    target: (ResourceId, String),
    request_id: &str,
    now: Timestamp,
) -> OperationLog {
    let (target_resource_id, target_resource_name) = target;
    let extra = OperationExtra::Restore {
        backup_id: backup.id.clone(),
        backup_name: backup.name.clone(),
        target_resource_id,
        target_resource_name,
    };
    let subject = Subject {
        id: &backup.resource_id,
        resource_type: backup.resource_type,
        name: &backup.resource_name,
    };
    OperationLog {
        checkpoint_id: Some(backup.checkpoint_id.clone()),
        ..work::new_log(app, vault, Some(&subject), extra, request_id, now)
    }
}
