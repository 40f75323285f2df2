//! How much of the storage a vault takes, measured over the points it will have when a job's outcome is out.

use strongroom_repo::{PointId, Repository};
use strongroom_service::Error;
use strongroom_service::progress::{VaultUsage, list_points_of_vault};
use strongroom_types::{ResourceId, VaultId};

use super::{Context, JobError};

/// Measuring races with other jobs of the vault; each loss means another job made progress.
pub(super) const MEASUREMENTS_MAX: usize = 20;

/// What a job does to a vault's points.
pub(super) struct Change<'a> {
    pub(super) vault_id: &'a VaultId,
    /// The resource in the vault that the points belong to.
    pub(super) resource_id: &'a ResourceId,
    pub(super) added: &'a [String],
    pub(super) removed: &'a [String],
}

/// Measures and publishes, again if another job changed the vault in between.
pub(super) async fn publish<F>(
    context: &Context,
    repository: &Repository,
    change: &Change<'_>,
    finish: impl Fn(VaultUsage) -> F,
) -> Result<(), JobError>
where
    F: Future<Output = Result<(), Error>>,
{
    for _ in 0..MEASUREMENTS_MAX {
        match finish(measure(context, repository, change).await?).await {
            Err(Error::UsageStale) => {}
            ended => return Ok(ended?),
        }
    }
    Err(JobError::Retry(Box::new(Error::UsageStale)))
}

pub(super) async fn measure(
    context: &Context,
    repository: &Repository,
    change: &Change<'_>,
) -> Result<VaultUsage, JobError> {
    let held = list_points_of_vault(&context.app, change.vault_id).await?;
    let kept = || {
        held.iter()
            .filter(|point| !change.removed.contains(&point.point_id))
    };
    let mut of_vault: Vec<String> = kept().map(|point| point.point_id.clone()).collect();
    let mut of_resource: Vec<String> = kept()
        .filter(|point| point.resource_id == *change.resource_id)
        .map(|point| point.point_id.clone())
        .collect();
    for points in [&mut of_vault, &mut of_resource] {
        points.extend_from_slice(change.added);
        points.sort_unstable();
        points.dedup();
    }
    let resource_bytes = repository.occupied(&parse(&of_resource)?).await?;
    let vault_bytes = if of_resource.len() == of_vault.len() {
        resource_bytes
    } else {
        repository.occupied(&parse(&of_vault)?).await?
    };
    Ok(VaultUsage {
        points: of_vault,
        vault_bytes,
        resource_bytes,
    })
}

pub(super) fn parse(points: &[String]) -> Result<Vec<PointId>, JobError> {
    points
        .iter()
        .map(|point| point.parse())
        .collect::<Result<_, strongroom_repo::Error>>()
        .map_err(JobError::from)
}
