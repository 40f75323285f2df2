//! Copies of backups to other regions, as the region sees them where they come from.

use strongroom_db::{
    AppliedPolicy, Backup, JsonText, NewJob, OperationExtra, OperationLog, Policy, Replication,
    ReplicationTask, Tx, Vault,
};
use strongroom_types::{
    BackupId, BackupStatus, ImageType, JobId, JobKind, ObjectType, OperationStatus, OperationType,
    ProjectId, ProtectType, ReplicationId, ReplicationStatus, ResourceType, Timestamp, Trouble,
    VaultId, VaultStatus,
};

use crate::peers::{ExternalVaultList, ExternalVaults, PeerError, PeerSetting};
use crate::work::{self, NotStarted, Subject};
use crate::{Action, App, Caller, Error, backups, vaults};

/// A copy waits for those of older backups of its server, and for a destination that is away.
const ATTEMPTS_MAX: i64 = 10_000;
/// Backups that one call sends on their way; the next call takes the rest.
const BACKUPS_MAX: u64 = 1000;

/// Where copies go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub region: String,
    pub project_id: ProjectId,
    pub vault_id: VaultId,
}

#[derive(Debug, Clone)]
pub struct NewReplication {
    pub destination: Destination,
    /// What the copy is called; as the backup when absent.
    pub name: Option<String>,
    pub description: Option<String>,
}

/// The regions that copies can go to.
pub fn destinations(app: &App, caller: &Caller, project: &ProjectId) -> Result<Vec<String>, Error> {
    caller.authorise(Action::BackupsQueryReplicationCapability, project)?;
    let peers = app.settings.peers.iter();
    Ok(peers.map(|peer| peer.region.clone()).collect())
}

/// The vaults of a project in another region, none unless backups of this project may go there. `RegionNotReplicable` when
/// the region is no peer's.
pub async fn list_external_vaults(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    region: &str,
    query: &ExternalVaults,
) -> Result<ExternalVaultList, Error> {
    caller.authorise(Action::VaultsListExternal, project)?;
    if !find_peer(app, region)?.joins(project, &query.project_id) {
        return Ok(ExternalVaultList::default());
    }
    let listed = app.peers.list_vaults(region, query).await;
    listed.map_err(|error| unreachable(&error))
}

/// Copies of what a vault holds.
#[derive(Debug, Clone)]
pub struct NewVaultReplication {
    pub destination: Destination,
    /// Marks the copies as automatic.
    pub auto_trigger: bool,
}

/// Who wants copies.
struct Wish<'a> {
    new: NewReplication,
    auto_trigger: bool,
    policy: Option<&'a Policy>,
    request_id: &'a str,
}

/// Copies one backup of a server to another region.
pub async fn copy_backup(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    backup_id: &BackupId,
    new: NewReplication,
) -> Result<Replication, Error> {
    caller.authorise(Action::BackupsReplicate, project)?;
    let mut tx = app.db.read().await?;
    let backup = backups::find(&mut tx, project, backup_id).await?;
    drop(tx);
    check_backup(&backup)?;
    check_destination(app, project, &new.destination).await?;

    let mut tx = app.db.begin().await?;
    let vault = tx.lock_vault(&backup.vault_id).await?;
    let vault = vaults::owned(vault, project, &backup.vault_id)?;
    // What was read before the vault's lock may have changed meanwhile.
    let backup = backups::find(&mut tx, project, backup_id).await?;
    check_backup(&backup)?;
    let wish = Wish {
        new,
        auto_trigger: false,
        policy: None,
        request_id: &caller.request_id,
    };
    let replication = begin(app, &mut tx, &vault, &backup, &wish).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(replication)
}

/// Copies what of a vault's backups is not in the other region yet. `NothingToReplicate` when there is none.
pub async fn copy_vault(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    new: NewVaultReplication,
) -> Result<(Vault, Vec<Replication>), Error> {
    caller.authorise(Action::VaultsReplicate, project)?;
    let vault = app.db.read().await?.find_vault(vault_id).await?;
    let vault = vaults::owned(vault, project, vault_id)?;
    let wish = Wish {
        new: of_vault(new.destination),
        auto_trigger: new.auto_trigger,
        policy: None,
        request_id: &caller.request_id,
    };
    let started = start_vault(app, &vault, &wish).await?;
    if started.is_empty() {
        return Err(Error::NothingToReplicate);
    }
    Ok((vault, started))
}

