use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// What is fetched ahead of a reader.
const AHEAD_BYTES: u64 = 4 << 20;
/// How far from where a run ended a read may begin to go on with it: requests that are under way together come in any
/// order.
const SLACK_BYTES: u64 = 1 << 20;
/// Runs that are remembered; a guest that starts reads a few files side by side.
const RUNS_MAX: usize = 16;

/// Recognises who reads from front to back.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Those that were gone on with last come last.
    runs: Mutex<VecDeque<Run>>,
}

#[derive(Debug)]
struct Run {
    /// Behind what was read.
    next: u64,
    /// Behind what was fetched, or is being fetched.
    fetched: u64,
}

impl Ahead {
    /// What to fetch now that this was read; nothing if enough is on its way, or if the read goes on with none before.
    pub(super) fn after(&self, read: &Range<u64>) -> Option<Range<u64>> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = runs
            .iter()
            .position(|run| read.start.abs_diff(run.next) <= SLACK_BYTES);
        let Some(mut run) = known.and_then(|known| runs.remove(known)) else {
            if runs.len() == RUNS_MAX {
                runs.pop_front();
            }
            let (next, fetched) = (read.end, read.end);
            runs.push_back(Run { next, fetched });
            return None;
        };
        run.next = run.next.max(read.end);
        let begin = run.fetched.max(run.next);
        let end = run.next.saturating_add(AHEAD_BYTES);
        // Half of it at a time.
        let is_due = begin.saturating_add(AHEAD_BYTES / 2) <= end;
        if is_due {
            run.fetched = end;
        }
        runs.push_back(run);
        is_due.then_some(begin..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_goes_on_has_its_next_bytes_fetched_once() {
        let ahead = Ahead::default();
        let mut fetched = Vec::new();
        for start in (0..64 << 20).step_by(128 << 10) {
            fetched.extend(ahead.after(&(start..start + (128 << 10))));
        }
        assert!(fetched.len() <= 33, "{}", fetched.len());
        assert_eq!(fetched[0], 256 << 10..(256 << 10) + AHEAD_BYTES);
        assert!(fetched.windows(2).all(|two| two[0].end == two[1].start));
    }

    #[test]
    fn reads_here_and_there_fetch_nothing() {
        let ahead = Ahead::default();
        for place in 0..100_u64 {
            let start = (place * 37 % 100) << 30;
            assert_eq!(ahead.after(&(start..start + 4096)), None);
        }
        assert!(ahead.runs.lock().unwrap().len() <= RUNS_MAX);
    }
}
