//! One time for all: the store's. Processes see it through clocks that may be wrong by minutes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::{Clock, IdSource, Timestamp};

use crate::random::mix;

/// Microseconds since 1970.
#[derive(Debug)]
pub(crate) struct WorldTime(AtomicI64);

impl WorldTime {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(MockClock::START.as_micros())))
    }

    pub(crate) fn micros(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn set_elapsed(&self, micros: i64) {
        self.0
            .store(MockClock::START.as_micros() + micros, Ordering::SeqCst);
    }
}

/// A process's clock.
#[derive(Debug)]
pub(crate) struct WrongClock {
    pub(crate) world: Arc<WorldTime>,
    pub(crate) error_micros: i64,
}

impl Clock for WrongClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.world.micros() + self.error_micros)
    }
}

/// The same numbers in every run although threads take them: each thread has its own row of them.
#[derive(Debug)]
pub(crate) struct ThreadwiseIds {
    seed: u64,
    rows: Mutex<HashMap<String, SeededIds>>,
}

impl ThreadwiseIds {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            rows: Mutex::default(),
        }
    }
}

impl IdSource for ThreadwiseIds {
    fn fill(&self, bytes: &mut [u8]) {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or_default();
        let mut rows = self.rows.lock().expect("no thread panics in here");
        let seed = name.bytes().fold(self.seed, |s, b| mix(s ^ u64::from(b)));
        rows.entry(name.to_owned())
            .or_insert_with(|| SeededIds::new(seed))
            .fill(bytes);
    }
}
