//! Keeps the clock of locked vaults going, by a monotonic clock that nobody can set.

use std::time::Duration;

use strongroom_service::App;
use strongroom_service::locks::{ClockSeen, observe_clock};
use strongroom_types::Chain;
use tokio::time::Instant;

use crate::metrics;

/// A host's clock that is ahead by more has been set; an operator should know.
const AHEAD_TOLERATED: Duration = Duration::from_mins(5);

/// What this process saw when it last looked.
#[derive(Debug, Default)]
pub(crate) struct LockedClock {
    last: Option<(ClockSeen, Instant)>,
}

impl LockedClock {
    pub(crate) async fn look(&mut self, app: &App) {
        // Taken before the row is written: what passes meanwhile counts at the next look.
        let now = Instant::now();
        let last = self.last.map(|(seen, at)| (seen, now.duration_since(at)));
        match observe_clock(app, last).await {
            Ok(seen) => {
                self.report(seen);
                self.last = Some((seen, now));
            }
            Err(error) => {
                tracing::error!(error = %Chain(&error), "the clock of locked vaults cannot be moved on");
            }
        }
    }

    /// Says so when the distance has grown, and when it is gone.
    fn report(&self, seen: ClockSeen) {
        metrics::locked_clock_behind(seen.ahead);
        let before = self.last.map_or(Duration::ZERO, |(seen, _)| seen.ahead);
        let (behind, ahead_seconds) = (seen.ahead, seen.ahead.as_secs());
        if behind > AHEAD_TOLERATED && behind > before + AHEAD_TOLERATED {
            tracing::warn!(
                ahead_seconds,
                "the host's clock has gone forward by more than has passed; automatic backups of locked vaults will expire later by that"
            );
        } else if behind <= AHEAD_TOLERATED && before > AHEAD_TOLERATED {
            tracing::info!("the host's clock and that of locked vaults agree again");
        }
    }
}
