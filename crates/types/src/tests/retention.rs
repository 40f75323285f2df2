use std::time::Duration;

use proptest::prelude::*;

use crate::{
    DayOfMonth, Mark, MarkedDays, Month, Periods, Retention, RetentionConflict, RetentionTerms,
    Timestamp, UtcOffset, WeekOfMonth, Weekday,
};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(text: &str) -> UtcOffset {
    text.parse().unwrap()
}

fn rules(terms: RetentionTerms) -> Retention {
    Retention::try_from(terms).unwrap()
}

/// The days of one month of 2026 whose backups of noon stay, of those that are given.
fn kept_days(rules: &Retention, days: &[u32]) -> Vec<u32> {
    let made: Vec<_> = days
        .iter()
        .map(|day| at(&format!("2026-03-{day:02}T12:00:00Z")))
        .collect();
    let let_go = rules.let_go(&made, at("2026-04-15T00:00:00Z"));
    let days = days.iter().zip(let_go);
    days.filter(|(_, let_go)| !let_go)
        .map(|(day, _)| *day)
        .collect()
}

#[test]
fn the_newest_are_kept_whatever_their_order() {
    let three = rules(RetentionTerms {
        newest: Some(3),
        ..RetentionTerms::default()
    });
    assert_eq!(kept_days(&three, &[1, 2]), [1, 2]);
    assert_eq!(kept_days(&three, &[5, 1, 4, 2, 3]), [5, 4, 3]);
}

#[test]
fn the_newest_of_each_day_week_month_and_year_stay_beside_them() {
    let calendar = RetentionTerms {
        newest: Some(1),
        zone: Some(zone("UTC+00:00")),
        ..RetentionTerms::default()
    };
    let days = rules(RetentionTerms {
        of_days: 3,
        ..calendar.clone()
    });
    // Days without a backup do not count: the last three that have one.
    assert_eq!(kept_days(&days, &[1, 10, 11, 20]), [10, 11, 20]);
    // In March 2026 the Mondays are 2, 9, 16, 23 and 30.
    let weeks = rules(RetentionTerms {
        of_weeks: 3,
        ..calendar.clone()
    });
    assert_eq!(kept_days(&weeks, &[1, 2, 8, 9, 15, 16, 17]), [8, 15, 17]);
    let months = rules(RetentionTerms {
        of_months: 2,
        ..calendar.clone()
    });
    assert_eq!(kept_days(&months, &[1, 2, 31]), [31]);
    let years = rules(RetentionTerms {
        of_years: 5,
        ..calendar
    });
    let made = [
        "2023-12-31T23:00:00Z",
        "2024-05-01T00:00:00Z",
        "2024-06-01T00:00:00Z",
    ]
    .map(at);
    assert_eq!(years.let_go(&made, made[2]), [false, true, false]);
}

#[test]
fn days_begin_where_the_zone_says() {
    let made = ["2026-03-01T15:30:00Z", "2026-03-01T16:30:00Z"].map(at);
    let of_days = |text: &str| {
        let rules = rules(RetentionTerms {
            newest: Some(1),
            of_days: 2,
            zone: Some(zone(text)),
            ..RetentionTerms::default()
        });
        rules.let_go(&made, made[1])
    };
    // In Shanghai it is midnight between the two.
    assert_eq!(of_days("UTC+08:00"), [false, false]);
    assert_eq!(of_days("UTC+00:00"), [true, false]);
    assert_eq!(of_days("UTC-12:00"), [true, false]);
}

#[test]
fn a_rule_of_time_ends_a_backup_so_many_days_after_it_was_made() {
    let week = rules(RetentionTerms {
        days: Some(7),
        ..RetentionTerms::default()
    });
    let made = at("2024-02-25T10:00:00Z");
    let end = at("2024-03-03T10:00:00Z");
    assert_eq!(week.expires_at(made), Some(end));
    assert_eq!(
        week.let_go(&[made], end.minus(Duration::from_micros(1))),
        [false]
    );
    assert_eq!(week.let_go(&[made], end), [true]);
}

#[test]
fn without_a_number_or_days_everything_stays() {
    let forever = rules(RetentionTerms {
        of_days: 1,
        zone: Some(zone("UTC+01:00")),
        ..RetentionTerms::default()
    });
    let made = at("1990-01-01T00:00:00Z");
    assert_eq!(forever.expires_at(made), None);
    assert_eq!(
        forever.let_go(&[made, made], at("2090-01-01T00:00:00Z")),
        [false, false]
    );
    assert_eq!(forever.newest(), None);
}

