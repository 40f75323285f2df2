//! Copies of backups from other regions, as the region sees them where they go.
//!
//! A transfer makes a checkpoint and a backup in a replication vault at once, both `protecting`. The peer then compares
//! and sends stretches of the disks, which [`ReplicaStore`] keeps, and says what each disk must hold; a job puts the
//! points together and publishes the backup, or its failure.

mod rows;

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use strongroom_db::{Backup, NewJob, Page, Replica, ReplicaDisk, Tx, Vault, VaultFilter};
use strongroom_types::{
    BackupId, BackupStatus, JobId, JobKind, ObjectType, ProjectId, ProtectType, Timestamp,
    VaultStatus,
};

use crate::peers::{
    BegunDisk, BegunReplica, Comparison, DiskDigest, NewReplica, PeerCaller, ReplicaState, Stretch,
};
use crate::vaults::{self, VaultView};
use crate::{App, Error, locks};

/// As long as a sender asks again.
const SILENCE_MAX: Duration = Duration::from_hours(14 * 24);
/// How many are given up at a time.
const SILENT_MAX: u64 = 100;
/// Disks of one server.
const DISKS_MAX: usize = 256;

/// Keeps what peers send until it is put together. The worker implements it; tests have one without a repository.
#[async_trait]
pub trait ReplicaStore: Debug + Send + Sync {
    async fn compare(&self, disk: &ReceivedDisk, stretch: &Stretch) -> Result<Comparison, Error>;

    /// `ReplicaStale` when the blocks do not make the stretch out of what is there by now.
    async fn receive(
        &self,
        disk: &ReceivedDisk,
        stretch: &Stretch,
        blocks: &[u8],
    ) -> Result<(), Error>;
}

/// A disk that is being received.
#[derive(Debug, Clone)]
pub struct ReceivedDisk {
    pub backup: Backup,
    pub block_key: [u8; 32],
    /// The newest point of the same disk that came before.
    pub reference: Option<String>,
}

/// The vaults that a peer may see: those of a project that its projects may send to.
pub async fn list_vaults(
    app: &App,
    caller: &PeerCaller,
    project: &ProjectId,
    filter: &VaultFilter,
    page: &Page,
) -> Result<(Vec<VaultView>, u64), Error> {
    if !caller
        .peer
        .projects
        .iter()
        .any(|pair| pair.here == *project)
    {
        return Ok((Vec::new(), 0));
    }
    let mut tx = app.db.read().await?;
    let listed = tx.list_vaults(project, filter, page).await?;
    Ok((vaults::views(&mut tx, listed.rows).await?, listed.total))
}

/// Begins a transfer, or finds the one that was begun.
pub async fn begin(app: &App, caller: &PeerCaller, new: NewReplica) -> Result<BegunReplica, Error> {
    let (here, there) = (&new.destination_project_id, &new.source_project_id);
    if !caller.peer.joins(here, there) {
        return Err(Error::ProjectNotReplicable {
            project_id: here.clone(),
        });
    }
    if !(1..=DISKS_MAX).contains(&new.disks.len()) {
        return Err(Error::invalid(format!("disks must be 1 to {DISKS_MAX}.")));
    }
    let region = &caller.peer.region;
    let mut tx = app.db.begin().await?;
    let vault_id = &new.destination_vault_id;
    let vault = tx.lock_vault(vault_id).await?;
    let vault = vault
        .filter(|vault| vault.project_id == *here)
        .ok_or_else(|| Error::DestinationNotFound {
            vault_id: vault_id.clone(),
        })?;
    if let Some(replica) = tx.find_replica_of(region, &new.replication_id).await? {
        return begun(&mut tx, replica).await;
    }
    // A peer that was recovered has lost its records, not its backups.
    let there = tx.find_replica_in(vault_id, region, &new.source_backup_id);
    if let Some(replica) = there.await? {
        return begun(&mut tx, replica).await;
    }
    check_vault(&vault)?;
    let replica = insert(app, &mut tx, caller, &vault, &new).await?;
    let begun = begun(&mut tx, replica).await?;
    tx.commit().await?;
    Ok(begun)
}

fn check_vault(vault: &Vault) -> Result<(), Error> {
    let takes = vault.protect_type == ProtectType::Replication
        && vault.object_type == ObjectType::Server
        && vault.status == VaultStatus::Available;
    if !takes {
        return Err(Error::DestinationTakesNoReplicas);
    }
    if vaults::rules::is_full(vault) && !vault.auto_expand {
        return Err(Error::DestinationFull);
    }
    Ok(())
}

