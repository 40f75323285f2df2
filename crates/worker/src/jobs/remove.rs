//! Deleting backups: the points go first, then the rows, so that nothing visible ever lacks its data.

use strongroom_db::Job;
use strongroom_repo::Repository;
use strongroom_service::Error;
use strongroom_service::progress::{
    DeletionWork, Failure, VaultUsage, fail_deletion, finish_delete_backup, finish_delete_vault,
    finish_remove_resource, start_delete_backup, start_delete_vault, start_remove_resource,
};
use strongroom_types::{BackupId, OperationLogId, ProtectType, VaultId};

use super::usage::{self, Change};
use super::{Context, JobError};

pub(super) async fn backup(context: &Context, id: &BackupId) -> Result<(), JobError> {
    let work = start_delete_backup(&context.app, &context.lease, id).await?;
    let finish = |usage| finish_delete_backup(&context.app, &context.lease, id, usage);
    delete_and_measure(context, &work, finish).await
}

pub(super) async fn resource(context: &Context, id: &OperationLogId) -> Result<(), JobError> {
    let work = start_remove_resource(&context.app, &context.lease, id).await?;
    let finish = |usage| finish_remove_resource(&context.app, &context.lease, id, usage);
    delete_and_measure(context, &work, finish).await
}

async fn delete_and_measure<F>(
    context: &Context,
    work: &DeletionWork,
    finish: impl Fn(VaultUsage) -> F,
) -> Result<(), JobError>
where
    F: Future<Output = Result<(), Error>>,
{
    let (repository, removed) = delete_points(context, work).await?;
    let resource_id = work
        .resource_id
        .as_ref()
        .ok_or(JobError::Broken("the work names no resource"))?;
    let change = Change {
        vault_id: &work.vault.id,
        resource_id,
        added: &[],
        removed: &removed,
    };
    usage::publish(context, &repository, &change, finish).await
}

pub(super) async fn vault(context: &Context, id: &VaultId) -> Result<(), JobError> {
    let work = start_delete_vault(&context.app, &context.lease, id).await?;
    if work.vault.protect_type != ProtectType::Hybrid {
        delete_points(context, &work).await?;
    }
    Ok(finish_delete_vault(&context.app, &context.lease, id).await?)
}

pub(super) async fn fail(context: &Context, job: &Job, failure: Failure) -> Result<(), JobError> {
    let operation_log_id = job
        .operation_log_id
        .as_ref()
        .ok_or(JobError::Broken("a deletion has an operation log"))?;
    Ok(fail_deletion(&context.app, &context.lease, operation_log_id, failure).await?)
}

/// What another installation wrote stays: it is only taken off the list.
async fn delete_points(
    context: &Context,
    work: &DeletionWork,
) -> Result<(Repository, Vec<String>), JobError> {
    let vault = &work.vault;
    let repository = context.repository_of(&vault.id, &vault.project_id).await?;
    let removed: Vec<String> = work
        .backups
        .iter()
        .filter_map(|backup| backup.point_id.clone())
        .collect();
    if vault.protect_type == ProtectType::Hybrid {
        return Ok((repository, removed));
    }
    for point in &removed {
        if context.cancel.is_cancelled() {
            return Err(JobError::Cancelled);
        }
        repository.delete_point(&point.parse()?).await?;
    }
    Ok((repository, removed))
}
