//! A year of policies: three vaults, every kind of retention, two zones. Each day the backups that are there are compared
//! with a model that knows nothing of the service but what its documentation promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strongroom_types::{
    DayOfMonth, Mark, MarkedDays, Month, Periods, RetentionTerms, Timestamp, VaultId, Weekday,
};

use super::policies::{backup_policy, definition};
use super::{World, on_each_database};
use crate::policies::{Definition, NewPolicy};
use crate::{retention, schedules};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// One vault of the model: when its backups start, in hours of every so many days, and which stay.
struct Model {
    name: &'static str,
    hours: &'static [u32],
    every: i64,
    stays: fn(&[Timestamp], Timestamp) -> BTreeSet<Timestamp>,
    /// All that were ever made.
    made: Vec<Timestamp>,
}

/// A local moment, as people write it.
fn local(moment: Timestamp, zone_hours: i64) -> String {
    Timestamp::from_seconds(moment.as_seconds() + zone_hours * 3600).to_blank()
}

fn twenty_days(made: &[Timestamp], now: Timestamp) -> BTreeSet<Timestamp> {
    let young = made.iter().filter(|made| now < made.plus(DAY * 20));
    young.copied().collect()
}

/// The newest 4, and of the last 7 days, 5 weeks, 6 months and 2 years the newest each, in Shanghai.
fn grandfathers(made: &[Timestamp], _: Timestamp) -> BTreeSet<Timestamp> {
    let mut stay: BTreeSet<_> = made.iter().rev().take(4).copied().collect();
    let prefix = |length: usize| move |moment: Timestamp| local(moment, 8)[..length].to_owned();
    // 2025-12-29 was a Monday.
    let monday: Timestamp = "2025-12-28T16:00:00Z".parse().unwrap();
    let week = move |moment: Timestamp| format!("{:04}", moment.since(monday).as_secs() / 604_800);
    let mut newest_of_last = |count: usize, period: &dyn Fn(Timestamp) -> String| {
        let mut newest = BTreeMap::new();
        for moment in made {
            newest.insert(period(*moment), *moment);
        }
        stay.extend(newest.into_values().rev().take(count));
    };
    newest_of_last(7, &prefix("2026-01-01".len()));
    newest_of_last(5, &week);
    newest_of_last(6, &prefix("2026-01".len()));
    newest_of_last(2, &prefix("2026".len()));
    stay
}

/// The newest 3; those of Sundays for 6 weeks, of the last day of a month for 3 months, of New Year for a year, in New York's winter.
fn marked(made: &[Timestamp], now: Timestamp) -> BTreeSet<Timestamp> {
    let mut stay: BTreeSet<_> = made.iter().rev().take(3).copied().collect();
    for moment in made {
        let today = local(*moment, -5);
        let tomorrow = local(moment.plus(DAY), -5);
        // 2026-01-04 was a Sunday, and began in New York at five in the morning.
        let sunday = "2026-01-04T05:00:00Z".parse::<Timestamp>().unwrap();
        let days = (moment.as_seconds() - sunday.as_seconds()).div_euclid(86_400);
        let mut until = *moment;
        if days.rem_euclid(7) == 0 {
            until = until.max(moment.plus(DAY * 42));
        }
        if tomorrow[8..10] == *"01" {
            until = until.max(moment.plus_months(3));
        }
        if today[5..10] == *"01-01" {
            until = until.max(moment.plus_months(12));
        }
        if until > now {
            stay.insert(*moment);
        }
    }
    stay
}

fn policy(name: &str, hours: &[u32], every: i64, retention: RetentionTerms) -> NewPolicy {
    let pattern = |hour| format!("FREQ=DAILY;INTERVAL={every};BYHOUR={hour};BYMINUTE=00");
    NewPolicy {
        patterns: hours.iter().map(pattern).collect(),
        definition: Definition {
            retention,
            ..definition()
        },
        ..backup_policy(name)
    }
}

