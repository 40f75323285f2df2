use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use strongroom_types::{Clock, IdSource, Timestamp};

/// A clock that stands still until a test moves it. Starts at 2026-01-01T00:00:00Z.
#[derive(Debug)]
pub struct MockClock(AtomicI64);

impl MockClock {
    pub const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

    pub fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("tests stay within this era");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }

    pub fn set(&self, to: Timestamp) {
        self.0.store(to.as_micros(), Ordering::SeqCst);
    }
}

impl Default for MockClock {
    fn default() -> Self {
        Self(AtomicI64::new(Self::START.as_micros()))
    }
}

impl Clock for MockClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Repeatable randomness: the same seed gives the same ids in the same order.
#[derive(Debug)]
pub struct SeededIds(Mutex<(u64, u64)>);

impl SeededIds {
    pub const fn new(seed: u64) -> Self {
        Self(Mutex::new((seed, 0)))
    }
}

impl Default for SeededIds {
    fn default() -> Self {
        Self::new(1)
    }
}

impl IdSource for SeededIds {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().expect("no test panics while filling");
        let mut hasher = blake3::Hasher::new();
        hasher
            .update(&state.0.to_le_bytes())
            .update(&state.1.to_le_bytes());
        hasher.finalize_xof().fill(bytes);
        state.1 += 1;
    }
}
