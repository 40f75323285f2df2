//! How exports of a running QEMU are connected to, so that it cannot hang.
//!
//! While QEMU drains a disk, as it does when the guest or its firmware resets the device, it holds the clients of the disk's exports
//! back. It overlooks a client that comes in just then, and waits for that one's next request to be the last, for ever, with the
//! guest and the monitor standing still. The client's hanging up lets it go on (`docs/decisions/0092-…`).

use std::time::Duration;

use strongroom_block as block;

use super::PATIENCE;
use super::serving::Serving;
use crate::jobs::JobError;

/// A machine that goes on answers within milliseconds; in one that does not, the guest stands still meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const OPENINGS_MAX: u32 = 5;

/// Opens one connection to an export, again and again until QEMU goes on with it. The inner error is that of the export.
pub(crate) async fn opened<T: Send + 'static>(
    serving: &Serving,
    open: impl FnOnce() -> block::Result<T> + Clone + Send + 'static,
) -> Result<block::Result<T>, JobError> {
    for _ in 0..OPENINGS_MAX {
        let opening = tokio::task::spawn_blocking(open.clone()).await;
        let opened =
            opening.map_err(|_| JobError::Broken("opening a served disk stopped unexpectedly"))?;
        if serving.answers(ANSWER_MAX).await {
            return Ok(opened);
        }
        tracing::warn!("a machine stands still since a disk was opened, which is opened anew");
        drop(opened);
        if !serving.answers(PATIENCE).await {
            return Err(JobError::Retry(
                "the server's machine does not answer".into(),
            ));
        }
    }
    Err(JobError::Retry(
        "the server's machine stands still whenever its disks are opened".into(),
    ))
}
