//! Sends a backup to another region: what the other side lacks, stretch by stretch.

use std::time::Duration;

use strongroom_db::Job;
use strongroom_repo::Repository;
use strongroom_service::peers::{
    BegunReplica, Comparison, DiskDigest, NewReplica, NewReplicaDisk, PeerError, ReplicaRules,
    Stretch,
};
use strongroom_service::progress::{
    Failure, ReplicationTurn, ReplicationWork, fail_replication, finish_replication,
    note_destination, report_replication, retry, start_replication,
};
use strongroom_service::rows::{Backup, Replication};
use strongroom_types::{BackupId, BackupStatus, Chain, ReplicationId, Trouble};

use super::{Context, JobError};
use crate::blocks::{BLOCK_BYTES, DiskHash, StretchReader, block_ids};
use crate::metrics;
use crate::transfer::Progress;

/// Before a copy that has to wait is looked at again.
const SOON: Duration = Duration::from_secs(2);
/// The same, once it has waited long.
const LATER: Duration = Duration::from_mins(1);
const LOOKS_SOON: i64 = 60;
/// The other side changes only by what this transfer does; more is a defect.
const COMPARISONS_MAX: usize = 5;
/// Between two writes of the progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How an attempt ended that did not fail.
enum Step {
    Done,
    /// To be looked at again.
    Wait(String),
}

pub(super) async fn run(context: &Context, job: &Job, id: &ReplicationId) -> Result<(), JobError> {
    let work = match start_replication(&context.app, &context.lease, id).await? {
        ReplicationTurn::Now(work) => work,
        ReplicationTurn::Later => {
            return wait(context, job, "an older backup of the server is on its way").await;
        }
    };
    // Boxed: the state of a transfer is large.
    match Box::pin(replicate(context, &work)).await {
        Ok(Step::Done) => Ok(finish_replication(&context.app, &context.lease, &work).await?),
        Ok(Step::Wait(reason)) => wait(context, job, &reason).await,
        // Attempts that waited have been counted too: what may pass is tried for as long as the job lasts.
        Err(JobError::Retry(source)) => {
            let reason = Chain(source.as_ref()).to_string();
            tracing::warn!(error = %reason, "a copy to another region has to wait");
            wait(context, job, &reason).await
        }
        Err(error) => Err(error),
    }
}

pub(super) async fn fail(
    context: &Context,
    id: &ReplicationId,
    failure: Failure,
) -> Result<(), JobError> {
    Ok(fail_replication(&context.app, &context.lease, id, failure).await?)
}

async fn wait(context: &Context, job: &Job, reason: &str) -> Result<(), JobError> {
    let delay = if job.attempt <= LOOKS_SOON {
        SOON
    } else {
        LATER
    };
    let run_at = context.app.now().plus(delay);
    Ok(retry(&context.app, &context.lease, reason, run_at).await?)
}

async fn replicate(context: &Context, work: &ReplicationWork) -> Result<Step, JobError> {
    let (app, region) = (&context.app, &work.replication.destination_region);
    let begun = app.peers.begin(region, &new_replica(work)).await?;
    note_destination(app, &context.lease, work, &begun).await?;
    if !begun.is_committed {
        let digests = send_disks(context, work, &begun).await?;
        app.peers.commit(region, &begun.backup_id, &digests).await?;
    }
    let state = app.peers.status(region, &begun.backup_id).await?;
    match state.status {
        BackupStatus::Available => Ok(Step::Done),
        BackupStatus::WaitingProtect | BackupStatus::Protecting => Ok(Step::Wait(
            "the other region puts the copy together".to_owned(),
        )),
        _ => Err(JobError::Failed {
            trouble: Trouble::PeerRefused,
            source: format!("the copy has failed in the other region: {}", state.message).into(),
        }),
    }
}

fn new_replica(work: &ReplicationWork) -> NewReplica {
    let (replication, backup) = (&work.replication, &work.backup);
    let disk = |disk: &Backup| NewReplicaDisk {
        source_backup_id: disk.id.clone(),
        volume_id: disk.resource_id.clone(),
        name: disk.resource_name.clone(),
        size_bytes: disk.size_bytes,
        system_disk: disk.system_disk,
    };
    NewReplica {
        replication_id: replication.id.clone(),
        source_project_id: replication.project_id.clone(),
        source_checkpoint_id: replication.checkpoint_id.clone(),
        source_backup_id: backup.id.clone(),
        destination_project_id: replication.destination_project_id.clone(),
        destination_vault_id: replication.destination_vault_id.clone(),
        name: replication.name.clone(),
        description: replication.description.clone(),
        auto_trigger: replication.auto_trigger,
        rules: rules_of(replication),
        server_id: backup.resource_id.clone(),
        server_name: backup.resource_name.clone(),
        protected_at: backup.protected_at.unwrap_or(backup.created_at),
        disks: work.disks.iter().map(disk).collect(),
    }
}

