//! How much of a receiver's vault an accepted backup takes: what its points occupy in their owner's repository.

use strongroom_repo::PointId;
use strongroom_service::progress::{
    Failure, fail_measure_share, finish_measure_share, start_measure_share,
};
use strongroom_types::MemberId;

use super::{Context, JobError};

pub(super) async fn run(context: &Context, id: &MemberId) -> Result<(), JobError> {
    let work = start_measure_share(&context.app, &context.lease, id).await?;
    let repository = context.repositories.get(&work.owner).await?;
    let points = work.points.iter().map(|point| point.parse());
    let points: Vec<PointId> = points.collect::<Result<_, strongroom_repo::Error>>()?;
    let bytes = repository.occupied(&points).await?;
    Ok(finish_measure_share(&context.app, &context.lease, id, &work.vault_id, bytes).await?)
}

pub(super) async fn fail(context: &Context, failure: Failure) -> Result<(), JobError> {
    Ok(fail_measure_share(&context.app, &context.lease, failure).await?)
}