/// A start of a replication policy that was due at `due_at`; called once for each. What begins nothing says why.
pub(crate) async fn run_start(
    app: &App,
    candidate: &AppliedPolicy,
    vault: &Vault,
    due_at: Timestamp,
) -> Result<(), Error> {
    let AppliedPolicy { policy, applied } = candidate;
    let request_id = app.ids.hex32();
    let to = policy.rules.0.destination.as_ref();
    let region = to.map_or("of the policy", |to| to.region.as_str());
    let unknown = || Error::RegionNotReplicable {
        region: region.to_owned(),
    };
    let destination = to.and_then(|to| {
        Some(Destination {
            region: to.region.clone(),
            project_id: to.project_id.parse().ok()?,
            vault_id: applied.destination_vault_id.clone()?,
        })
    });
    let outcome = match destination {
        Some(destination) => run_policy(app, policy, vault, destination, &request_id).await,
        None => Err(unknown()),
    };
    let (status, trouble, message) = match outcome {
        Ok(_) => return Ok(()),
        Err(Error::RegionNotReplicable { .. }) => (
            OperationStatus::Skipped,
            Trouble::NoPeer,
            format!("no peer is configured for the region {region}"),
        ),
        Err(error @ Error::ProjectNotReplicable { .. }) => {
            (OperationStatus::Skipped, Trouble::NoPeer, error.to_string())
        }
        Err(
            error @ (Error::DestinationUnchecked { .. }
            | Error::DestinationTakesNoReplicas
            | Error::DestinationNotFound { .. }
            | Error::DestinationFull
            | Error::VaultNotReplicable
            | Error::ReplicationOfDisks
            | Error::VaultState { .. }),
        ) => (
            OperationStatus::Failed,
            Trouble::PeerRefused,
            error.to_string(),
        ),
        Err(error) => return Err(error),
    };
    let run = NotStarted {
        policy_id: policy.id.clone(),
        operation_type: OperationType::Replication,
        due_at,
        status,
        trouble,
        message,
    };
    let log = work::log_not_started(app, vault, None, run, &request_id, app.now());
    let mut tx = app.db.begin().await?;
    tx.insert_operation_log(&log).await?;
    tx.commit().await?;
    Ok(())
}

/// What a due replication policy does: copies what of the vault's backups is not in the other region yet, or was not
/// copied well. Answers how many copies it began; a vault that is being copied still is left alone.
pub async fn run_policy(
    app: &App,
    policy: &Policy,
    vault: &Vault,
    destination: Destination,
    request_id: &str,
) -> Result<u64, Error> {
    let wish = Wish {
        new: of_vault(destination),
        auto_trigger: true,
        policy: Some(policy),
        request_id,
    };
    match start_vault(app, vault, &wish).await {
        Err(Error::VaultBeingReplicated) => Ok(0),
        started => Ok(started?.len() as u64),
    }
}

const fn of_vault(destination: Destination) -> NewReplication {
    NewReplication {
        destination,
        name: None,
        description: None,
    }
}

async fn start_vault(app: &App, vault: &Vault, wish: &Wish<'_>) -> Result<Vec<Replication>, Error> {
    if vault.protect_type == ProtectType::Replication {
        return Err(Error::VaultNotReplicable);
    }
    if vault.object_type != ObjectType::Server {
        return Err(Error::ReplicationOfDisks);
    }
    let destination = &wish.new.destination;
    check_destination(app, &vault.project_id, destination).await?;
    let mut tx = app.db.begin().await?;
    let vault = vaults::owned(
        tx.lock_vault(&vault.id).await?,
        &vault.project_id,
        &vault.id,
    )?;
    if vault.status != VaultStatus::Available {
        return Err(Error::VaultState {
            status: vault.status,
        });
    }
    if tx.count_active_replications(&vault.id, None).await? > 0 {
        return Err(Error::VaultBeingReplicated);
    }
    let left = tx.unreplicated_backups(&vault.id, &destination.region, BACKUPS_MAX);
    let mut started = Vec::new();
    for backup in left.await? {
        started.push(begin(app, &mut tx, &vault, &backup, wish).await?);
    }
    tx.commit().await?;
    app.wake.notify_one();
    Ok(started)
}

fn check_backup(backup: &Backup) -> Result<(), Error> {
    let refuse = |message: &str| {
        Err(Error::BackupNotReplicable {
            message: message.to_owned(),
        })
    };
    if backup.parent_id.is_some() || backup.resource_type != ResourceType::Server {
        return Err(Error::NotServerBackup);
    }
    if backup.image_type != ImageType::Backup {
        return refuse("the backup is a copy itself");
    }
    if !backup.system_disk {
        return refuse("the backup holds no system disk");
    }
    if backup.status != BackupStatus::Available {
        return refuse(&format!("the backup is {}", backup.status));
    }
    Ok(())
}

fn find_peer<'a>(app: &'a App, region: &str) -> Result<&'a PeerSetting, Error> {
    let mut peers = app.settings.peers.iter();
    let peer = peers.find(|peer| peer.region == region);
    peer.ok_or_else(|| Error::RegionNotReplicable {
        region: region.to_owned(),
    })
}

