use strongroom_types::Chain;

use crate::jobs::{Context, JobError};
use crate::runner::{LEASE, renew};

/// Runs `work` while renewing the job's lease every third of it; a lease that is lost stops the work.
///
/// Both are driven side by side: a renewal may have to wait for a transaction that the work has open.
pub(crate) async fn keep_alive(
    context: &Context,
    work: impl Future<Output = Result<(), JobError>>,
) -> Result<(), JobError> {
    tokio::select! {
        ended = work => ended,
        () = renew_until_lost(context) => Err(JobError::LeaseLost),
    }
}

async fn renew_until_lost(context: &Context) {
    // The claim has just given a whole lease, which most jobs never need to extend.
    let every = LEASE / 3;
    let mut tick = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
    let mut renewed_at = context.app.now();
    while context.app.now().since(renewed_at) <= LEASE {
        tick.tick().await;
        match renew(&context.app, &context.lease).await {
            Ok(true) => renewed_at = context.app.now(),
            Ok(false) => return,
            // The database may be back before the lease is over.
            Err(error) => tracing::warn!(error = %Chain(&error), "the lease cannot be renewed now"),
        }
    }
}
