//! How much one project may ask of the service, so that none starves the others: a bound on requests per second, and one on
//! requests that are being answered at the same time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use strongroom_types::Timestamp;
use strongroom_wire::Code;

use crate::auth::Authenticated;
use crate::{ApiError, ApiState};

/// Projects that are remembered before the idle ones are forgotten.
const KEPT_MAX: usize = 4096;

/// Of each project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In the long run.
    pub requests_per_second: u32,
    /// At once, after a silence.
    pub burst: u32,
    /// Being answered at the same time.
    pub requests_at_once: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests_per_second: 50,
            burst: 200,
            requests_at_once: 32,
        }
    }
}

/// A bucket of `burst` requests per project that fills again with time. Kept as the moment when it will be full.
#[derive(Debug)]
pub struct Limiter {
    limits: Limits,
    projects: Mutex<HashMap<String, Use>>,
}

#[derive(Debug, Clone, Copy)]
struct Use {
    full_at: Timestamp,
    at_once: u32,
}

/// Why a request has to come again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Excess {
    /// The bucket is empty until then.
    Rate {
        wait: Duration,
    },
    AtOnce,
}

/// A place among the requests that are being answered; freed when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    limiter: Arc<Limiter>,
    project: String,
}

impl Limiter {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            projects: Mutex::default(),
        }
    }

    /// Takes one request out of the bucket and a place.
    pub(crate) fn enter(self: &Arc<Self>, project: &str, now: Timestamp) -> Result<Place, Excess> {
        let mut projects = self.lock();
        if projects.len() >= KEPT_MAX {
            projects.retain(|_, seen| seen.at_once > 0 || seen.full_at > now);
        }
        let idle = Use {
            full_at: now,
            at_once: 0,
        };
        let seen = projects.entry(project.to_owned()).or_insert(idle);
        if seen.at_once >= self.limits.requests_at_once {
            return Err(Excess::AtOnce);
        }
        let interval = Duration::from_secs(1) / self.limits.requests_per_second.max(1);
        let full_at = seen.full_at.max(now).plus(interval);
        let room = interval.saturating_mul(self.limits.burst.max(1));
        if let Some(wait) = full_at.since(now).checked_sub(room)
            && !wait.is_zero()
        {
            return Err(Excess::Rate { wait });
        }
        seen.full_at = full_at;
        seen.at_once += 1;
        Ok(Place {
            limiter: Arc::clone(self),
            project: project.to_owned(),
        })
    }

    /// A panic under the lock leaves numbers that are whole all the same.
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Use>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(seen) = self.limiter.lock().get_mut(&self.project) {
            seen.at_once = seen.at_once.saturating_sub(1);
        }
    }
}

/// Counts a request against the project whose credentials it has, whatever project it is about.
pub(crate) async fn limit(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let Some(Authenticated(caller)) = request.extensions().get() else {
        return Err(ApiError::internal("limits before authentication"));
    };
    let project = match &caller.project_id {
        Some(project) => project.as_str(),
        None => caller.user_id.as_str(),
    };
    match state.limiter.enter(project, state.app.now()) {
        Ok(_place) => Ok(next.run(request).await),
        Err(excess) => Ok(refusal(excess, state.limiter.limits)),
    }
}

/// In the words of the clouds' gateway, which some clients look for.
fn refusal(excess: Excess, limits: Limits) -> Response {
    let (limit, seconds) = match excess {
        Excess::Rate { wait } => {
            let rate = limits.requests_per_second;
            (format!("limit:{rate},time:1 second"), seconds_ceil(wait))
        }
        Excess::AtOnce => (format!("limit:{} at once", limits.requests_at_once), 1),
    };
    let message = format!(
        "The throttling threshold has been reached: policy project over ratelimit,{limit}."
    );
    let mut response = ApiError::new(Code::Throttled, message).into_response();
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

fn seconds_ceil(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limiter(requests_per_second: u32, burst: u32, requests_at_once: u32) -> Arc<Limiter> {
        Arc::new(Limiter::new(Limits {
            requests_per_second,
            burst,
            requests_at_once,
        }))
    }

    const fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn a_bucket_empties_and_fills_again() {
        let limiter = limiter(2, 3, 9);
        for _ in 0..3 {
            limiter.enter("a", at(0)).unwrap();
        }
        let wait = Duration::from_millis(500);
        assert_eq!(
            limiter.enter("a", at(0)).unwrap_err(),
            Excess::Rate { wait }
        );
        limiter.enter("b", at(0)).unwrap();
        limiter.enter("a", at(500_000)).unwrap();
        limiter.enter("a", at(500_000)).unwrap_err();
        for _ in 0..3 {
            limiter.enter("a", at(60_000_000)).unwrap();
        }
        limiter.enter("a", at(60_000_000)).unwrap_err();
    }

    #[test]
    fn a_place_is_free_again_when_its_request_is_answered() {
        let limiter = limiter(100, 100, 2);
        let first = limiter.enter("a", at(0)).unwrap();
        let _second = limiter.enter("a", at(0)).unwrap();
        assert_eq!(limiter.enter("a", at(0)).unwrap_err(), Excess::AtOnce);
        limiter.enter("b", at(0)).unwrap();
        drop(first);
        limiter.enter("a", at(0)).unwrap();
    }

    #[test]
    fn idle_projects_are_forgotten_before_there_are_too_many() {
        let limiter = limiter(1, 1, 9);
        let busy = limiter.enter("busy", at(0)).unwrap();
        for n in 0..2 * i64::try_from(KEPT_MAX).unwrap() {
            limiter.enter(&n.to_string(), at(n * 2_000_000)).unwrap();
        }
        assert!(limiter.lock().len() <= KEPT_MAX);
        drop(busy);
        assert_eq!(limiter.lock()["busy"].at_once, 0);
    }

    proptest! {
        /// However requests come, in no stretch of time does a project get more than the burst and its rate.
        #[test]
        fn no_project_gets_more_than_its_share(
            gaps in proptest::collection::vec(0_i64..400_000, 1..200), rate in 1_u32..20, burst in 1_u32..20,
        ) {
            let limiter = limiter(rate, burst, u32::MAX);
            let mut now = 0;
            let mut let_in = Vec::new();
            for gap in gaps {
                now += gap;
                if limiter.enter("a", at(now)).is_ok() {
                    let_in.push(now);
                }
            }
            for (first, from) in let_in.iter().enumerate() {
                for (last, to) in let_in.iter().enumerate().skip(first) {
                    let seconds = f64::from(u32::try_from(to - from).unwrap()) / 1e6;
                    let most = f64::from(burst) + seconds * f64::from(rate) + 1e-3;
                    prop_assert!(f64::from(u32::try_from(last - first + 1).unwrap()) <= most + 1e-9);
                }
            }
        }
    }
}
