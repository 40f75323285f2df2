//! Seeded histories of several processes over one store: they write, read, forget, collect, verify, repair, scrub and
//! change keys, stand still, die, alone or all at once, tear what they were writing, and lose answers, in an order that the
//! seed decides. Everything acknowledged must come back byte for byte.
//!
//! Ten thousand histories where `CI=true`, as `cargo xtask test` says, and some otherwise. `SEEDS=100000` runs more,
//! `FIRST=…` other ones, `SEED=4711` one of them and prints what happened.

mod actions;
mod deaths;
mod disk;
mod end;
mod gate;
mod history;
mod jobs;
mod model;
mod random;
mod store;
mod time;
mod upkeep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const SEEDS: u64 = 300;
const SEEDS_IN_CI: u64 = 10_000;
/// No history takes anywhere near as long.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// What histories met, and how often.
pub(crate) type Met = std::collections::BTreeMap<&'static str, u64>;

/// So many histories that do not meet these are no good test of them.
const MUST_BE_MET: [&str; 7] = [
    history::COLLECTIONS_AT_ONCE,
    history::FENCED,
    history::LATE_COMMIT,
    history::POWER_CUT,
    history::TORN,
    history::PARITY,
    history::NEW_KEYS,
];

#[expect(
    clippy::print_stderr,
    reason = "the seeds and their rate are told on success too"
)]
fn tell(seeds: std::ops::Range<u64>, took: Duration, met: &Met) {
    let count = seeds.end - seeds.start;
    let rate = f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / took.as_secs_f64();
    eprintln!(
        "histories of the seeds {} to {} in {:.1} s, {rate:.0} in a second; they met {met:?}",
        seeds.start,
        seeds.end - 1,
        took.as_secs_f64()
    );
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().expect("a number"))
}

#[test]
fn every_history_keeps_what_was_acknowledged() {
    if let Some(seed) = number("SEED") {
        history::run(seed, true);
        return;
    }
    let first = number("FIRST").unwrap_or(1);
    let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
    let count = number("SEEDS").unwrap_or(if in_ci { SEEDS_IN_CI } else { SEEDS });
    let end = first + count;
    let next = AtomicU64::new(first);
    #[expect(clippy::disallowed_methods, reason = "the rate is told to people")]
    let started = std::time::Instant::now();
    let mut met = Met::new();
    let (report, reports) = mpsc::channel();
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..workers {
            let (next, report) = (&next, report.clone());
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= end {
                        return;
                    }
                    let held = catch_unwind(AssertUnwindSafe(|| history::run(seed, false)));
                    // The receiver is gone once a failure was seen.
                    let failed = held.is_err();
                    if report.send((seed, held.ok())).is_err() || failed {
                        next.store(end, Ordering::SeqCst);
                    }
                }
            });
        }
        drop(report);
        let mut done = 0;
        while done < end - first {
            let (seed, held) = reports.recv_timeout(SILENCE_MAX).unwrap_or_else(|_| {
                // A history that hangs cannot be joined.
                eprintln!("a history hangs; {done} were done, seeds are handed out in order");
                std::process::abort();
            });
            let Some(held) = held else {
                panic!(
                    "history {seed} failed: SEED={seed} cargo test -p strongroom-repo --test simulation -- --nocapture"
                );
            };
            for (what, times) in held {
                *met.entry(what).or_default() += times;
            }
            done += 1;
        }
    });
    tell(first..end, started.elapsed(), &met);
    if count >= SEEDS {
        for what in MUST_BE_MET {
            assert!(met.contains_key(what), "no history met: {what}");
        }
    }
}
