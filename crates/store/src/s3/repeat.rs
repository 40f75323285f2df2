//! Repeats calls that failed for reasons which pass: an outage of a minute must not fail a backup of a day.

use std::error::Error as StdError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use object_store::client::HttpError;
use object_store::{Error, Result};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};

use super::Limits;
use crate::requests::Requests;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The slowest line on which a body is still sent in one request.
const SLOWEST_BYTES_PER_SECOND: u64 = 128 << 10;
/// For calls that tidy up behind others which have waited already.
const BRIEFLY: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub(super) struct Repeater {
    patience: Duration,
    silence: Duration,
    permits: Semaphore,
    requests: Arc<Requests>,
    /// Spreads the pauses of calls that failed together.
    calls: AtomicU32,
}

/// An outcome, and whether an earlier attempt had failed, which may have had its effect all the same.
pub(super) struct Outcome<T> {
    pub(super) result: Result<T>,
    pub(super) repeated: bool,
}

/// What failed longer than anybody wants to wait.
#[derive(Debug, thiserror::Error)]
#[error("{attempts} attempts failed within {} s", within.as_secs())]
struct GaveUp {
    attempts: u32,
    within: Duration,
    #[source]
    last: Error,
}

/// An attempt that no answer came to.
#[derive(Debug, thiserror::Error)]
#[error("no answer came within {} s", .0.as_secs())]
struct Silence(Duration);

/// An answer that ended before it was whole.
#[derive(Debug, thiserror::Error)]
#[error("{got} of {wanted} bytes came")]
pub(super) struct CutShort {
    pub(super) got: u64,
    pub(super) wanted: u64,
}

impl Repeater {
    pub(super) fn new(limits: Limits, requests: Arc<Requests>) -> Self {
        Self {
            patience: limits.patience,
            silence: limits.silence,
            permits: Semaphore::new(limits.requests_at_once),
            requests,
            calls: AtomicU32::new(0),
        }
    }

    /// Makes attempts until one succeeds, fails for good, or patience ends. `sent_bytes` is the length of the body.
    pub(super) async fn call<T, F>(&self, sent_bytes: u64, attempt: impl Fn() -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.call_for(self.patience, sent_bytes, attempt).await
    }

    /// A call without a body that is repeated for some seconds at most.
    pub(super) async fn call_briefly<T, F>(&self, attempt: impl Fn() -> F) -> Outcome<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.call_for(self.patience.min(BRIEFLY), 0, attempt).await
    }

    async fn call_for<T, F>(
        &self,
        patience: Duration,
        sent_bytes: u64,
        attempt: impl Fn() -> F,
    ) -> Outcome<T>
    where
        F: Future<Output = Result<T>>,
    {
        let spread = self.calls.fetch_add(1, Ordering::Relaxed);
        let limit = self.silence + Duration::from_secs(sent_bytes / SLOWEST_BYTES_PER_SECOND);
        let mut first_failure = None;
        let mut attempts = 0;
        loop {
            let result = self.attempt(limit, attempt()).await;
            attempts += 1;
            let outcome = |result| Outcome {
                result,
                repeated: attempts > 1,
            };
            let error = match result {
                Err(error) if passes(&error) => error,
                done => return outcome(done),
            };
            let failing_since = *first_failure.get_or_insert_with(Instant::now);
            let pause = pause_after(attempts, spread);
            let within = failing_since.elapsed();
            if within + pause > patience {
                return outcome(Err(generic(GaveUp {
                    attempts,
                    within,
                    last: error,
                })));
            }
            if attempts == 2 {
                tracing::warn!(error = %strongroom_types::Chain(&error), ?patience,
                    "the storage does not answer as it should; trying again");
            }
            self.requests.count_repetition();
            sleep(pause).await;
        }
    }

    async fn attempt<T>(
        &self,
        limit: Duration,
        attempt: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let permit = self.permits.acquire().await;
        let _permit = permit.expect("the semaphore is never closed");
        timeout(limit, attempt)
            .await
            .unwrap_or_else(|_| Err(generic(Silence(limit))))
    }

    /// Waits for the next part of an answer, not for ever.
    pub(super) async fn part<T>(&self, next: impl Future<Output = T>) -> Result<T> {
        timeout(self.silence, next)
            .await
            .map_err(|_| generic(Silence(self.silence)))
    }
}

/// Doubles with each attempt; up to half of it is left out, differently for each call.
fn pause_after(attempts: u32, spread: u32) -> Duration {
    let doubled = FIRST_PAUSE * 2_u32.saturating_pow(attempts.min(16) - 1);
    let pause = doubled.min(LONGEST_PAUSE);
    pause * (16 - spread % 8) / 16
}

/// Whether the same call may succeed later.
fn passes(error: &Error) -> bool {
    let mut cause: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<HttpError>() || inner.is::<Silence>() || inner.is::<CutShort>() {
            return true;
        }
        cause = inner.source();
    }
    false
}

pub(super) fn generic(source: impl StdError + Send + Sync + 'static) -> Error {
    Error::Generic {
        store: "S3",
        source: Box::new(source),
    }
}
