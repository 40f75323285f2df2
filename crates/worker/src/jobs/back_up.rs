mod at_rest;
mod live;

use strongroom_repo::{NewPoint, Repository};
use strongroom_service::MachineAddress;
use strongroom_service::Provenance;
use strongroom_service::progress::{
    BackupOutcome, BackupWork, DiskFailure, DiskSaved, DiskWork, Failure, fail_backup,
    finish_backup, start_backup,
};
use strongroom_service::rows::DiskReading;
use strongroom_types::{BackupId, Chain, VolumeId};

use super::error::disk_trouble;
use super::usage::{self, Change};
use super::{Context, JobError};
use crate::transfer::BackedUp;

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
    at_rest::run(context, &repository, &work).await
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
