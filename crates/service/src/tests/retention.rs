//! Which automatic backups go, and when.

use std::time::Duration;

use strongroom_db::Backup;
use strongroom_types::{
    BackupId, BackupStatus, PolicyId, RetentionTerms, Timestamp, UtcOffset, VaultId,
};
use tokio::sync::Mutex;

use super::policies::{backup_policy, definition};
use super::world::failure;
use super::{World, on_each_database};
use crate::checkpoints::NewCheckpoint;
use crate::locks::{ClockSeen, observe_clock};
use crate::policies::{self, Definition, PolicyChange};
use crate::vaults::VaultChange;
use crate::{progress, retention, schedules, vaults};

const DAY: Duration = Duration::from_hours(24);

pub(super) fn keeping(retention: RetentionTerms) -> Definition {
    Definition {
        retention,
        ..definition()
    }
}

pub(super) fn days(days: u32) -> Definition {
    keeping(RetentionTerms {
        days: Some(days),
        ..RetentionTerms::default()
    })
}

pub(super) fn newest(newest: u32) -> Definition {
    keeping(RetentionTerms {
        newest: Some(newest),
        ..RetentionTerms::default()
    })
}

fn forever() -> Definition {
    definition()
}

/// A vault with one disk, backed up every day at three under one policy.
pub(super) struct Kept<'a> {
    world: &'a World,
    pub(super) vault: VaultId,
    pub(super) policy: PolicyId,
    /// What the worker saw of its clock, and when.
    seen: Mutex<(ClockSeen, Timestamp)>,
}

impl<'a> Kept<'a> {
    pub(super) async fn by(world: &'a World, definition: Definition) -> Self {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let mut new = backup_policy("daily");
        new.definition = definition;
        let policy = world.policy(new).await;
        world.apply(&vault, &policy).await.unwrap();
        Self::at(world, vault, policy).await
    }

    pub(super) async fn at(world: &'a World, vault: VaultId, policy: PolicyId) -> Self {
        let seen = observe_clock(&world.app, None).await.unwrap();
        Self {
            world,
            vault,
            policy,
            seen: Mutex::new((seen, world.app.now())),
        }
    }

    /// The worker looks at its clock, which goes as the host's does.
    async fn look_at_clock(&self) {
        let (app, mut seen) = (&self.world.app, self.seen.lock().await);
        let passed = app.now().since(seen.1);
        let now = observe_clock(app, Some((seen.0, passed))).await.unwrap();
        *seen = (now, app.now());
    }

    pub(super) async fn change(&self, definition: Definition) {
        let change = PolicyChange {
            definition: Some(definition),
            ..PolicyChange::default()
        };
        self.world
            .change_policy(&self.policy, change)
            .await
            .unwrap();
    }

    async fn lock(&self) {
        let lock = VaultChange {
            locked: Some(true),
            ..VaultChange::default()
        };
        let world = self.world;
        vaults::update(&world.app, &world.caller, &world.project, &self.vault, lock)
            .await
            .unwrap();
    }

    /// Lets so many days pass, with everything that happens by itself.
    pub(super) async fn days(&self, count: u32) {
        for _ in 0..count {
            self.one_day().await;
        }
    }

    async fn one_day(&self) {
        let world = self.world;
        let now = world.app.now().as_seconds();
        let next = Timestamp::from_seconds(now - now.rem_euclid(86_400)).plus(DAY);
        world.clock.set(next.plus(Duration::from_hours(3)));
        schedules::run_due(&world.app, world.app.now())
            .await
            .unwrap();
        world.run_jobs().await;
        world.clock.advance(Duration::from_hours(1));
        self.tidy().await;
    }

    /// What happens each minute, but for new backups.
    pub(super) async fn tidy(&self) {
        self.look_at_clock().await;
        let (app, now) = (&self.world.app, self.world.app.now());
        retention::expire_backups(app, now).await.unwrap();
        retention::apply_numbers(app, now).await.unwrap();
        retention::clear_failed_backups(app, now).await.unwrap();
        self.world.run_jobs().await;
    }

    async fn backups(&self) -> Vec<Backup> {
        self.world.backups_of(&self.vault).await
    }

    /// The days of 2026 whose automatic backups are there, counted from January 1st as 1.
    pub(super) async fn there(&self) -> Vec<i64> {
        let backups = self.backups().await.into_iter();
        let automatic = backups.filter(|backup| backup.auto_trigger);
        automatic.map(|backup| day_of_2026(&backup)).collect()
    }
}

