//! How exports of a running QEMU are connected to, so that it cannot hang.
//!
//! While QEMU drains a disk, as it does when the guest or its firmware resets the device, it holds the clients of the disk's exports
//! back. It overlooks a client that comes in just then, and waits for that one's next request to be the last, for ever, with the
//! guest and the monitor standing still. The client's hanging up lets it go on (`docs/decisions/0092-…`).

use std::path::Path;
use std::time::Duration;

use strongroom_block as block;
use strongroom_qemu::Error;

use super::{PATIENCE, monitor};
use crate::jobs::JobError;

/// A machine that goes on answers within milliseconds; in one that does not, the guest stands still meanwhile.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const OPENINGS_MAX: u32 = 5;

/// Opens one connection to an export of the QEMU with this monitor, again and again until QEMU goes on with it. The inner error is
/// that of the export.
pub(crate) async fn opened<T: Send + 'static>(
    socket: &Path,
    open: impl FnOnce() -> block::Result<T> + Clone + Send + 'static,
) -> Result<block::Result<T>, JobError> {
    for _ in 0..OPENINGS_MAX {
        let opening = tokio::task::spawn_blocking(open.clone()).await;
        let opened =
            opening.map_err(|_| JobError::Broken("opening a served disk stopped unexpectedly"))?;
        match monitor(socket, ANSWER_MAX).await {
            Err(Error::Silent { .. }) => {}
            // A machine that has gone is found out by reading.
            Ok(_) | Err(_) => return Ok(opened),
        }
        tracing::warn!("a machine stands still since a disk was opened, which is opened anew");
        drop(opened);
        // An answer to the one before, instead of a greeting, is as good a sign.
        if let Err(error @ Error::Silent { .. }) = monitor(socket, PATIENCE).await {
            return Err(JobError::Retry(Box::new(error)));
        }
    }
    Err(JobError::Retry(
        "the server's machine stands still whenever its disks are opened".into(),
    ))
}
