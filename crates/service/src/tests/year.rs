//! A year of policies: three vaults, every kind of retention, two zones. Each day the backups that are there are compared
//! with a model that knows nothing of the service but what its documentation promises.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use strongroom_db::Tx;
use strongroom_types::{
    BackupId, BackupStatus, DayOfMonth, JobKind, Mark, MarkedDays, Month, Periods, ProtectStatus,
    RetentionTerms, Timestamp, VaultId, Weekday,
};

use super::policies::{backup_policy, definition};
use super::{World, on_each_database};
use crate::policies::{Definition, NewPolicy};
use crate::{retention, schedules};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// One vault of the model: when its backups start and which stay.
struct Model {
    name: &'static str,
    patterns: &'static [&'static str],
    /// By the day, 0 for January 1st, and the hour.
    starts: fn(i64, u32) -> bool,
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

fn policy(model: &Model, retention: RetentionTerms) -> NewPolicy {
    let patterns = model.patterns.iter();
    NewPolicy {
        patterns: patterns.map(|text| (*text).to_owned()).collect(),
        definition: Definition {
            retention,
            ..definition()
        },
        ..backup_policy(model.name)
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
    [
        Model {
            name: "twenty days",
            patterns: &["FREQ=DAILY;INTERVAL=2;BYHOUR=02;BYMINUTE=00"],
            starts: |day, hour| day % 2 == 0 && hour == 2,
            stays: twenty_days,
            made: Vec::new(),
        },
        Model {
            name: "grandfathers",
            patterns: &[
                "FREQ=DAILY;INTERVAL=1;BYHOUR=02;BYMINUTE=00",
                "FREQ=WEEKLY;BYDAY=MO,FR;BYHOUR=17;BYMINUTE=00",
            ],
            // January 2nd was a Friday, the 5th a Monday.
            starts: |day, hour| hour == 2 || (hour == 17 && [1, 4].contains(&(day % 7))),
            stays: grandfathers,
            made: Vec::new(),
        },
        Model {
            name: "marked",
            patterns: &["FREQ=DAILY;INTERVAL=3;BYHOUR=17;BYMINUTE=00"],
            starts: |day, hour| day % 3 == 0 && hour == 17,
            stays: marked,
            made: Vec::new(),
        },
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
        self.end_jobs().await;
    }

    /// Does every job well, without the steps between, in one transaction: a year has thousands of them.
    async fn end_jobs(&self) {
        let now = self.app.now();
        let mut tx = self.app.db.begin().await.unwrap();
        while let Some(job) = tx.claim_job("year", now, HOUR).await.unwrap() {
            match job.kind {
                JobKind::BackUp => save(&mut tx, &job.subject_id.parse().unwrap()).await,
                JobKind::DeleteBackup => {
                    let id = job.subject_id.parse().unwrap();
                    assert!(tx.delete_backup(&id).await.unwrap());
                }
                other => panic!("a year has no {other}"),
            }
            assert!(tx.finish_job(&job.lease("year"), now).await.unwrap());
        }
        tx.commit().await.unwrap();
    }
}

async fn save(tx: &mut Tx, id: &BackupId) {
    let mut backup = tx.find_backup(id).await.unwrap().unwrap();
    backup.status = BackupStatus::Available;
    backup.point_id = Some(id.to_string());
    assert!(tx.end_backup(&backup).await.unwrap());
    let from = [ProtectStatus::Protecting];
    let moved = tx.move_vault_resource(&backup.resource_id, &from, ProtectStatus::Available);
    assert!(moved.await.unwrap());
}

#[tokio::test]
async fn a_year_of_policies() {
    on_each_database(|world| async move {
        let mut vaults = Vec::new();
        let mut models = models();
        for (model, retention) in models.iter().zip(retentions()) {
            let disk = world.volume(model.name).await;
            let vault = world.disk_vault(model.name, &[&disk]).await;
            let policy = world.policy(policy(model, retention)).await;
            world.apply(&vault, &policy).await.unwrap();
            vaults.push(vault);
        }
        let first = world.app.now();
        let midnight = Timestamp::from_seconds(first.as_seconds().div_euclid(86_400) * 86_400);
        let mut manual = 0;
        for day in 0..366 {
            let today = midnight.plus(DAY * u32::try_from(day).unwrap());
            for hour in [2, 17] {
                let now = today.plus(HOUR * hour);
                world.clock.set(now);
                for model in &mut models {
                    if (model.starts)(day, hour) {
                        model.made.push(now);
                    }
                }
                schedules::run_due(&world.app, now).await.unwrap();
                world.end_jobs().await;
            }
            world.clock.set(today.plus(HOUR * 23));
            if day % 50 == 10 {
                for vault in &vaults {
                    world.back_up(World::new_checkpoint(vault)).await.unwrap();
                }
                world.end_jobs().await;
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