/// Asks the peer before anything is promised; never while a transaction is open.
async fn check_destination(app: &App, project: &ProjectId, to: &Destination) -> Result<(), Error> {
    if !find_peer(app, &to.region)?.joins(project, &to.project_id) {
        return Err(Error::ProjectNotReplicable {
            project_id: to.project_id.clone(),
        });
    }
    let found = app
        .peers
        .find_vault(&to.region, &to.project_id, &to.vault_id);
    let found = found.await.map_err(|error| unreachable(&error))?;
    match found {
        None => Err(Error::DestinationNotFound {
            vault_id: to.vault_id.clone(),
        }),
        Some(vault) if !vault.takes_replicas || !vault.is_available => {
            Err(Error::DestinationTakesNoReplicas)
        }
        Some(vault) if vault.is_full => Err(Error::DestinationFull),
        Some(_) => Ok(()),
    }
}

fn unreachable(error: &PeerError) -> Error {
    tracing::warn!(%error, "a peer cannot be asked");
    match error {
        PeerError::UnknownRegion { region } => Error::RegionNotReplicable {
            region: region.clone(),
        },
        PeerError::Unavailable { .. } | PeerError::Stale { .. } => Error::DestinationUnchecked {
            reason: "it does not answer".to_owned(),
        },
        PeerError::Refused { message, .. } => Error::DestinationUnchecked {
            reason: message.clone(),
        },
    }
}

/// Writes the record, its operation log and its job.
async fn begin(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    backup: &Backup,
    wish: &Wish<'_>,
) -> Result<Replication, Error> {
    let now = app.now();
    let (new, to) = (&wish.new, &wish.new.destination);
    let replication = Replication {
        id: ReplicationId::random(&*app.ids),
        project_id: backup.project_id.clone(),
        vault_id: vault.id.clone(),
        checkpoint_id: backup.checkpoint_id.clone(),
        backup_id: backup.id.clone(),
        destination_region: to.region.clone(),
        destination_project_id: to.project_id.clone(),
        destination_vault_id: to.vault_id.clone(),
        destination_checkpoint_id: None,
        destination_backup_id: None,
        name: new.name.clone().unwrap_or_else(|| backup.name.clone()),
        description: new
            .description
            .clone()
            .unwrap_or_else(|| backup.description.clone()),
        auto_trigger: wish.auto_trigger,
        status: ReplicationStatus::Waiting,
        progress: 0,
        trouble: None,
        trouble_message: String::new(),
        created_at: now,
        updated_at: now,
        policy_id: wish.policy.map(|policy| policy.id.clone()),
        retention: wish
            .policy
            .map(|policy| JsonText(policy.rules.0.retention.clone())),
    };
    match tx.insert_replication(&replication).await {
        Err(strongroom_db::Error::Conflict(_)) => {
            return Err(Error::ReplicatedAlready {
                region: to.region.clone(),
            });
        }
        inserted => inserted?,
    }
    let log = new_log(app, vault, backup, &replication, wish);
    tx.insert_operation_log(&log).await?;
    let job = NewJob {
        id: JobId::random(&*app.ids),
        kind: JobKind::Replicate,
        subject_id: replication.id.to_string(),
        operation_log_id: Some(log.id.clone()),
        attempts_max: ATTEMPTS_MAX,
        request_id: log.request_id.clone(),
    };
    tx.insert_job(&job, now).await?;
    Ok(replication)
}

fn new_log(
    app: &App,
    vault: &Vault,
    backup: &Backup,
    replication: &Replication,
    wish: &Wish<'_>,
) -> OperationLog {
    let subject = Subject {
        id: &backup.resource_id,
        resource_type: backup.resource_type,
        name: &backup.resource_name,
    };
    let task = ReplicationTask {
        source_region: app.settings.region.clone(),
        source_project_id: backup.project_id.clone(),
        source_checkpoint_id: backup.checkpoint_id.clone(),
        source_backup_id: backup.id.clone(),
        source_backup_name: backup.name.clone(),
        destination_region: replication.destination_region.clone(),
        destination_project_id: replication.destination_project_id.clone(),
        destination_checkpoint_id: None,
        destination_backup_id: None,
        destination_backup_name: replication.name.clone(),
    };
    let extra = OperationExtra::Replication(task);
    OperationLog {
        checkpoint_id: Some(backup.checkpoint_id.clone()),
        policy_id: wish.policy.map(|policy| policy.id.clone()),
        ..work::new_log(
            app,
            vault,
            Some(&subject),
            extra,
            wish.request_id,
            app.now(),
        )
    }
}