fn retentions() -> [RetentionTerms; 3] {
    let mark = |on, kept_for| Mark { on, kept_for };
    [
        RetentionTerms {
            days: Some(20),
            ..RetentionTerms::default()
        },
        RetentionTerms {
            newest: Some(4),
            of_days: 7,
            of_weeks: 5,
            of_months: 6,
            of_years: 2,
            zone: Some("UTC+08:00".parse().unwrap()),
            ..RetentionTerms::default()
        },
        RetentionTerms {
            newest: Some(3),
            zone: Some("UTC-05:00".parse().unwrap()),
            marks: vec![
                mark(
                    MarkedDays::Weekdays(vec![Weekday::Sunday]),
                    Periods::Weeks(6),
                ),
                mark(
                    MarkedDays::OfMonths {
                        days: vec![DayOfMonth::Last],
                        months: None,
                    },
                    Periods::Months(3),
                ),
                mark(
                    MarkedDays::OfMonths {
                        days: vec![DayOfMonth::Number(1)],
                        months: Some(vec![Month::January]),
                    },
                    Periods::Years(1),
                ),
            ],
            ..RetentionTerms::default()
        },
    ]
}

fn models() -> [Model; 3] {
    let model = |name, hours, every, stays| Model {
        name,
        hours,
        every,
        stays,
        made: Vec::new(),
    };
    [
        model(
            "twenty days",
            &[2],
            1,
            twenty_days as fn(&[Timestamp], Timestamp) -> _,
        ),
        model("grandfathers", &[2, 17], 1, grandfathers),
        model("marked", &[4], 2, marked),
    ]
}

impl World {
    async fn there(&self, vault: &VaultId) -> BTreeSet<Timestamp> {
        let backups = self.backups_of(vault).await.into_iter();
        let automatic = backups.filter(|backup| backup.auto_trigger);
        automatic.map(|backup| backup.created_at).collect()
    }

    async fn tidy(&self) {
        let now = self.app.now();
        retention::expire_backups(&self.app, now).await.unwrap();
        while retention::apply_numbers(&self.app, now).await.unwrap() > 0 {}
        retention::clear_failed_backups(&self.app, now)
            .await
            .unwrap();
        self.run_jobs().await;
    }
}

#[tokio::test]
async fn a_year_of_policies() {
    on_each_database(|world| async move {
        let mut vaults = Vec::new();
        let mut models = models();
        for (model, retention) in models.iter().zip(retentions()) {
            let disk = world.volume(model.name).await;
            let vault = world.disk_vault(model.name, &[&disk]).await;
            let new = policy(model.name, model.hours, model.every, retention);
            world.apply(&vault, &world.policy(new).await).await.unwrap();
            vaults.push(vault);
        }
        let first = world.app.now();
        let midnight = Timestamp::from_seconds(first.as_seconds().div_euclid(86_400) * 86_400);
        let mut manual = 0;
        for day in 0..366 {
            let today = midnight.plus(DAY * u32::try_from(day).unwrap());
            for hour in [2, 4, 17] {
                let now = today.plus(HOUR * hour);
                world.clock.set(now);
                for model in &mut models {
                    if model.hours.contains(&hour) && day % model.every == 0 {
                        model.made.push(now);
                    }
                }
                schedules::run_due(&world.app, now).await.unwrap();
                world.run_jobs().await;
            }
            world.clock.set(today.plus(HOUR * 23));
            if day % 50 == 10 {
                for vault in &vaults {
                    world.backed_up(vault).await;
                }
                manual += 1;
            }
            world.tidy().await;
            for (model, vault) in models.iter().zip(&vaults) {
                let expected = (model.stays)(&model.made, world.app.now());
                let there = world.there(vault).await;
                assert_eq!(there, expected, "{} on day {day}", model.name);
            }
        }
        for vault in &vaults {
            let backups = world.backups_of(vault).await;
            let by_hand = backups.iter().filter(|backup| !backup.auto_trigger);
            assert_eq!(by_hand.count(), manual);
        }
    })
    .await;
}