#[test]
fn rules_that_contradict_each_other_are_refused() {
    let refused = |terms: RetentionTerms| Retention::try_from(terms).unwrap_err();
    let days = RetentionTerms {
        days: Some(1),
        zone: Some(zone("UTC+08:00")),
        ..RetentionTerms::default()
    };
    let both = RetentionTerms {
        newest: Some(1),
        ..days.clone()
    };
    assert_eq!(refused(both), RetentionConflict::DaysAndNumbers);
    let both = RetentionTerms {
        of_years: 1,
        ..days
    };
    assert_eq!(refused(both), RetentionConflict::DaysAndNumbers);
    let nowhere = RetentionTerms {
        newest: Some(1),
        of_months: 1,
        ..RetentionTerms::default()
    };
    assert_eq!(refused(nowhere), RetentionConflict::NoZone);
}

fn marked(on: MarkedDays, kept_for: Periods) -> Retention {
    rules(RetentionTerms {
        newest: Some(1),
        zone: Some(zone("UTC+08:00")),
        marks: vec![Mark { on, kept_for }],
        ..RetentionTerms::default()
    })
}

#[test]
fn marked_days_are_kept_longer() {
    // 2026-03-01 is a Sunday, and in this zone it begins on February 28th at four in the afternoon.
    let sundays = marked(
        MarkedDays::Weekdays(vec![Weekday::Sunday]),
        Periods::Weeks(2),
    );
    let until = sundays.marked_until(at("2026-02-28T16:00:00Z"));
    assert_eq!(until, Some(at("2026-03-14T16:00:00Z")));
    assert_eq!(sundays.marked_until(at("2026-02-28T15:59:59Z")), None);

    let ends = MarkedDays::OfMonths {
        days: vec![DayOfMonth::Number(15), DayOfMonth::Last],
        months: None,
    };
    let ends = marked(ends, Periods::Months(1));
    let until = |day: &str| ends.marked_until(at(&format!("{day}T00:00:00Z")));
    assert_eq!(until("2024-02-29"), Some(at("2024-03-29T00:00:00Z")));
    assert_eq!(until("2024-02-28"), None);
    assert_eq!(until("2024-01-31"), Some(at("2024-02-29T00:00:00Z")));
    assert_eq!(until("2024-01-15"), Some(at("2024-02-15T00:00:00Z")));

    let mondays = |weeks: Vec<WeekOfMonth>| {
        let on = MarkedDays::OfWeeks {
            weeks,
            days: vec![Weekday::Monday],
            months: Some(vec![Month::March]),
        };
        marked(on, Periods::Years(1))
    };
    let until = |rules: &Retention, day: &str| {
        let until = rules.marked_until(at(&format!("{day}T00:00:00Z")));
        until.map(Timestamp::to_blank)
    };
    let first = mondays(vec![WeekOfMonth::First]);
    assert_eq!(
        until(&first, "2026-03-02").as_deref(),
        Some("2027-03-02 00:00:00")
    );
    for other in ["2026-03-09", "2026-03-03", "2026-04-06"] {
        assert_eq!(until(&first, other), None, "{other}");
    }
    let last = mondays(vec![WeekOfMonth::Last, WeekOfMonth::Fourth]);
    assert!(until(&last, "2026-03-30").is_some());
    assert!(until(&last, "2026-03-23").is_some());
    assert_eq!(until(&last, "2026-03-16"), None);
}

#[test]
fn a_mark_holds_against_a_number_and_adds_to_days() {
    let on = MarkedDays::Weekdays(vec![Weekday::Monday]);
    let numbers = marked(on.clone(), Periods::Weeks(4));
    assert_eq!(kept_days(&numbers, &[1, 2, 16, 17, 23, 24]), [23, 24]);
    let days = rules(RetentionTerms {
        days: Some(10),
        marks: vec![Mark {
            on,
            kept_for: Periods::Weeks(1),
        }],
        ..RetentionTerms::default()
    });
    // The longer of the two.
    let monday = at("2026-03-02T00:00:00Z");
    assert_eq!(days.expires_at(monday), Some(at("2026-03-12T00:00:00Z")));
    let copied = at("2026-03-20T00:00:00Z");
    assert_eq!(
        days.copy_expires_at(monday, copied),
        Some(at("2026-03-30T00:00:00Z"))
    );
}

