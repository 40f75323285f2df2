//! The backup of a server that runs. It is all of its disks at one instant, or nothing.

use strongroom_repo::{Commit, Repository};
use strongroom_service::Provenance;
use strongroom_service::progress::{BackupOutcome, BackupWork, DiskOutcome, DiskWork};
use strongroom_types::Timestamp;

use super::{disk_failure, new_point, publish, saved};
use crate::jobs::{Context, JobError, reporting};
use crate::live::{Instant, Served};
use crate::transfer::{self, Progress, TransferError};

/// Removes points that earlier attempts made: they are of other instants than this one's will be.
pub(super) async fn forget_earlier_instants(
    repository: &Repository,
    work: &BackupWork,
) -> Result<(), JobError> {
    for disk in &work.disks {
        if let Some(point) = repository.find_point(disk.backup.id.as_str()).await? {
            repository.delete_point(&point.id).await?;
        }
    }
    Ok(())
}

/// Saves the disks as QEMU serves them, publishes, and only then has the machine count changes from these points.
pub(super) async fn run(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    protected_at: Timestamp,
    instant: Instant,
) -> Result<(), JobError> {
    // Boxed: the state of a transfer is large.
    let published = Box::pin(save(context, repository, work, protected_at, &instant)).await;
    match &published {
        Ok(()) => instant.commit().await,
        // The machine is the other attempt's by now, which cleared it before it began.
        Err(JobError::LeaseLost) => {}
        Err(_) => instant.abandon().await,
    }
    published
}

async fn save(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    protected_at: Timestamp,
    instant: &Instant,
) -> Result<(), JobError> {
    let progress = Progress::new(instant.size_bytes());
    let saving = async {
        let mut disks = Vec::with_capacity(work.disks.len());
        for disk in &work.disks {
            let source = instant.open(disk).await?;
            let provenance = Provenance::of(work, disk, protected_at);
            let commit =
                save_disk(context, repository, disk, source, &provenance, &progress).await?;
            disks.push(DiskOutcome {
                backup_id: disk.backup.id.clone(),
                result: Ok(saved(&commit)),
            });
        }
        instant.check().await?;
        Ok::<_, JobError>(disks)
    };
    let (log, backup_id) = (&work.operation_log_id, &work.backup.id);
    let disks = reporting(context, log, backup_id, &progress, saving).await??;
    let outcome = BackupOutcome {
        disks,
        protected_at,
        quiesce: instant.quiesce.clone(),
    };
    publish(context, repository, work, outcome).await
}

async fn save_disk(
    context: &Context,
    repository: &Repository,
    work: &DiskWork,
    source: Served,
    provenance: &Provenance,
    progress: &Progress,
) -> Result<Commit, JobError> {
    let new = new_point(work, source.size_bytes(), provenance);
    let attributes = new.attributes.clone();
    match transfer::back_up(repository, source, new, progress, &context.cancel).await {
        Ok(commit) if commit.point.attributes == attributes => Ok(commit),
        Ok(_) => Err(JobError::Retry(
            "an attempt that was thought dead has stored a point of another instant".into(),
        )),
        // What is read comes from QEMU: the disk itself may be sound.
        Err(TransferError::Disk(error)) => {
            Err(JobError::Retry(disk_failure(work, &error).message.into()))
        }
        Err(error) => Err(error.into()),
    }
}
