mod at_rest;
mod live;

use strongroom_repo::{Error, NewPoint, Repository};
use strongroom_service::MachineAddress;
use strongroom_service::Provenance;
use strongroom_service::progress::{
    BackupOutcome, BackupWork, DiskFailure, DiskSaved, DiskWork, Failure, fail_backup,
    finish_backup, start_backup,
};
use strongroom_service::rows::{DiskReading, Quiesce};
use strongroom_types::{BackupId, Chain, FailedFreeze, VolumeId};

use super::error::disk_trouble;
use super::usage::{self, Change};
use super::{Context, JobError};
use crate::live::Instant;
use crate::transfer::{BackedUp, TransferError};

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
        if let Some(reason) = forbidden(&work, &instant) {
            instant.abandon().await;
            return live::refuse(context, &repository, &work, asked_at, reason).await;
        }
        return live::run(context, &repository, &work, asked_at, instant).await;
    }
    at_rest::run(context, &repository, &work).await
}

/// The guest's answer, where the policy wants no backup without file systems that stood still.
fn forbidden(work: &BackupWork, instant: &Instant) -> Option<String> {
    match (&instant.quiesce, work.on_failed_freeze()) {
        (Some(Quiesce::Failed { reason }), FailedFreeze::Fail) => Some(reason.clone()),
        _ => None,
    }
}

pub(super) async fn fail(
    context: &Context,
    backup_id: &BackupId,
    failure: Failure,
) -> Result<(), JobError> {
    Ok(fail_backup(&context.app, &context.lease, backup_id, failure).await?)
}

/// The log tells the operator where the disk lies; its owner knows it by its id.
fn disk_failure(work: &DiskWork, error: &strongroom_block::Error) -> DiskFailure {
    tracing::warn!(error = %Chain(error), "a disk cannot be backed up");
    DiskFailure {
        trouble: disk_trouble(error),
        message: format!("the disk {}: {}", work.backup.resource_id, error.reason()),
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

/// Why all of a disk was read.
struct ReadWhole {
    /// Continues "it was read whole, because".
    because: String,
    /// Where something has changed that was not marked, if that is why.
    wrong_at: Option<u64>,
}

impl ReadWhole {
    fn because(because: String) -> Self {
        Self {
            because,
            wrong_at: None,
        }
    }

    /// Where changes turned out not to be those since the last backup; another error is given back.
    fn instead_of(disk: &DiskWork, error: TransferError) -> Result<Self, TransferError> {
        match error {
            TransferError::OtherParent => Ok(Self::because(
                "the repository's newest point of it is not that of the last backup".to_owned(),
            )),
            TransferError::Repository(Error::Changed { offset }) => {
                let id = &disk.backup.resource_id;
                tracing::error!(volume = %id, offset, "a bitmap does not mark what has changed");
                Ok(Self {
                    because: format!("its bitmap did not mark what has changed at byte {offset}"),
                    wrong_at: Some(offset),
                })
            }
            error => Err(error),
        }
    }
}

fn saved(disk: &DiskWork, backed_up: &BackedUp, whole: Option<ReadWhole>) -> DiskSaved {
    let commit = &backed_up.commit;
    let (whole, wrong_at) =
        whole.map_or((None, None), |whole| (Some(whole.because), whole.wrong_at));
    DiskSaved {
        point_id: commit.point.id.to_string(),
        size_bytes: commit.point.size_bytes,
        stored_bytes: commit.bytes_stored,
        reading: Some(DiskReading {
            volume_id: VolumeId::from(disk.backup.resource_id.clone()),
            read_bytes: backed_up.read_bytes,
            whole,
            wrong_at,
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
