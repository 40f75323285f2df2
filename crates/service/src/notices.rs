//! Telling people: notices are written in the transaction that causes them, one per channel, and sent by the worker. A
//! crash loses none; one that was sent before it could be marked so is sent again under the same event id.

use std::time::Duration;

use strongroom_db::{JsonText, Notice, NoticeEvent, Tx, Vault};
use strongroom_types::{GIB, NoticeState, Timestamp};

use crate::{App, Error};

/// How long one attempt may take before another one may begin.
const LEASE: Duration = Duration::from_mins(1);
/// Before the second attempt; doubled with each further one.
const RETRY_DELAY: Duration = Duration::from_secs(10);
const RETRY_DELAY_MAX: Duration = Duration::from_hours(1);
/// About half a day in all.
const ATTEMPTS_MAX: i64 = 20;
/// How long notices that ended are kept for whoever asks what became of them.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Adds a notice for each channel that is configured.
pub(crate) async fn tell(
    app: &App,
    tx: &mut Tx,
    event: &NoticeEvent,
    now: Timestamp,
) -> Result<(), Error> {
    let event_id = app.ids.uuid();
    for channel in &app.settings.notice_channels {
        let notice = Notice {
            id: app.ids.uuid(),
            event_id: event_id.clone(),
            channel: *channel,
            event: JsonText(event.clone()),
            state: NoticeState::Waiting,
            run_at: now,
            attempt: 0,
            last_error: None,
            created_at: now,
            finished_at: None,
        };
        tx.insert_notice(&notice).await?;
    }
    Ok(())
}

/// Tells of a vault whose use has come to its threshold by a change, once for each time that it does: what was there
/// before the change was told before.
pub(crate) async fn tell_of_use(
    app: &App,
    tx: &mut Tx,
    before: &Vault,
    after: &Vault,
    now: Timestamp,
) -> Result<(), Error> {
    if is_worth_a_notice(before) || !is_worth_a_notice(after) {
        return Ok(());
    }
    let event = NoticeEvent::VaultThresholdReached {
        project_id: after.project_id.clone(),
        vault_id: after.id.clone(),
        vault_name: after.name.clone(),
        threshold_percent: after.threshold,
        used_bytes: after.used_bytes,
        size_gb: after.size_gb,
    };
    tell(app, tx, &event, now).await
}

fn is_worth_a_notice(vault: &Vault) -> bool {
    let used = u128::from(vault.used_bytes) * 100;
    let threshold = u128::from(vault.threshold) * u128::from(vault.size_gb) * u128::from(GIB);
    vault.smn_notify && used >= threshold
}

/// The next notice to send, if one is due.
pub async fn claim(app: &App) -> Result<Option<Notice>, Error> {
    let mut tx = app.db.begin().await?;
    let notice = tx.claim_notice(app.now(), LEASE).await?;
    tx.commit().await?;
    Ok(notice)
}

pub async fn mark_sent(app: &App, notice: &Notice) -> Result<(), Error> {
    let mut tx = app.db.begin().await?;
    tx.end_notice(notice, NoticeState::Sent, None, app.now())
        .await?;
    tx.commit().await?;
    Ok(())
}

/// What becomes of a notice that could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Again,
    Never,
}

/// Has a notice sent again later, the later the more often it failed, and in the end not at all.
pub async fn mark_unsent(app: &App, notice: &Notice, error: &str) -> Result<Next, Error> {
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let next = if notice.attempt < ATTEMPTS_MAX {
        let run_at = now.plus(delay(notice.attempt));
        tx.retry_notice(notice, error, run_at).await?;
        Next::Again
    } else {
        tx.end_notice(notice, NoticeState::Failed, Some(error), now)
            .await?;
        Next::Never
    };
    tx.commit().await?;
    Ok(next)
}

fn delay(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(16);
    RETRY_DELAY
        .saturating_mul(1 << doublings)
        .min(RETRY_DELAY_MAX)
}

/// Forgets what ended long ago.
pub async fn forget_old(app: &App) -> Result<u64, Error> {
    let mut tx = app.db.begin().await?;
    let forgotten = tx.forget_notices(app.now().minus(KEPT)).await?;
    tx.commit().await?;
    Ok(forgotten)
}
