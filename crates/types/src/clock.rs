use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::Timestamp;

/// Tells the time; passed in everywhere so that tests can move it.
pub trait Clock: fmt::Debug + Send + Sync {
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one real clock that everything else is handed"
    )]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("the machine's clock is set after 1970");
        let micros = i64::try_from(since_epoch.as_micros()).expect("the year is before 294 000");
        Timestamp::from_micros(micros)
    }
}
