//! What a locked vault keeps, and how late it is there.
//!
//! `may_delete` is the one rule: whatever deletes a backup asks it, for every role and for the service's own jobs. It is
//! told the time by `TrustedNow`, which follows what a monotonic clock has confirmed: setting the host's clock forward
//! ends nobody's time. `docs/locking.md` explains both.

use std::time::Duration;

use strongroom_db::{Backup, TrustedClock, Tx, Vault};
use strongroom_types::{BackupStatus, Timestamp};

use crate::{App, Error};

/// Of the time that has passed while workers ran, one part in so many pays back what stops were believed.
const CREDIT_SHARE: u32 = 100;

/// How the time of locked vaults follows the host's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LockedTime {
    /// How long all workers may have been stopped for the host's clock to be believed at once.
    pub stop_believed_max: Duration,
    /// How much faster than a monotonic clock it runs, in percent, as long as it is behind the host's clock.
    pub catch_up_percent: u32,
}

impl LockedTime {
    /// Keeps every backup for at least ten elevenths of its time.
    pub const CATCH_UP_PERCENT_MAX: u32 = 10;
}

impl Default for LockedTime {
    fn default() -> Self {
        Self {
            stop_believed_max: Duration::from_hours(24),
            catch_up_percent: 0,
        }
    }
}

/// The moment that locked vaults go by; none until a worker has looked at its clock for the first time. Only [`trusted_now`]
/// makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TrustedNow(Option<Timestamp>);

impl TrustedNow {
    fn is_past(self, end: Timestamp) -> bool {
        self.0.is_some_and(|now| now >= end)
    }
}

/// The earlier one of the trusted clock and the host's: stepping either way ends nothing early.
pub(crate) async fn trusted_now(app: &App, tx: &mut Tx) -> Result<TrustedNow, Error> {
    let clock = tx.find_trusted_clock().await?;
    Ok(TrustedNow(
        clock.map(|clock| clock.trusted_at.min(app.now())),
    ))
}

/// Whether a vault's lock lets a top-level backup go: a manual one always, an automatic one once it has expired. One
/// that has no end never goes, and one that failed holds nothing to keep.
pub(crate) fn may_delete(vault: &Vault, backup: &Backup, now: TrustedNow) -> bool {
    let failed = backup.status == BackupStatus::Error && backup.protected_at.is_none();
    let kept = vault.locked && backup.auto_trigger && !failed;
    !kept || backup.expired_at.is_some_and(|end| now.is_past(end))
}

/// From when the retention of a new automatic backup counts: the later one of the two clocks, since a backup that was made
/// while the host's clock was set back must not end early either.
pub async fn retention_start(app: &App, tx: &mut Tx) -> Result<Timestamp, Error> {
    let clock = tx.find_trusted_clock().await?;
    Ok(clock.map_or(app.now(), |clock| clock.trusted_at.max(app.now())))
}

/// What one worker saw when it last looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockSeen {
    trusted_at: Timestamp,
    /// How far the host's clock is ahead of what has been confirmed.
    pub ahead: Duration,
}

/// Moves the trusted clock on. `last` is this worker's last look and how long ago it was, by a monotonic clock; the first
/// look of a process has none, and believes the host's clock as far as there is credit for a stop.
pub async fn observe_clock(
    app: &App,
    last: Option<(ClockSeen, Duration)>,
) -> Result<ClockSeen, Error> {
    let host = app.now();
    let rules = &app.settings.locked_time;
    let mut tx = app.db.begin().await?;
    let moved = if let Some(clock) = tx.lock_trusted_clock().await? {
        let moved = match last {
            Some((seen, passed)) => run(clock, host, seen.trusted_at, passed, rules),
            None => start(clock, host, rules),
        };
        tx.update_trusted_clock(&moved).await?;
        moved
    } else {
        let first = TrustedClock {
            trusted_at: host,
            credit_micros: micros(rules.stop_believed_max),
        };
        tx.insert_trusted_clock(&first).await?;
        first
    };
    tx.commit().await?;
    Ok(ClockSeen {
        trusted_at: moved.trusted_at,
        ahead: host.since(moved.trusted_at),
    })
}

/// After a stop: nobody can tell how long it was, so that the host's clock is believed, as far as the credit goes.
fn start(clock: TrustedClock, host: Timestamp, rules: &LockedTime) -> TrustedClock {
    let credit = clock.credit_micros.min(micros(rules.stop_believed_max));
    let reach = clock.trusted_at.as_micros().saturating_add(credit);
    let trusted_at = towards(clock.trusted_at, host, Timestamp::from_micros(reach));
    let used = trusted_at.as_micros() - clock.trusted_at.as_micros();
    TrustedClock {
        trusted_at,
        credit_micros: credit - used,
    }
}

/// While a worker runs. Counting from what this worker saw, and not from the row, several workers do not make it faster.
fn run(
    clock: TrustedClock,
    host: Timestamp,
    seen: Timestamp,
    passed: Duration,
    rules: &LockedTime,
) -> TrustedClock {
    let percent = rules.catch_up_percent.min(LockedTime::CATCH_UP_PERCENT_MAX);
    let extra = passed.saturating_mul(percent) / 100;
    let reach = seen.plus(passed).plus(extra);
    let trusted_at = towards(clock.trusted_at, host, reach);
    let earned = micros(trusted_at.since(clock.trusted_at) / CREDIT_SHARE);
    TrustedClock {
        trusted_at,
        credit_micros: clock
            .credit_micros
            .saturating_add(earned)
            .min(micros(rules.stop_believed_max)),
    }
}

/// As near to the host's clock as `reach` allows, and never back.
fn towards(trusted: Timestamp, host: Timestamp, reach: Timestamp) -> Timestamp {
    trusted.max(host.min(reach))
}

fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
