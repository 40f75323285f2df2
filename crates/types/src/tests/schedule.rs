use std::time::Duration;

use proptest::prelude::*;

use crate::{Schedule, Timestamp};

const DAY: Duration = Duration::from_hours(24);

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn schedule(patterns: &[&str]) -> Schedule {
    let texts: Vec<_> = patterns.iter().map(|text| (*text).to_owned()).collect();
    Schedule::try_from(texts).unwrap()
}

/// The next so many starts.
fn starts(schedule: &Schedule, after: &str, made: &str, count: usize) -> Vec<String> {
    let mut moment = at(after);
    (0..count)
        .map(|_| {
            moment = schedule.next_after(moment, at(made));
            moment.to_blank()
        })
        .collect()
}

#[test]
fn days_are_counted_from_the_one_the_schedule_was_made_on() {
    let every_five = schedule(&["FREQ=DAILY;INTERVAL=5;BYHOUR=21;BYMINUTE=00"]);
    let made = "2024-02-26T20:00:00Z";
    assert_eq!(
        starts(&every_five, made, made, 3),
        [
            "2024-02-26 21:00:00",
            "2024-03-02 21:00:00",
            "2024-03-07 21:00:00"
        ]
    );
    // Where the hour of the first day is past, the first run is that of the next cycle.
    let late = "2024-02-26T21:00:00Z";
    assert_eq!(starts(&every_five, late, late, 1), ["2024-03-02 21:00:00"]);
    assert_eq!(every_five.last_until(at(late), at(late)), None);
}

#[test]
fn weekdays_are_those_of_the_calendar() {
    let weekly = schedule(&["FREQ=WEEKLY;BYDAY=SU,MO;BYHOUR=6;BYMINUTE=30"]);
    let made = "2023-01-01T00:00:00Z";
    // 2024-02-29 was a Thursday, 2024-12-31 a Tuesday.
    assert_eq!(
        starts(&weekly, "2024-02-29T00:00:00Z", made, 3),
        [
            "2024-03-03 06:30:00",
            "2024-03-04 06:30:00",
            "2024-03-10 06:30:00"
        ]
    );
    assert_eq!(
        starts(&weekly, "2024-12-31T00:00:00Z", made, 2),
        ["2025-01-05 06:30:00", "2025-01-06 06:30:00"]
    );
    let last = weekly.last_until(at("2024-03-03T06:29:59Z"), at(made));
    assert_eq!(last, Some(at("2024-02-26T06:30:00Z")));
    let last = weekly.last_until(at("2024-03-03T06:30:00Z"), at(made));
    assert_eq!(last, Some(at("2024-03-03T06:30:00Z")));
}

#[test]
fn leap_days_month_ends_and_years_are_days_like_others() {
    let daily = schedule(&["FREQ=DAILY;INTERVAL=1;BYHOUR=0;BYMINUTE=0"]);
    for (after, expected) in [
        ("2024-02-28T12:00:00Z", "2024-02-29 00:00:00"),
        ("2024-02-29T12:00:00Z", "2024-03-01 00:00:00"),
        ("2023-02-28T12:00:00Z", "2023-03-01 00:00:00"),
        ("2023-04-30T00:00:00Z", "2023-05-01 00:00:00"),
        ("2100-02-28T00:00:00Z", "2100-03-01 00:00:00"),
        ("2024-12-31T23:59:59Z", "2025-01-01 00:00:00"),
    ] {
        assert_eq!(starts(&daily, after, "2020-01-01T00:00:00Z", 1), [expected]);
    }
}

#[test]
fn summer_time_moves_nothing() {
    // The nights of 2025 in which clocks of Europe and America change.
    let daily = schedule(&["FREQ=DAILY;BYHOUR=01;BYMINUTE=30"]);
    for night in ["2025-03-09", "2025-03-30", "2025-10-26", "2025-11-02"] {
        let after = format!("{night}T00:00:00Z");
        let found = starts(&daily, &after, "2025-01-01T00:00:00Z", 2);
        assert_eq!(found[0], format!("{night} 01:30:00"));
        assert_eq!(at(&found[1]).since(at(&found[0])), DAY);
    }
}

#[test]
fn a_schedule_is_read_as_it_was_written() {
    let texts = [
        "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=06;BYMINUTE=00",
        "FREQ=DAILY;BYMINUTE=5;BYHOUR=9",
    ];
    let schedule = schedule(&texts);
    assert!(schedule.texts().eq(texts));
    let stored = serde_json::to_string(&schedule).unwrap();
    assert_eq!(stored, serde_json::to_string(&texts).unwrap());
    let read: Schedule = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, schedule);
    assert!(serde_json::from_str::<Schedule>("[]").is_err());
}

