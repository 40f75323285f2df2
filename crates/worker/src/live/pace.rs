//! How fast the disks of running machines are read, so that their guests do not suffer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strongroom_block::{BlockSource, Extent, Result};
use tokio::runtime::Handle;
use tokio::time::Instant;

/// What this host reads of all its running machines together.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: Option<u64>,
    /// When what was read so far was due.
    due: Mutex<Instant>,
}

impl Pace {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second,
            due: Mutex::new(Instant::now()),
        }
    }

    /// For disks that no guest has.
    pub(crate) fn unlimited() -> Self {
        Self::new(None)
    }

    /// Counts bytes that were read, and waits until they were due; on a thread that may wait. Time in which nothing was read is
    /// not made up for.
    pub(crate) fn wait(&self, bytes: u64) {
        if let Some(due) = self.due(bytes, Instant::now()) {
            Handle::current().block_on(tokio::time::sleep_until(due));
        }
    }

    fn due(&self, bytes: u64, now: Instant) -> Option<Instant> {
        let rate = self.bytes_per_second?;
        let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
        let time = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        *due = (*due).max(now) + time;
        Some(*due)
    }
}

/// A disk that is read at a pace.
pub(super) struct Paced {
    pub(super) source: Box<dyn BlockSource>,
    pub(super) pace: Arc<Pace>,
}

impl BlockSource for Paced {
    fn size_bytes(&self) -> u64 {
        self.source.size_bytes()
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        self.source.next_extent(offset)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.source.read_at(offset, buffer)?;
        self.pace.wait(buffer.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn readers_share_the_rate_and_pauses_are_not_made_up_for() {
        let pace = Pace::new(Some(10 * MIB));
        let (second, half) = (Duration::from_secs(1), Duration::from_millis(500));
        let begun = Instant::now() + second;
        for readers in 1..=4 {
            assert_eq!(pace.due(5 * MIB, begun), Some(begun + half * readers));
        }
        let later = begun + 10 * second;
        assert_eq!(pace.due(5 * MIB, later), Some(later + half));
        assert_eq!(Pace::new(None).due(5 * MIB, later), None);
    }
}