fn rules_of(replication: &Replication) -> Option<ReplicaRules> {
    Some(ReplicaRules {
        policy_id: replication.policy_id.clone()?,
        retention: replication.retention.clone()?.0,
    })
}

async fn send_disks(
    context: &Context,
    work: &ReplicationWork,
    begun: &BegunReplica,
) -> Result<Vec<DiskDigest>, JobError> {
    let (vault, project) = (&work.backup.vault_id, &work.backup.project_id);
    let repository = context.repository_of(vault, project).await?;
    let total = work.disks.iter().map(|disk| disk.size_bytes).sum();
    let progress = Progress::new(total);
    let sending = async {
        let mut digests = Vec::new();
        for disk in &work.disks {
            let at = begun.disks.iter().find(|at| at.source_backup_id == disk.id);
            let at = at.ok_or(JobError::Broken("the other region left out a disk"))?;
            let transfer = Transfer {
                context,
                region: &work.replication.destination_region,
                block_key: &begun.block_key,
                disk_id: &at.backup_id,
            };
            digests.push(transfer.send_disk(&repository, disk, &progress).await?);
        }
        Ok::<_, JobError>(digests)
    };
    let reports = report(context, work, &progress);
    tokio::select! {
        sent = sending => sent,
        error = reports => Err(error),
    }
}

/// Writes the progress now and then; ends only with an error.
async fn report(context: &Context, work: &ReplicationWork, progress: &Progress) -> JobError {
    let mut tick = tokio::time::interval(REPORT_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let percent = u64::from(progress.percent());
        match report_replication(&context.app, &context.lease, work, percent).await {
            Ok(()) => {}
            Err(error @ strongroom_service::Error::Busy(_)) => {
                tracing::warn!(error = %Chain(&error), "progress cannot be written now");
            }
            Err(error) => return error.into(),
        }
    }
}

/// One disk on its way.
struct Transfer<'a> {
    context: &'a Context,
    region: &'a str,
    block_key: &'a [u8; 32],
    /// The disk's backup at the destination.
    disk_id: &'a BackupId,
}

impl Transfer<'_> {
    async fn send_disk(
        &self,
        repository: &Repository,
        disk: &Backup,
        progress: &Progress,
    ) -> Result<DiskDigest, JobError> {
        let point = disk.point_id.as_deref();
        let point = point.ok_or(JobError::Broken("the backup has no point"))?;
        let mut stretches = StretchReader::open(repository, &point.parse()?).await?;
        let mut hash = DiskHash::new(self.block_key, disk.size_bytes);
        let mut number = 0;
        while let Some(bytes) = stretches.next().await? {
            if self.context.cancel.is_cancelled() {
                return Err(JobError::Cancelled);
            }
            let ids = block_ids(self.block_key, &bytes);
            hash.add(&ids);
            let stretch = Stretch {
                disk_id: self.disk_id.clone(),
                number,
                ids,
            };
            self.send_stretch(&stretch, &bytes).await?;
            progress.advance(bytes.len() as u64);
            number += 1;
        }
        Ok(DiskDigest {
            backup_id: self.disk_id.clone(),
            digest: hash.finish(),
        })
    }

    /// Sends what the other side lacks of a stretch; durable there when it returns.
    async fn send_stretch(&self, stretch: &Stretch, bytes: &[u8]) -> Result<(), JobError> {
        let peers = &self.context.app.peers;
        for _ in 0..COMPARISONS_MAX {
            let lacking = match peers.compare(self.region, stretch).await? {
                Comparison::Same => return Ok(()),
                Comparison::Lacking(lacking) => lacking,
            };
            let blocks = pick(bytes, &lacking)?;
            let length = blocks.len() as u64;
            match peers.send(self.region, stretch, blocks).await {
                Err(PeerError::Stale { .. }) => {}
                sent => {
                    sent?;
                    metrics::replica_sent(length);
                    return Ok(());
                }
            }
        }
        Err(JobError::Broken(
            "the other region changes under the transfer",
        ))
    }
}

fn pick(stretch: &[u8], numbers: &[u32]) -> Result<Vec<u8>, JobError> {
    let blocks: Vec<_> = stretch.chunks(BLOCK_BYTES).collect();
    let mut picked = Vec::with_capacity(numbers.len() * BLOCK_BYTES);
    for number in numbers {
        let number = usize::try_from(*number).unwrap_or(usize::MAX);
        let block = blocks.get(number);
        let block = block.ok_or(JobError::Broken("the other region lacks what there is not"))?;
        picked.extend_from_slice(block);
    }
    Ok(picked)
}

impl From<PeerError> for JobError {
    fn from(error: PeerError) -> Self {
        match error {
            PeerError::Unavailable { .. } | PeerError::Stale { .. } => Self::Retry(Box::new(error)),
            PeerError::UnknownRegion { .. } | PeerError::Refused { .. } => Self::Failed {
                trouble: Trouble::PeerRefused,
                source: Box::new(error),
            },
        }
    }
}
