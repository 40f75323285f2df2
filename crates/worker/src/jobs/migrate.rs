//! Moving a resource to another vault: no data moves, but what both vaults take is measured anew.

use strongroom_service::Error;
use strongroom_service::progress::{
    Failure, MigrationUsage, fail_migration, finish_migration, list_points_of_vault,
    start_migration,
};
use strongroom_types::OperationLogId;

use super::usage::{Change, MEASUREMENTS_MAX, measure};
use super::{Context, JobError};

pub(super) async fn run(context: &Context, id: &OperationLogId) -> Result<(), JobError> {
    let work = start_migration(&context.app, &context.lease, id).await?;
    let repository = context.repositories.get(&work.source.project_id).await?;
    for _ in 0..MEASUREMENTS_MAX {
        let held = list_points_of_vault(&context.app, &work.source.id).await?;
        let moved: Vec<String> = held
            .into_iter()
            .filter(|point| point.resource_id == work.resource_id)
            .map(|point| point.point_id)
            .collect();
        let leaving = Change {
            vault_id: &work.source.id,
            resource_id: &work.resource_id,
            added: &[],
            removed: &moved,
        };
        let arriving = Change {
            vault_id: &work.destination_id,
            resource_id: &work.resource_id,
            added: &moved,
            removed: &[],
        };
        let usage = MigrationUsage {
            source: measure(context, &repository, &leaving).await?,
            destination: measure(context, &repository, &arriving).await?,
        };
        match finish_migration(&context.app, &context.lease, id, usage).await {
            Err(Error::UsageStale) => {}
            ended => return Ok(ended?),
        }
    }
    Err(JobError::Retry(Box::new(Error::UsageStale)))
}

pub(super) async fn fail(
    context: &Context,
    id: &OperationLogId,
    failure: Failure,
) -> Result<(), JobError> {
    Ok(fail_migration(&context.app, &context.lease, id, failure).await?)
}
