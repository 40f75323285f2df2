//! Reading no faster than asked.

use std::sync::Arc;
use std::time::Duration;

use strongroom_types::{Clock, Timestamp};

#[derive(Debug)]
pub(super) struct Throttle {
    clock: Arc<dyn Clock>,
    bytes_per_second: Option<u64>,
    started: Timestamp,
    bytes: u64,
}

/// Never sleeps longer at once, whatever the clock says.
const PAUSE_MAX: Duration = Duration::from_secs(10);

impl Throttle {
    pub(super) fn new(clock: Arc<dyn Clock>, bytes_per_second: Option<u64>) -> Self {
        Self {
            started: clock.now(),
            clock,
            bytes_per_second,
            bytes: 0,
        }
    }

    /// Counts bytes that were read, and waits until that many were due.
    pub(super) async fn take(&mut self, bytes: u64) {
        self.bytes += bytes;
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let micros = u128::from(self.bytes) * 1_000_000 / u128::from(rate.max(1));
        let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let passed = self.clock.now().since(self.started);
        tokio::time::sleep(due.saturating_sub(passed).min(PAUSE_MAX)).await;
    }
}
