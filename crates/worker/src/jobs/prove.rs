//! Runs a machine from a backup, and keeps what it shows. Run again after a crash, it begins anew.

use strongroom_repo::PointId;
use strongroom_service::progress::{Failure, fail_proof, finish_proof, start_proof};
use strongroom_types::Trouble;

use super::{Context, JobError};
use crate::prove::{Known, ProveError};

pub(super) async fn run(context: &Context) -> Result<(), JobError> {
    let (app, lease) = (&context.app, &context.lease);
    let work = start_proof(app, lease).await?;
    let repository = context.repository_of(&work.vault_id, &work.owner).await?;
    let points = work
        .disks
        .iter()
        .filter_map(|disk| disk.point_id.as_deref());
    let points: Vec<PointId> = points
        .map(str::parse)
        .collect::<Result<_, strongroom_repo::Error>>()?;
    let (proof, cancel) = (&work.proof, &context.cancel);
    let prover = &context.prover;
    let known = Known {
        has_agent: work.has_agent,
        firmware: work.firmware,
    };
    let proving = prover.prove(&proof.id, &repository, &points, known, cancel);
    Ok(finish_proof(app, lease, proof, proving.await?).await?)
}

pub(super) async fn fail(context: &Context, failure: Failure) -> Result<(), JobError> {
    Ok(fail_proof(&context.app, &context.lease, failure).await?)
}

impl From<ProveError> for JobError {
    fn from(error: ProveError) -> Self {
        match error {
            ProveError::Cancelled => Self::Cancelled,
            ProveError::Repository(source) => source.into(),
            other => Self::Failed {
                trouble: Trouble::Internal,
                source: Box::new(other),
            },
        }
    }
}
