//! Puts together what a peer has sent: the disks of a backup, under this installation's own keys.

use strongroom_repo::{Content, NewPoint, Point, Repository};
use strongroom_service::Provenance;
use strongroom_service::peers::DiskDigest;
use strongroom_service::progress::{
    BackupOutcome, BackupWork, DiskOutcome, DiskSaved, Failure, fail_backup, start_backup,
};
use strongroom_service::replicas::{ReceivedDisk, digests, received_disk};
use strongroom_types::{BackupId, Chain, Trouble};

use super::{Context, JobError, back_up, reporting};
use crate::blocks::{DiskHash, block_ids, runs, stretches};
use crate::replicas::{forget, load};
use crate::transfer::Progress;

pub(super) async fn run(context: &Context, replica_id: &BackupId) -> Result<(), JobError> {
    let mut work = start_backup(&context.app, &context.lease, replica_id).await?;
    // What it is a backup of is not on this host, whatever this inventory says.
    work.server = None;
    work.resource = None;
    work.machine = None;
    for disk in &mut work.disks {
        disk.volume = None;
    }
    let repository = context.repositories.get(&work.backup.project_id).await?;
    let digests = digests(&context.app, replica_id).await?;
    let digests = digests.ok_or_else(|| JobError::Failed {
        trouble: Trouble::Interrupted,
        source: "the other region has sent nothing for too long".into(),
    })?;
    let progress = Progress::new(work.backup.size_bytes);
    // Boxed: the state of a writer is large.
    let assembling = Box::pin(assemble(context, &repository, &work, &digests, &progress));
    let log = &work.operation_log_id;
    let disks = reporting(context, log, replica_id, &progress, assembling).await??;
    let protected_at = work.backup.protected_at;
    let outcome = BackupOutcome {
        disks,
        protected_at: protected_at.unwrap_or(work.backup.created_at),
        quiesce: None,
        machine: None,
    };
    back_up::publish(context, &repository, &work, outcome).await
}

pub(super) async fn fail(
    context: &Context,
    replica_id: &BackupId,
    failure: Failure,
) -> Result<(), JobError> {
    let work = start_backup(&context.app, &context.lease, replica_id).await?;
    if let Err(error) = clear(context, &work).await {
        tracing::warn!(error = %Chain(&error), "what was received of a copy stays in the repository");
    }
    Ok(fail_backup(&context.app, &context.lease, replica_id, failure).await?)
}

/// Removes what was kept of a copy that will not be.
async fn clear(context: &Context, work: &BackupWork) -> Result<(), JobError> {
    let repository = context.repositories.get(&work.backup.project_id).await?;
    for disk in &work.disks {
        let received = received_disk(&context.app, &disk.backup).await?;
        forget(&repository, &received).await?;
    }
    Ok(())
}

async fn assemble(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    digests: &[DiskDigest],
    progress: &Progress,
) -> Result<Vec<DiskOutcome>, JobError> {
    let mut outcomes = Vec::new();
    for disk in &work.disks {
        let row = &disk.backup;
        let expected = digests.iter().find(|digest| digest.backup_id == row.id);
        let expected = expected.ok_or(JobError::Broken("a replica's disk has no digest"))?;
        let received = received_disk(&context.app, row).await?;
        let protected_at = row.protected_at.unwrap_or(row.created_at);
        let new = NewPoint {
            name: row.id.to_string(),
            lineage: row.resource_id.to_string(),
            size_bytes: row.size_bytes,
            attributes: Provenance::of(work, disk, protected_at).to_attributes(),
        };
        let point = write(context, repository, &received, new, expected, progress).await?;
        // The point is durable, and holds all that was kept for it.
        forget(repository, &received).await?;
        outcomes.push(DiskOutcome {
            backup_id: row.id.clone(),
            result: Ok(DiskSaved {
                point_id: point.id.to_string(),
                size_bytes: point.size_bytes,
                stored_bytes: point.bytes_stored,
                reading: None,
            }),
        });
    }
    Ok(outcomes)
}

/// The point is committed only if it holds what the peer says. One that is there was compared by an attempt before.
async fn write(
    context: &Context,
    repository: &Repository,
    disk: &ReceivedDisk,
    new: NewPoint,
    expected: &DiskDigest,
    progress: &Progress,
) -> Result<Point, JobError> {
    use strongroom_repo::Error;
    let size_bytes = new.size_bytes;
    let mut writer = match repository.begin_point(new).await {
        Err(Error::PointExists(point)) => return Ok(*point),
        begun => begun?,
    };
    let mut hash = DiskHash::new(&disk.block_key, size_bytes);
    for number in 0..stretches(size_bytes) {
        if context.cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        let bytes = load(repository, disk, number).await?;
        let ids = block_ids(&disk.block_key, &bytes);
        hash.add(&ids);
        progress.advance(bytes.len() as u64);
        for run in runs(bytes, &ids) {
            match run {
                Content::Data(data) => writer.write(data).await?,
                Content::Hole(length) => writer.hole(length).await?,
            }
        }
    }
    if hash.finish() != expected.digest {
        return Err(JobError::Failed {
            trouble: Trouble::DataDamaged,
            source: "what was put together is not what the other region sent".into(),
        });
    }
    match writer.commit().await {
        Err(Error::PointExists(point)) => Ok(*point),
        committed => Ok(committed?.point),
    }
}