#[test]
fn what_is_no_schedule_is_refused_with_a_reason() {
    for (text, reason) in [
        ("", "a pattern is written like"),
        ("FREQ=HOURLY;BYHOUR=1;BYMINUTE=0", "FREQ must be"),
        ("BYHOUR=1;BYMINUTE=0", "FREQ must be"),
        (
            "FREQ=DAILY;INTERVAL=0;BYHOUR=1;BYMINUTE=0",
            "INTERVAL must be 1 to 30",
        ),
        (
            "FREQ=DAILY;INTERVAL=31;BYHOUR=1;BYMINUTE=0",
            "INTERVAL must be 1 to 30",
        ),
        (
            "FREQ=DAILY;INTERVAL=+1;BYHOUR=1;BYMINUTE=0",
            "INTERVAL must be 1 to 30",
        ),
        ("FREQ=DAILY;BYHOUR=24;BYMINUTE=0", "BYHOUR must be 0 to 23"),
        ("FREQ=DAILY;BYHOUR=1,2;BYMINUTE=0", "BYHOUR must be 0 to 23"),
        (
            "FREQ=DAILY;BYHOUR=1;BYMINUTE=60",
            "BYMINUTE must be 0 to 59",
        ),
        ("FREQ=DAILY;BYHOUR=1", "BYMINUTE must be 0 to 59"),
        (
            "FREQ=DAILY;BYHOUR=1;BYMINUTE=0;BYDAY=MO",
            "BYDAY goes with FREQ=WEEKLY",
        ),
        ("FREQ=WEEKLY;BYHOUR=1;BYMINUTE=0", "BYDAY must list"),
        ("FREQ=WEEKLY;BYDAY=;BYHOUR=1;BYMINUTE=0", "BYDAY must list"),
        (
            "FREQ=WEEKLY;BYDAY=MO,XX;BYHOUR=1;BYMINUTE=0",
            "BYDAY must list",
        ),
        (
            "FREQ=WEEKLY;BYDAY=MO,MO;BYHOUR=1;BYMINUTE=0",
            "BYDAY must name a day once",
        ),
        (
            "FREQ=WEEKLY;BYDAY=MO;INTERVAL=2;BYHOUR=1;BYMINUTE=0",
            "INTERVAL goes with",
        ),
        (
            "FREQ=DAILY;BYHOUR=1;BYMINUTE=0;BYHOUR=2",
            "a pattern has FREQ",
        ),
        (
            "FREQ=DAILY;BYHOUR=1;BYMINUTE=0;COUNT=3",
            "a pattern has FREQ",
        ),
        (
            "FREQ=DAILY;BYHOUR=1;BYMINUTE=0;",
            "a pattern is written like",
        ),
    ] {
        let refusal = Schedule::try_from(vec![text.to_owned()]).unwrap_err();
        assert!(refusal.reason.starts_with(reason), "{text}: {refusal}");
    }
}

#[test]
fn starts_are_an_hour_apart_and_patterns_at_most_24() {
    let weekly = |day: &str, time: &str| {
        let (hour, minute) = time.split_once(':').unwrap();
        format!("FREQ=WEEKLY;BYDAY={day};BYHOUR={hour};BYMINUTE={minute}")
    };
    let daily = |time: &str| weekly("MO,TU,WE,TH,FR,SA,SU", time);
    let is_schedule = |texts: Vec<String>| Schedule::try_from(texts).is_ok();
    assert!(is_schedule(vec![daily("6:00"), daily("7:00")]));
    assert!(!is_schedule(vec![daily("6:00"), daily("6:59")]));
    assert!(!is_schedule(vec![daily("6:00"), daily("6:00")]));
    assert!(is_schedule(vec![
        weekly("MO", "6:00"),
        weekly("TU", "6:30")
    ]));
    assert!(!is_schedule(vec![
        weekly("SU", "23:30"),
        weekly("MO", "0:00")
    ]));
    assert!(!is_schedule(vec![
        daily("6:00"),
        "FREQ=DAILY;INTERVAL=9;BYHOUR=6;BYMINUTE=30".to_owned()
    ]));
    let hours = (0..24).map(|hour| daily(&format!("{hour}:15")));
    assert!(is_schedule(hours.clone().collect()));
    let days = ["MO", "TU"].map(|day| weekly(day, "6:00"));
    assert!(!is_schedule(hours.chain(days).collect()));
}

prop_compose! {
    /// A pattern, how many days are between its starts at most, and its minute of the day.
    fn patterns()(
        interval in 1..=30_i64,
        days in proptest::sample::subsequence(vec!["MO", "TU", "WE", "TH", "FR", "SA", "SU"], 1..=7),
        weekly in any::<bool>(),
        hour in 0..24,
        minute in 0..60,
    ) -> String {
        let days = if weekly { format!("WEEKLY;BYDAY={}", days.join(",")) } else { format!("DAILY;INTERVAL={interval}") };
        format!("FREQ={days};BYHOUR={hour};BYMINUTE={minute:02}")
    }
}

proptest! {
    #[test]
    fn next_and_last_agree(pattern in patterns(), made in 0..4_000_000_000_i64, later in 0..90_000_000_i64) {
        let schedule = schedule(&[&pattern]);
        let made = Timestamp::from_seconds(made);
        let moment = made.plus(Duration::from_secs(later.unsigned_abs()));
        let next = schedule.next_after(moment, made);
        prop_assert!(next > moment);
        prop_assert!(next.since(moment) <= DAY * 30);
        prop_assert_eq!(schedule.last_until(next, made), Some(next));
        // Nothing lies between the last start and the next one.
        let tick = Duration::from_micros(1);
        let last = schedule.last_until(moment, made);
        prop_assert_eq!(schedule.last_until(next.minus(tick), made), last);
        if let Some(last) = last {
            prop_assert!(made < last && last <= moment);
            prop_assert_eq!(schedule.next_after(last.minus(tick), made), last);
            prop_assert_eq!(schedule.next_after(last, made), next);
        }
    }
}