fn day_of_2026(backup: &Backup) -> i64 {
    let start = strongroom_testkit::MockClock::START.as_seconds();
    (backup.created_at.as_seconds() - start) / 86_400 + 1
}

#[tokio::test]
async fn an_end_is_fixed_when_a_backup_is_made() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, days(3)).await;
        kept.days(4).await;
        assert_eq!(kept.there().await, [3, 4, 5]);
        // Longer or shorter: what is there keeps its end.
        kept.change(days(100)).await;
        kept.days(2).await;
        assert_eq!(kept.there().await, [5, 6, 7]);
        kept.change(days(1)).await;
        kept.days(2).await;
        assert_eq!(kept.there().await, [6, 7, 9]);
        kept.change(forever()).await;
        kept.days(120).await;
        assert_eq!(kept.there().await[..2], [10, 11]);
    })
    .await;
}

#[tokio::test]
async fn a_new_number_counts_from_the_next_backup_on() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(4)).await;
        kept.days(6).await;
        assert_eq!(kept.there().await, [4, 5, 6, 7]);
        kept.change(newest(2)).await;
        kept.tidy().await;
        assert_eq!(kept.there().await, [4, 5, 6, 7]);
        kept.days(1).await;
        assert_eq!(kept.there().await, [7, 8]);
        // From a number to days, or to nothing: what is there stays.
        kept.change(days(1)).await;
        kept.days(2).await;
        assert_eq!(kept.there().await, [7, 8, 10]);
        kept.change(forever()).await;
        kept.days(2).await;
        assert_eq!(kept.there().await, [7, 8, 11, 12]);
        // Back to a number: it counts all of them.
        kept.change(newest(3)).await;
        kept.days(1).await;
        assert_eq!(kept.there().await, [11, 12, 13]);
    })
    .await;
}

#[tokio::test]
async fn from_days_to_a_number_both_rules_end_old_backups() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, days(5)).await;
        kept.days(3).await;
        kept.change(newest(4)).await;
        kept.days(2).await;
        assert_eq!(kept.there().await, [3, 4, 5, 6]);
        kept.change(newest(10)).await;
        kept.days(4).await;
        // Days 3 and 4 ended by their time, 5 and 6 never do.
        assert_eq!(kept.there().await, [5, 6, 7, 8, 9, 10]);
    })
    .await;
}

#[tokio::test]
async fn manual_backups_are_neither_counted_nor_touched() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(1)).await;
        kept.days(1).await;
        let manual = world.backed_up(&kept.vault).await.remove(0);
        let with_an_end = NewCheckpoint {
            retention_days: 30,
            ..World::new_checkpoint(&kept.vault)
        };
        world.back_up(with_an_end).await.unwrap();
        world.run_jobs().await;
        kept.days(3).await;
        assert_eq!(kept.there().await, [5]);
        assert_eq!(kept.backups().await.len(), 3);
        kept.days(40).await;
        assert_eq!(kept.backups().await.len(), 2);
        assert!(world.backup(&manual.id).await.is_some());
    })
    .await;
}

#[tokio::test]
async fn backups_of_a_policy_that_is_gone_stay() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(2)).await;
        kept.days(3).await;
        let mut other = backup_policy("other");
        other.definition = newest(1);
        let other = world.policy(other).await;
        world.apply(&kept.vault, &other).await.unwrap();
        kept.days(2).await;
        // The other policy counts its own.
        assert_eq!(kept.there().await, [3, 4, 6]);
        policies::delete(&world.app, &world.caller, &world.project, &kept.policy)
            .await
            .unwrap();
        kept.days(2).await;
        assert_eq!(kept.there().await, [3, 4, 8]);
    })
    .await;
}

#[tokio::test]
async fn a_disabled_policy_deletes_nothing_but_what_has_its_end() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(2)).await;
        kept.days(3).await;
        let change = PolicyChange {
            enabled: Some(false),
            definition: Some(newest(1)),
            ..PolicyChange::default()
        };
        world.change_policy(&kept.policy, change).await.unwrap();
        kept.days(3).await;
        assert_eq!(kept.there().await, [3, 4]);
    })
    .await;
}

#[tokio::test]
async fn a_deletion_by_a_policy_has_a_task_that_names_it() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(1)).await;
        kept.days(2).await;
        let logs = world.logs_of(&kept.policy).await;
        let words: Vec<_> = logs.iter().map(|log| log.operation_type.as_str()).collect();
        assert_eq!(words, ["backup", "backup", "delete"]);
    })
    .await;
}

