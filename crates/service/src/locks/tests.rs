//! The trusted clock as pure arithmetic: whatever the host's clock does, it runs no faster than time.

use std::time::Duration;

use proptest::prelude::*;
use strongroom_db::TrustedClock;
use strongroom_types::Timestamp;

use super::{LockedTime, run, start};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn at(hours: u64) -> Timestamp {
    Timestamp::from_seconds(1_767_225_600).plus(HOUR * u32::try_from(hours).unwrap())
}

fn clock(trusted_at: Timestamp, credit: Duration) -> TrustedClock {
    TrustedClock {
        trusted_at,
        credit_micros: super::micros(credit),
    }
}

fn rules(catch_up_percent: u32) -> LockedTime {
    LockedTime {
        catch_up_percent,
        ..LockedTime::default()
    }
}

#[test]
fn an_honest_clock_is_followed_to_the_microsecond() {
    let mut trusted = clock(at(0), DAY);
    let mut seen = at(0);
    for minute in 1..=600_u32 {
        let host = at(0).plus(MINUTE * minute);
        trusted = run(trusted, host, seen, MINUTE, &rules(0));
        seen = trusted.trusted_at;
        assert_eq!(seen, host);
    }
    assert_eq!(trusted.credit_micros, super::micros(DAY));
}

#[test]
fn a_step_forward_is_held_back_and_a_step_back_forgives_it() {
    let ahead = run(clock(at(0), DAY), at(8760), at(0), MINUTE, &rules(0));
    assert_eq!(ahead.trusted_at, at(0).plus(MINUTE));
    let still = run(ahead, at(8760), ahead.trusted_at, HOUR, &rules(0));
    assert_eq!(still.trusted_at, at(1).plus(MINUTE));
    // Set right again, the host's clock is followed; set too far back, the trusted one waits for it.
    let back = run(still, at(1), still.trusted_at, MINUTE, &rules(0));
    assert_eq!(back.trusted_at, still.trusted_at);
    let right = run(back, at(3), back.trusted_at, HOUR * 2, &rules(0));
    assert_eq!(right.trusted_at, at(3));
}

#[test]
fn a_stop_is_believed_as_far_as_the_credit_goes() {
    let after = start(clock(at(0), DAY), at(10), &rules(0));
    assert_eq!(after, clock(at(10), HOUR * 14));
    // Two starts do not believe more than one.
    let after = start(after, at(1000), &rules(0));
    assert_eq!(after, clock(at(24), Duration::ZERO));
    let again = start(after, at(1000), &rules(0));
    assert_eq!(again, after);
    // A hundred hours of running pay for one of standing still.
    let ran = run(again, at(1000), at(24), HOUR * 100, &rules(0));
    assert_eq!(ran, clock(at(124), HOUR));
}

#[test]
fn an_operator_lets_it_catch_up_by_a_tenth_at_most() {
    for (percent, minutes) in [(5, 105), (10, 110), (1000, 110)] {
        let caught = run(
            clock(at(0), DAY),
            at(100),
            at(0),
            MINUTE * 100,
            &rules(percent),
        );
        assert_eq!(caught.trusted_at, at(0).plus(MINUTE * minutes));
    }
    let there = run(clock(at(0), DAY), at(1), at(0), HOUR, &rules(10));
    assert_eq!(there.trusted_at, at(1));
}

proptest! {
    /// Whatever the host's clock says, however often processes start: a moment is not reached before it is due by more
    /// than the credit and its repayment.
    #[test]
    fn no_sequence_of_steps_and_starts_outruns_time(
        moves in prop::collection::vec((0_u64..3600, -400_000_i64..400_000, any::<bool>()), 1..60)
    ) {
        let rules = rules(0);
        let mut trusted = clock(at(1000), DAY);
        let mut seen = None;
        let mut passed_in_all = Duration::ZERO;
        for (seconds, step, restarts) in moves {
            let passed = Duration::from_secs(seconds);
            passed_in_all += passed;
            let host = Timestamp::from_seconds(at(1000).as_seconds() + step);
            let before = trusted.trusted_at;
            trusted = match seen {
                Some(from) if !restarts => run(trusted, host, from, passed, &rules),
                _ => start(trusted, host, &rules),
            };
            seen = Some(trusted.trusted_at);
            prop_assert!(trusted.trusted_at >= before);
            prop_assert!(trusted.credit_micros >= 0);
            let reached = trusted.trusted_at.since(at(1000));
            prop_assert!(reached <= passed_in_all + passed_in_all / 100 + DAY, "{reached:?} after {passed_in_all:?}");
        }
    }

    /// Two workers that look in turn move it no faster than one.
    #[test]
    fn several_workers_are_one_clock(looks in prop::collection::vec((any::<bool>(), 1_u64..600), 1..60)) {
        let rules = rules(0);
        let mut trusted = clock(at(0), DAY);
        let mut workers = [(at(0), Duration::ZERO); 2];
        let mut now = Duration::ZERO;
        for (second, seconds) in looks {
            now += Duration::from_secs(seconds);
            let (seen, looked_at) = workers[usize::from(second)];
            trusted = run(trusted, at(9999), seen, now.saturating_sub(looked_at), &rules);
            workers[usize::from(second)] = (trusted.trusted_at, now);
            prop_assert!(trusted.trusted_at.since(at(0)) <= now);
        }
    }
}