async fn begun(tx: &mut Tx, replica: Replica) -> Result<BegunReplica, Error> {
    let backup = find_backup(tx, &replica.backup_id).await?;
    let disks = tx.disks_of_replica(&replica.backup_id).await?;
    Ok(BegunReplica {
        is_committed: disks.iter().all(|disk| disk.digest.is_some()),
        checkpoint_id: backup.checkpoint_id,
        block_key: block_key(&replica)?,
        disks: disks
            .into_iter()
            .map(|disk| BegunDisk {
                source_backup_id: disk.source_backup_id,
                backup_id: disk.backup_id,
            })
            .collect(),
        backup_id: replica.backup_id,
    })
}

fn block_key(replica: &Replica) -> Result<[u8; 32], Error> {
    let mut key = [0; 32];
    hex::decode_to_slice(&replica.block_key, &mut key)
        .map_err(|_| Error::broken(format!("the block key of replica {}", replica.backup_id)))?;
    Ok(key)
}

async fn insert(
    app: &App,
    tx: &mut Tx,
    caller: &PeerCaller,
    vault: &Vault,
    new: &NewReplica,
) -> Result<Replica, Error> {
    let now = app.now();
    let checkpoint = rows::new_checkpoint(app, vault, new, now);
    tx.insert_checkpoint(&checkpoint).await?;
    let top = rows::new_backup(app, vault, &checkpoint, new, now);
    let top = rows::kept_by(top, new, locks::retention_start(app, tx).await?);
    tx.insert_backup(&top).await?;
    let log = rows::new_log(app, caller, vault, &top, new);
    tx.insert_operation_log(&log).await?;
    let mut key = [0; 32];
    app.ids.fill(&mut key);
    let replica = Replica {
        backup_id: top.id.clone(),
        source_region: caller.peer.region.clone(),
        source_project_id: new.source_project_id.clone(),
        source_checkpoint_id: new.source_checkpoint_id.clone(),
        source_backup_id: new.source_backup_id.clone(),
        replication_id: new.replication_id.clone(),
        operation_log_id: log.id.clone(),
        block_key: hex::encode(key),
    };
    tx.insert_replica(&replica).await?;
    for disk in &new.disks {
        let row = rows::new_disk(app, &top, disk);
        tx.insert_backup(&row).await?;
        let reference = tx.newest_point_of(&row.project_id, &row.resource_id);
        let reference = reference.await?;
        let disk = ReplicaDisk {
            backup_id: row.id,
            replica_id: top.id.clone(),
            source_backup_id: disk.source_backup_id.clone(),
            reference,
            digest: None,
        };
        tx.insert_replica_disk(&disk).await?;
    }
    Ok(replica)
}

async fn find_backup(tx: &mut Tx, id: &BackupId) -> Result<Backup, Error> {
    let backup = tx.find_backup(id).await?;
    backup.ok_or_else(|| Error::BackupNotFound {
        backup_id: id.clone(),
    })
}

/// A transfer of this peer; that of another one is as unknown as one that does not exist.
async fn owned(tx: &mut Tx, caller: &PeerCaller, id: &BackupId) -> Result<Replica, Error> {
    let replica = tx.find_replica(id).await?;
    replica
        .filter(|replica| replica.source_region == caller.peer.region)
        .ok_or_else(|| Error::BackupNotFound {
            backup_id: id.clone(),
        })
}

/// A disk that the peer is sending.
async fn receiving(app: &App, caller: &PeerCaller, id: &BackupId) -> Result<ReceivedDisk, Error> {
    let mut tx = app.db.read().await?;
    let disk = tx.find_replica_disk(id).await?;
    let disk = disk.ok_or_else(|| Error::BackupNotFound {
        backup_id: id.clone(),
    })?;
    let replica = owned(&mut tx, caller, &disk.replica_id).await?;
    let backup = find_backup(&mut tx, id).await?;
    if backup.status != BackupStatus::Protecting || disk.digest.is_some() {
        return Err(Error::ReplicaEnded);
    }
    Ok(ReceivedDisk {
        backup,
        block_key: block_key(&replica)?,
        reference: disk.reference,
    })
}

/// Which blocks of a stretch are lacking here.
pub async fn compare(
    app: &App,
    store: &dyn ReplicaStore,
    caller: &PeerCaller,
    stretch: &Stretch,
) -> Result<Comparison, Error> {
    let disk = receiving(app, caller, &stretch.disk_id).await?;
    store.compare(&disk, stretch).await
}