#[test]
fn zones_are_written_in_one_way() {
    for text in [
        "UTC+08:00",
        "UTC-12:00",
        "UTC+14:00",
        "UTC+05:45",
        "UTC-00:30",
    ] {
        assert_eq!(text.parse::<UtcOffset>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "UTC",
        "UTC+8",
        "UTC+8:00",
        "UTC+08:60",
        "UTC+14:01",
        "UTC-12:01",
        "+08:00",
        "UTC 08:00",
        "UTC+0é:0",
    ] {
        assert!(text.parse::<UtcOffset>().is_err(), "{text}");
    }
}

#[test]
fn rules_survive_storage() {
    let rules = marked(
        MarkedDays::OfWeeks {
            weeks: vec![WeekOfMonth::Second],
            days: vec![Weekday::Friday],
            months: None,
        },
        Periods::Months(7),
    );
    let stored = serde_json::to_string(&rules).unwrap();
    assert_eq!(serde_json::from_str::<Retention>(&stored).unwrap(), rules);
}

prop_compose! {
    fn numbers()(
        newest in 1..6_u32, of_days in 0..5_u32, of_weeks in 0..5_u32, of_months in 0..4_u32, of_years in 0..3_u32,
        marked in any::<bool>(), hours in -12..=14_i32,
    ) -> RetentionTerms {
        let sign = if hours < 0 { '-' } else { '+' };
        let mark = Mark { on: MarkedDays::Weekdays(vec![Weekday::Sunday]), kept_for: Periods::Weeks(8) };
        RetentionTerms {
            days: None,
            newest: Some(newest),
            of_days,
            of_weeks,
            of_months,
            of_years,
            zone: Some(zone(&format!("UTC{sign}{:02}:00", hours.abs()))),
            marks: if marked { vec![mark] } else { Vec::new() },
        }
    }
}

/// Moments over about three years.
fn moments() -> impl Strategy<Value = Vec<Timestamp>> {
    let moment = (1_700_000_000..1_800_000_000_i64).prop_map(Timestamp::from_seconds);
    proptest::collection::vec(moment, 0..40)
}

proptest! {
    #[test]
    fn one_more_rule_lets_nothing_more_go(made in moments(), fewer in numbers(), more in numbers(), now in 1_700_000_000..1_900_000_000_i64) {
        let both = RetentionTerms {
            newest: fewer.newest.max(more.newest),
            of_days: fewer.of_days.max(more.of_days),
            of_weeks: fewer.of_weeks.max(more.of_weeks),
            of_months: fewer.of_months.max(more.of_months),
            of_years: fewer.of_years.max(more.of_years),
            marks: [fewer.marks.clone(), more.marks.clone()].concat(),
            zone: fewer.zone,
            days: None,
        };
        let now = Timestamp::from_seconds(now);
        let by_fewer = rules(fewer).let_go(&made, now);
        let by_both = rules(both).let_go(&made, now);
        for (fewer, both) in by_fewer.into_iter().zip(by_both) {
            prop_assert!(fewer || !both);
        }
    }

    #[test]
    fn no_clock_decides_about_numbers(made in moments(), terms in numbers(), now in any::<i64>()) {
        let rules = rules(RetentionTerms { marks: Vec::new(), ..terms });
        let let_go = rules.let_go(&made, Timestamp::from_micros(now));
        prop_assert_eq!(let_go, rules.let_go(&made, Timestamp::from_seconds(0)));
    }

    #[test]
    fn the_newest_stay_and_letting_go_once_is_enough(made in moments(), terms in numbers()) {
        let newest = terms.newest.unwrap() as usize;
        let rules = rules(terms);
        let now = Timestamp::from_seconds(2_000_000_000);
        let let_go = rules.let_go(&made, now);
        let kept: Vec<_> = made.iter().zip(&let_go).filter(|(_, let_go)| !**let_go).map(|(made, _)| *made).collect();
        prop_assert!(kept.len() >= newest.min(made.len()));
        let mut sorted = made.clone();
        sorted.sort_unstable();
        if let Some(last) = sorted.last() {
            prop_assert!(kept.contains(last));
        }
        // What stays is what would stay if the rest had never been.
        prop_assert!(rules.let_go(&kept, now).iter().all(|let_go| !let_go));
    }

    #[test]
    fn the_order_of_the_rows_does_not_matter(made in moments(), terms in numbers()) {
        let rules = rules(terms);
        let now = Timestamp::from_seconds(1_750_000_000);
        let mut sorted = made.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let mut reversed = sorted.clone();
        reversed.reverse();
        let mut forwards = rules.let_go(&sorted, now);
        forwards.reverse();
        prop_assert_eq!(forwards, rules.let_go(&reversed, now));
    }
}
