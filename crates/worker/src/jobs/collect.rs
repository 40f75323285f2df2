//! Freeing what no backup of a project needs any more.

use std::time::Duration;

use strongroom_db::Job;
use strongroom_repo::Error;
use strongroom_service::progress::{Failure, fail_collection, finish_collection, retry};
use strongroom_types::ProjectId;

use super::{Context, JobError, subject};

/// Before a collection goes on that backups or restores have held up; doubled each time.
const HELD_UP: Duration = Duration::from_mins(1);
const DOUBLINGS_MAX: i64 = 6;

pub(super) async fn run(context: &Context, job: &Job) -> Result<(), JobError> {
    let project: ProjectId = subject(job)?;
    let repository = context.repositories.get(&project).await?;
    let collected = tokio::select! {
        collected = repository.collect(&context.collect, &|_| ()) => collected,
        // It may stop anywhere; the next one goes on.
        () = context.cancel.cancelled() => return Err(JobError::Cancelled),
    };
    if let Ok(report) = &collected
        && report.chunks_missing > 0
    {
        tracing::error!(
            chunks = report.chunks_missing,
            "backups need chunks that no pack of their repository has: verify it"
        );
    }
    let reason = match collected {
        Ok(report) if report.packs_pending == 0 => {
            tracing::info!(
                bytes = report.bytes_deleted,
                packs = report.packs_deleted,
                "space was freed"
            );
            return Ok(finish_collection(&context.app, &context.lease, job).await?);
        }
        Ok(report) => format!(
            "{} packs may still be needed by what is under way",
            report.packs_pending
        ),
        Err(Error::Busy) => Error::Busy.to_string(),
        Err(error) => return Err(error.into()),
    };
    let doublings = u32::try_from((job.attempt - 1).clamp(0, DOUBLINGS_MAX)).unwrap_or(0);
    let again = context
        .app
        .now()
        .plus(HELD_UP.saturating_mul(1 << doublings));
    Ok(retry(&context.app, &context.lease, &reason, again).await?)
}

pub(super) async fn fail(context: &Context, failure: Failure) -> Result<(), JobError> {
    Ok(fail_collection(&context.app, &context.lease, &failure).await?)
}
