//! Seeded histories of several processes over one store: they write, read, forget and verify, stand still, die, and
//! lose answers, in an order that the seed decides. Everything acknowledged must come back byte for byte.
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

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

const SEEDS: u64 = 300;
const SEEDS_IN_CI: u64 = 10_000;
/// No history takes anywhere near as long.
const SILENCE_MAX: Duration = Duration::from_mins(2);

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
                    let stop = held.is_err() || report.send((seed, held.is_ok())).is_err();
                    if stop {
                        let _ = report.send((seed, false));
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
            assert!(
                held,
                "history {seed} failed: SEED={seed} cargo test -p strongroom-repo --test simulation -- --nocapture"
            );
            done += 1;
        }
    });
}
