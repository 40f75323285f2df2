//! What happens by itself: policies start, the clock of locked vaults moves on, and backups go whose time has passed or
//! that rules no longer keep, and old records of the audit.

use std::time::Duration;

use strongroom_service::auto_bind::bind_unprotected;
use strongroom_service::replicas::give_up_silent;
use strongroom_service::retention::{
    apply_numbers, apply_numbers_to_copies, clear_failed_backups, expire_backups,
};
use strongroom_service::schedules::run_due;
use strongroom_service::{App, Error, audit};
use strongroom_types::Chain;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock::LockedClock;

/// Between two looks for policies that are due; their schedules are in whole minutes.
const SCHEDULE_INTERVAL: Duration = Duration::from_secs(10);
/// Between two looks for backups that go.
const RETENTION_INTERVAL: Duration = Duration::from_mins(1);

/// Looks again and again until `stop`. Every process may do so: each start and each deletion happens once.
pub(crate) async fn run(app: App, stop: CancellationToken) {
    let mut schedule = interval(SCHEDULE_INTERVAL);
    let mut retention = interval(RETENTION_INTERVAL);
    // A look that took long is followed by the usual pause, not by those that it kept waiting.
    schedule.set_missed_tick_behavior(MissedTickBehavior::Delay);
    retention.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut clock = LockedClock::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = schedule.tick() => report("policies have started", run_due(&app, app.now()).await),
            _ = retention.tick() => {
                clock.look(&app).await;
                retain(&app).await;
            }
        }
    }
}

async fn retain(app: &App) {
    let now = app.now();
    report(
        "resources that nobody protected are in vaults now",
        bind_unprotected(app).await,
    );
    report("backups have expired", expire_backups(app, now).await);
    report(
        "backups are more than their policies keep",
        apply_numbers(app, now).await,
    );
    report(
        "copies from other regions are more than their policies keep",
        apply_numbers_to_copies(app, now).await,
    );
    report(
        "failed backups are cleared",
        clear_failed_backups(app, now).await,
    );
    report(
        "copies from other regions are given up",
        give_up_silent(app, now).await.map(|count| count as u64),
    );
    report(
        "records of the audit are forgotten",
        audit::prune(app).await,
    );
}

fn report(what: &str, outcome: Result<u64, Error>) {
    match outcome {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "{what}"),
        Err(error) => {
            tracing::error!(error = %Chain(&error), "not all that is due was done: {what}");
        }
    }
}
