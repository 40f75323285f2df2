//! Reading no faster than asked.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug)]
pub(super) struct Throttle {
    bytes_per_second: Option<u64>,
    /// When what was read so far was due.
    due: Instant,
}

impl Throttle {
    pub(super) fn new(bytes_per_second: Option<u64>) -> Self {
        Self {
            bytes_per_second,
            due: Instant::now(),
        }
    }

    /// Counts bytes that were read, and waits until they were due. Time in which nothing was read is not made up for.
    pub(super) async fn take(&mut self, bytes: u64) {
        let Some(rate) = self.bytes_per_second else {
            return;
        };
        let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
        let time = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        self.due = self.due.max(Instant::now()) + time;
        tokio::time::sleep_until(self.due).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn bytes_take_the_time_that_their_rate_says_however_slow() {
        let started = Instant::now();
        let mut throttle = Throttle::new(Some(MIB));
        for _ in 0..4 {
            throttle.take(8 * MIB).await;
        }
        assert_eq!(started.elapsed().as_secs(), 32);
        let mut throttle = Throttle::new(Some(1000));
        throttle.take(MIB).await;
        assert_eq!(started.elapsed().as_secs(), 32 + 1048);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_no_credit() {
        let mut throttle = Throttle::new(Some(MIB));
        tokio::time::advance(Duration::from_mins(10)).await;
        let started = Instant::now();
        throttle.take(5 * MIB).await;
        assert_eq!(started.elapsed().as_secs(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_bound_nothing_waits() {
        let started = Instant::now();
        Throttle::new(None).take(u64::MAX).await;
        assert_eq!(started.elapsed(), Duration::ZERO);
    }
}
