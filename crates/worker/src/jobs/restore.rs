use std::path::Path;

use strongroom_block::BlockSink;
use strongroom_repo::PointId;
use strongroom_service::progress::{
    Failure, RestoreDisk, RestoreWork, fail_restore, finish_restore, start_restore,
};
use strongroom_types::{OperationLogId, Trouble};

use super::error::disk_trouble;
use super::{Context, JobError, machine, reporting};
use crate::new_servers;
use crate::places::open_sink;
use crate::transfer::{self, Progress};

/// Writes a backup back onto its targets, only where they differ; a later attempt simply compares again.
///
/// All targets are opened, under QEMU's write lock, before the first is written, so that no machine can start on
/// a half-restored disk and an unusable target is found before any other is touched.
pub(super) async fn run(
    context: &Context,
    operation_log_id: &OperationLogId,
) -> Result<(), JobError> {
    let work = start_restore(&context.app, &context.lease, operation_log_id).await?;
    let (vault, project) = (&work.backup.vault_id, &work.backup.project_id);
    let repository = context.repository_of(vault, project).await?;
    let total = work.disks.iter().map(|disk| disk.backup.size_bytes).sum();
    let progress = Progress::new(total);
    let machine = machine::of(context, &work);
    if let Some(machine) = machine {
        machine::stop(&context.app, machine, &work).await?;
    }
    if let Some(new) = &work.new_server {
        new_servers::make_images(&work, new).await?;
    }
    let targets = open_targets(&work).await?;
    let restoring = async {
        for (point, sink) in targets {
            transfer::restore(&repository, &point, sink, &progress, &context.cancel).await?;
        }
        Ok::<_, JobError>(())
    };
    reporting(
        context,
        operation_log_id,
        &work.backup.id,
        &progress,
        restoring,
    )
    .await??;
    if let Some(new) = &work.new_server {
        new_servers::describe(&work, new).await?;
    }
    // Before the end is published: who dies in between has it stopped, compared and started once more.
    if let Some(machine) = machine.filter(|_| work.power_on) {
        machine::start(machine).await;
    }
    Ok(finish_restore(&context.app, &context.lease, operation_log_id).await?)
}

pub(super) async fn fail(
    context: &Context,
    operation_log_id: &OperationLogId,
    failure: Failure,
) -> Result<(), JobError> {
    Ok(fail_restore(&context.app, &context.lease, operation_log_id, failure).await?)
}

type Target = (PointId, Box<dyn BlockSink>);

async fn open_targets(work: &RestoreWork) -> Result<Vec<Target>, JobError> {
    let disks = work.disks.clone();
    let opening = tokio::task::spawn_blocking(move || disks.iter().map(open_target).collect());
    opening
        .await
        .map_err(|_| JobError::Broken("opening the targets stopped unexpectedly"))?
}

fn open_target(disk: &RestoreDisk) -> Result<Target, JobError> {
    let point = disk
        .backup
        .point_id
        .as_deref()
        .ok_or(JobError::Broken("the backup has no point"))?;
    let sink = open_sink(Path::new(&disk.target.path), disk.target.format).map_err(|error| {
        JobError::Failed {
            trouble: disk_trouble(&error),
            source: Box::new(error),
        }
    })?;
    if sink.size_bytes() < disk.backup.size_bytes {
        let error = transfer::TransferError::TargetTooSmall {
            target_bytes: sink.size_bytes(),
            point_bytes: disk.backup.size_bytes,
        };
        return Err(JobError::Failed {
            trouble: Trouble::TargetTooSmall,
            source: Box::new(error),
        });
    }
    Ok((point.parse()?, sink))
}