/// Takes the lacking blocks of a stretch; durable when it returns.
pub async fn receive(
    app: &App,
    store: &dyn ReplicaStore,
    caller: &PeerCaller,
    stretch: &Stretch,
    blocks: &[u8],
) -> Result<(), Error> {
    let disk = receiving(app, caller, &stretch.disk_id).await?;
    store.receive(&disk, stretch, blocks).await?;
    // So that the transfer is not taken for silent.
    let mut tx = app.db.begin().await?;
    if let Some(top) = &disk.backup.parent_id {
        tx.update_backup_progress(top, 0, app.now()).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Has transfers given up of which nothing came for long. Answers how many.
pub async fn give_up_silent(app: &App, now: Timestamp) -> Result<usize, Error> {
    let mut tx = app.db.begin().await?;
    let silent = tx
        .silent_replicas(now.minus(SILENCE_MAX), SILENT_MAX)
        .await?;
    for replica in &silent {
        // Without digests, the job can only fail the backup and remove what was kept.
        tx.want_job(&new_job(app, replica, ""), now).await?;
    }
    tx.commit().await?;
    Ok(silent.len())
}

fn new_job(app: &App, replica: &Replica, request_id: &str) -> NewJob {
    NewJob {
        id: JobId::random(&*app.ids),
        kind: JobKind::ReceiveReplica,
        subject_id: replica.backup_id.to_string(),
        operation_log_id: Some(replica.operation_log_id.clone()),
        attempts_max: app.settings.job_attempts_max,
        request_id: request_id.to_owned(),
    }
}

/// Everything was sent: a job puts the disks together. May be asked again.
pub async fn commit(
    app: &App,
    caller: &PeerCaller,
    replica_id: &BackupId,
    digests: &[DiskDigest],
) -> Result<(), Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let replica = owned(&mut tx, caller, replica_id).await?;
    let top = find_backup(&mut tx, replica_id).await?;
    let disks = tx.disks_of_replica(replica_id).await?;
    let begun = disks.iter().all(|disk| disk.digest.is_some());
    if begun || top.status != BackupStatus::Protecting {
        return Ok(());
    }
    if digests.len() != disks.len() {
        return Err(Error::invalid("disks must be all of the replica."));
    }
    for digest in digests {
        let text = hex::encode(digest.digest);
        if !tx
            .set_replica_digest(replica_id, &digest.backup_id, &text)
            .await?
        {
            return Err(Error::BackupNotFound {
                backup_id: digest.backup_id.clone(),
            });
        }
    }
    let job = new_job(app, &replica, &caller.request_id);
    tx.insert_job(&job, now).await?;
    tx.commit().await?;
    app.wake.notify_one();
    Ok(())
}

/// How far a replica is.
pub async fn state(
    app: &App,
    caller: &PeerCaller,
    replica_id: &BackupId,
) -> Result<ReplicaState, Error> {
    let mut tx = app.db.read().await?;
    owned(&mut tx, caller, replica_id).await?;
    let backup = find_backup(&mut tx, replica_id).await?;
    Ok(ReplicaState {
        status: backup.status,
        progress: backup.progress,
        message: backup.trouble_message,
    })
}

/// What a replica's disks must hold; nothing if the peer has not said so.
pub async fn digests(app: &App, replica_id: &BackupId) -> Result<Option<Vec<DiskDigest>>, Error> {
    let disks = app.db.read().await?.disks_of_replica(replica_id).await?;
    let mut digests = Vec::new();
    for disk in disks {
        let Some(text) = disk.digest else {
            return Ok(None);
        };
        let mut digest = [0; 32];
        hex::decode_to_slice(&text, &mut digest)
            .map_err(|_| Error::broken(format!("the digest of disk {}", disk.backup_id)))?;
        digests.push(DiskDigest {
            backup_id: disk.backup_id,
            digest,
        });
    }
    Ok(Some(digests))
}

/// What the job that puts a replica together needs of a disk.
pub async fn received_disk(app: &App, disk: &Backup) -> Result<ReceivedDisk, Error> {
    let gone = || Error::broken(format!("the replica of disk {} is gone", disk.id));
    let mut tx = app.db.read().await?;
    let parent = disk.parent_id.as_ref().ok_or_else(gone)?;
    let replica = tx.find_replica(parent).await?.ok_or_else(gone)?;
    let row = tx.find_replica_disk(&disk.id).await?.ok_or_else(gone)?;
    Ok(ReceivedDisk {
        backup: disk.clone(),
        block_key: block_key(&replica)?,
        reference: row.reference,
    })
}
