use strongroom_types::Chain;

use crate::jobs::{Context, JobError};
use crate::runner::{LEASE, renew};

/// Runs `work` while renewing the job's lease every third of it; a lease that is lost stops the work.
pub(crate) async fn keep_alive(
    context: &Context,
    work: impl Future<Output = Result<(), JobError>>,
) -> Result<(), JobError> {
    let mut tick = tokio::time::interval(LEASE / 3);
    let mut renewed_at = context.app.now();
    tokio::pin!(work);
    loop {
        tokio::select! {
            ended = &mut work => return ended,
            _ = tick.tick() => match renew(&context.app, &context.lease).await {
                Ok(true) => renewed_at = context.app.now(),
                Ok(false) => return Err(JobError::LeaseLost),
                // The database may be back before the lease is over.
                Err(error) => tracing::warn!(error = %Chain(&error), "the lease cannot be renewed now"),
            },
        }
        if context.app.now().since(renewed_at) > LEASE {
            return Err(JobError::LeaseLost);
        }
    }
}
