mod live;

use std::path::Path;

use strongroom_block::BlockSource;
use strongroom_repo::{NewPoint, Repository};
use strongroom_service::MachineAddress;
use strongroom_service::Provenance;
use strongroom_service::progress::{
    BackupOutcome, BackupWork, DiskFailure, DiskOutcome, DiskSaved, DiskWork, Failure, fail_backup,
    finish_backup, start_backup,
};
use strongroom_service::rows::{DiskReading, Quiesce};
use strongroom_types::{BackupId, Chain, ConsistentLevel, Timestamp, Trouble, VolumeId};

use super::error::disk_trouble;
use super::usage::{self, Change};
use super::{Context, JobError, reporting};
use crate::places::open_source;
use crate::transfer::{self, BackedUp, Progress};

/// Backs up one resource: a disk, or every disk of a server.
///
/// A server that runs is asked to serve its disks. Otherwise all disks are opened, under QEMU's locks, before the first is
/// read. Either way they are one instant together.
pub(super) async fn run(context: &Context, backup_id: &BackupId) -> Result<(), JobError> {
    let mut work = start_backup(&context.app, &context.lease, backup_id).await?;
    let repository = context.repositories.get(&work.backup.project_id).await?;
    if work
        .server
        .as_ref()
        .is_some_and(|server| MachineAddress::of(server).is_some())
    {
        live::forget_earlier_instants(&repository, &work).await?;
    }
    let asked_at = context.app.now();
    if let Some(mut instant) = crate::live::begin(&context.live, &work).await? {
        // What it says now goes before what it said last.
        work.machine = instant.machine.take().or(work.machine);
        return live::run(context, &repository, &work, asked_at, instant).await;
    }
    back_up_at_rest(context, &repository, &work).await
}

async fn back_up_at_rest(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
) -> Result<(), JobError> {
    let opened = open_disks(work).await?;
    let protected_at = context.app.now();
    let total = opened
        .iter()
        .filter_map(|disk| disk.source.as_ref().ok())
        .map(|source| source.size_bytes())
        .sum();
    let progress = Progress::new(total);
    // Boxed: the state of a transfer is large.
    let saving = Box::pin(save_disks(
        context,
        repository,
        work,
        protected_at,
        opened,
        &progress,
    ));
    let disks = reporting(
        context,
        &work.operation_log_id,
        &work.backup.id,
        &progress,
        saving,
    )
    .await??;
    let outcome = BackupOutcome {
        disks,
        protected_at,
        quiesce: not_asked(work),
        machine: work.machine.clone(),
    };
    publish(context, repository, work, outcome).await
}

/// Nobody is there to hold still in a machine that is off.
fn not_asked(work: &BackupWork) -> Option<Quiesce> {
    let is_wanted = work.vault.consistent_level == ConsistentLevel::App;
    is_wanted.then(|| Quiesce::Failed {
        reason: "the server was off: its disks are as it left them".to_owned(),
    })
}

pub(super) async fn fail(
    context: &Context,
    backup_id: &BackupId,
    failure: Failure,
) -> Result<(), JobError> {
    Ok(fail_backup(&context.app, &context.lease, backup_id, failure).await?)
}

struct OpenedDisk {
    work: DiskWork,
    source: Result<Box<dyn BlockSource>, DiskFailure>,
}

async fn open_disks(work: &BackupWork) -> Result<Vec<OpenedDisk>, JobError> {
    let disks = work.disks.clone();
    let opening = tokio::task::spawn_blocking(move || {
        disks
            .into_iter()
            .map(|work| OpenedDisk {
                source: open_disk(&work),
                work,
            })
            .collect()
    });
    opening
        .await
        .map_err(|_| JobError::Broken("opening the disks stopped unexpectedly"))
}

fn open_disk(work: &DiskWork) -> Result<Box<dyn BlockSource>, DiskFailure> {
    let Some(volume) = &work.volume else {
        return Err(DiskFailure {
            trouble: Trouble::DiskMissing,
            message: "the disk is no longer in the inventory".to_owned(),
        });
    };
    open_source(Path::new(&volume.path), volume.format).map_err(|error| disk_failure(work, &error))
}

/// The log tells the operator where the disk lies; its owner knows it by its id.
fn disk_failure(work: &DiskWork, error: &strongroom_block::Error) -> DiskFailure {
    tracing::warn!(error = %Chain(error), "a disk cannot be backed up");
    DiskFailure {
        trouble: disk_trouble(error),
        message: format!("the disk {}: {}", work.backup.resource_id, error.reason()),
    }
}

async fn save_disks(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    protected_at: Timestamp,
    disks: Vec<OpenedDisk>,
    progress: &Progress,
) -> Result<Vec<DiskOutcome>, JobError> {
    let mut outcomes = Vec::with_capacity(disks.len());
    for OpenedDisk { work: disk, source } in disks {
        let result = match source {
            Ok(source) => {
                let provenance = Provenance::of(work, &disk, protected_at);
                save_disk(context, repository, &disk, source, &provenance, progress).await?
            }
            Err(failure) => Err(failure),
        };
        outcomes.push(DiskOutcome {
            backup_id: disk.backup.id,
            result,
        });
    }
    Ok(outcomes)
}

/// A disk that fails is an outcome, and the next disk is still saved; a storage that fails ends the attempt.
async fn save_disk(
    context: &Context,
    repository: &Repository,
    work: &DiskWork,
    source: Box<dyn BlockSource>,
    provenance: &Provenance,
    progress: &Progress,
) -> Result<Result<DiskSaved, DiskFailure>, JobError> {
    let new = new_point(work, source.size_bytes(), provenance);
    match transfer::back_up(repository, source, new, progress, &context.cancel).await {
        Ok(backed_up) => {
            let because = "nothing records the changes of a disk at rest".to_owned();
            Ok(Ok(saved(work, &backed_up, Some(because))))
        }
        Err(transfer::TransferError::Disk(error)) => Ok(Err(disk_failure(work, &error))),
        Err(error) => Err(error.into()),
    }
}

fn new_point(work: &DiskWork, size_bytes: u64, provenance: &Provenance) -> NewPoint {
    NewPoint {
        name: work.backup.id.to_string(),
        lineage: work.backup.resource_id.to_string(),
        size_bytes,
        attributes: provenance.to_attributes(),
    }
}

/// `whole` is why all of it was read, if it was.
fn saved(disk: &DiskWork, backed_up: &BackedUp, whole: Option<String>) -> DiskSaved {
    let commit = &backed_up.commit;
    DiskSaved {
        point_id: commit.point.id.to_string(),
        size_bytes: commit.point.size_bytes,
        stored_bytes: commit.bytes_stored,
        reading: Some(DiskReading {
            volume_id: VolumeId::from(disk.backup.resource_id.clone()),
            read_bytes: backed_up.read_bytes,
            whole,
            wrong_at: None,
        }),
    }
}

pub(super) async fn publish(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    outcome: BackupOutcome,
) -> Result<(), JobError> {
    let added: Vec<String> = outcome
        .disks
        .iter()
        .filter_map(|disk| {
            disk.result
                .as_ref()
                .ok()
                .map(|saved| saved.point_id.clone())
        })
        .collect();
    let change = Change {
        vault_id: &work.vault.id,
        resource_id: &work.backup.resource_id,
        added: &added,
        removed: &[],
    };
    usage::publish(context, repository, &change, |usage| {
        finish_backup(
            &context.app,
            &context.lease,
            &work.backup.id,
            outcome.clone(),
            usage,
        )
    })
    .await
}