#[tokio::test]
async fn in_a_locked_vault_numbers_let_nothing_go() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(3)).await;
        kept.lock().await;
        kept.days(4).await;
        // Neither new backups nor a smaller number push the old ones out.
        kept.change(newest(1)).await;
        kept.days(2).await;
        assert_eq!(kept.there().await, [2, 3, 4, 5, 6, 7]);
    })
    .await;
}

#[tokio::test]
async fn in_a_locked_vault_no_change_brings_an_end_closer() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, days(4)).await;
        kept.lock().await;
        kept.days(2).await;
        // Longer rules of today hold what was made under shorter ones.
        kept.change(days(6)).await;
        kept.days(4).await;
        assert_eq!(kept.there().await, [2, 3, 4, 5, 6, 7]);
        kept.days(1).await;
        assert_eq!(kept.there().await, [3, 4, 5, 6, 7, 8]);
        // Taken off, the rules of the making are left, no shorter than they were.
        world.take_off(&kept.vault, &kept.policy).await.unwrap();
        kept.days(1).await;
        assert_eq!(kept.there().await, [4, 5, 6, 7, 8]);
        policies::delete(&world.app, &world.caller, &world.project, &kept.policy)
            .await
            .unwrap();
        kept.days(1).await;
        assert_eq!(kept.there().await, [5, 6, 7, 8]);
        kept.days(4).await;
        assert!(kept.there().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn the_lock_of_a_vault_counts_from_when_it_is_set() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, forever()).await;
        kept.days(3).await;
        kept.change(newest(1)).await;
        kept.lock().await;
        kept.days(2).await;
        // The number would have let all but the last go.
        assert_eq!(kept.there().await, [2, 3, 4, 5, 6]);
    })
    .await;
}

/// Makes every next backup fail, for as many days.
async fn failing_days(kept: &Kept<'_>, count: u32) {
    let world = kept.world;
    for _ in 0..count {
        world.clock.advance(DAY);
        schedules::run_due(&world.app, world.app.now())
            .await
            .unwrap();
        let (job, lease) = world.claim_some().await;
        let id: BackupId = job.subject_id.parse().unwrap();
        progress::fail_backup(&world.app, &lease, &id, failure())
            .await
            .unwrap();
        kept.tidy().await;
    }
}

#[tokio::test]
async fn ten_failed_automatic_backups_are_kept_for_a_month() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(2)).await;
        kept.days(2).await;
        failing_days(&kept, 12).await;
        let failed = || async {
            let backups = kept.backups().await.into_iter();
            let failed = backups.filter(|backup| backup.status == BackupStatus::Error);
            failed
                .map(|backup| day_of_2026(&backup))
                .collect::<Vec<_>>()
        };
        // A failed backup takes no good one's place.
        assert_eq!(kept.there().await.len(), 12);
        assert_eq!(failed().await, (6..=15).collect::<Vec<_>>());
        let disable = PolicyChange {
            enabled: Some(false),
            ..PolicyChange::default()
        };
        world.change_policy(&kept.policy, disable).await.unwrap();
        world.clock.set("2026-02-10T00:00:00Z".parse().unwrap());
        kept.tidy().await;
        assert_eq!(failed().await, (10..=15).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_failed_manual_backup_stays() {
    on_each_database(|world| async move {
        let kept = Kept::by(&world, newest(1)).await;
        world
            .back_up(World::new_checkpoint(&kept.vault))
            .await
            .unwrap();
        let (job, lease) = world.claim_some().await;
        let id: BackupId = job.subject_id.parse().unwrap();
        progress::fail_backup(&world.app, &lease, &id, failure())
            .await
            .unwrap();
        kept.days(70).await;
        assert!(world.backup(&id).await.is_some());
        assert_eq!(kept.there().await, [71]);
    })
    .await;
}

#[tokio::test]
async fn the_calendar_keeps_the_newest_of_its_days_weeks_and_months() {
    on_each_database(|world| async move {
        let calendar = RetentionTerms {
            newest: Some(1),
            of_weeks: 3,
            of_months: 3,
            zone: Some("UTC+00:00".parse::<UtcOffset>().unwrap()),
            ..RetentionTerms::default()
        };
        let kept = Kept::by(&world, keeping(calendar)).await;
        kept.days(80).await;
        // Day 81 is March 22nd, a Sunday; the months end on days 31, 59 and 81, the weeks on 67, 74 and 81.
        assert_eq!(kept.there().await, [31, 59, 67, 74, 81]);
    })
    .await;
}
