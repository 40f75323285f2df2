//! Copies from other regions go by the rules of the policy that sent them.

use std::time::Duration;

use strongroom_testkit::MockClock;
use strongroom_types::{
    BackupId, BackupStatus, PolicyId, Retention, RetentionTerms, Timestamp, VaultId,
};

use super::on_each_database;
use super::recovered_policies::{doomed, recover};
use super::world::World;
use crate::peers::{DiskDigest, ReplicaRules};
use crate::retention::{apply_numbers_to_copies, expire_backups};
use crate::vaults::VaultChange;
use crate::{replicas, vaults};

fn day(number: u64) -> Timestamp {
    MockClock::START.plus(Duration::from_hours(24 * number + 3))
}

fn newest(newest: u32) -> RetentionTerms {
    RetentionTerms {
        newest: Some(newest),
        ..RetentionTerms::default()
    }
}

/// A vault of copies, and what was copied: of which day, and which backup it is here.
struct Copies<'a> {
    world: &'a World,
    vault: VaultId,
    made: Vec<(u64, BackupId)>,
}

impl<'a> Copies<'a> {
    async fn new(world: &'a mut World) -> Self {
        world.join_west();
        let vault = world.replication_vault().await;
        Self {
            world,
            vault,
            made: Vec::new(),
        }
    }

    fn policy() -> PolicyId {
        "00000000-0000-4000-8000-000000000077".parse().unwrap()
    }

    /// Begins a copy of the backup of a day; nobody's policy sends it when there are no terms.
    async fn begin(&mut self, of_day: u64, terms: Option<RetentionTerms>) -> BackupId {
        let world = self.world;
        world.clock.advance(Duration::from_mins(1));
        let mut new = world.new_replica(&self.vault, u8::try_from(self.made.len()).unwrap());
        new.protected_at = day(of_day);
        new.auto_trigger = terms.is_some();
        new.rules = terms.map(|terms| ReplicaRules {
            policy_id: Self::policy(),
            retention: Retention::try_from(terms).unwrap(),
        });
        let begun = replicas::begin(&world.app, &world.west(), new).await;
        let id = begun.unwrap().backup_id;
        self.made.push((of_day, id.clone()));
        id
    }

    async fn finish(&self, id: &BackupId) {
        let world = self.world;
        let disks = world.children(id).await.into_iter();
        let digests: Vec<_> = disks
            .map(|disk| DiskDigest {
                backup_id: disk.id,
                digest: [7; 32],
            })
            .collect();
        replicas::commit(&world.app, &world.west(), id, &digests)
            .await
            .unwrap();
        world.run_jobs().await;
    }

    async fn copy(&mut self, of_day: u64, terms: Option<RetentionTerms>) -> BackupId {
        let id = self.begin(of_day, terms).await;
        self.finish(&id).await;
        id
    }

    /// What happens each minute.
    async fn tidy(&self) {
        let (app, now) = (&self.world.app, self.world.app.now());
        expire_backups(app, now).await.unwrap();
        apply_numbers_to_copies(app, now).await.unwrap();
        self.world.run_jobs().await;
    }

    /// The days of which there is a copy.
    async fn there(&self) -> Vec<u64> {
        let mut there = Vec::new();
        for (day, id) in &self.made {
            if self.world.backup(id).await.is_some() {
                there.push(*day);
            }
        }
        there.sort_unstable();
        there
    }

    async fn lock(&self) {
        let change = VaultChange {
            locked: Some(true),
            ..VaultChange::default()
        };
        let World {
            app,
            caller,
            project,
            ..
        } = self.world;
        vaults::update(app, caller, project, &self.vault, change)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_number_keeps_the_copies_of_the_newest_data() {
    on_each_database(async |mut world| {
        let mut copies = Copies::new(&mut world).await;
        for day in 1..=4 {
            copies.copy(day, Some(newest(2))).await;
        }
        copies.tidy().await;
        assert_eq!(copies.there().await, [3, 4]);
        // What failed at first comes late, and is old all the same.
        copies.copy(0, Some(newest(2))).await;
        copies.tidy().await;
        assert_eq!(copies.there().await, [3, 4]);
        // The rules that came last count.
        copies.copy(5, Some(newest(3))).await;
        copies.tidy().await;
        assert_eq!(copies.there().await, [3, 4, 5]);
    })
    .await;
}

#[tokio::test]
async fn the_calendar_counts_the_days_of_the_data() {
    on_each_database(async |mut world| {
        let mut copies = Copies::new(&mut world).await;
        let of_days = RetentionTerms {
            of_days: 3,
            zone: Some("UTC+00:00".parse().unwrap()),
            ..newest(1)
        };
        // All of them are copied within minutes.
        for day in [1, 2, 4, 5, 5] {
            copies.copy(day, Some(of_days.clone())).await;
        }
        copies.tidy().await;
        assert_eq!(copies.there().await, [2, 4, 5]);
    })
    .await;
}

#[tokio::test]
async fn days_are_counted_from_the_copy() {
    on_each_database(async |mut world| {
        let mut copies = Copies::new(&mut world).await;
        world_is_at(copies.world, 100);
        let days = RetentionTerms {
            days: Some(7),
            ..RetentionTerms::default()
        };
        copies.copy(1, Some(days)).await;
        world_is_at(copies.world, 106);
        copies.tidy().await;
        assert_eq!(copies.there().await, [1]);
        world_is_at(copies.world, 108);
        copies.tidy().await;
        assert!(copies.there().await.is_empty());
    })
    .await;
}

fn world_is_at(world: &World, number: u64) {
    world.clock.set(day(number));
}

#[tokio::test]
async fn whatever_comes_no_copy_goes_that_a_person_asked_for() {
    on_each_database(async |mut world| {
        let mut copies = Copies::new(&mut world).await;
        let mut by_hand = Vec::new();
        for _ in 0..40 {
            let mut dice = [0; 3];
            copies.world.app.ids.fill(&mut dice);
            let of_day = u64::from(dice[0] % 30);
            let terms = match dice[1] % 4 {
                0 => None,
                1 => Some(RetentionTerms::default()),
                2 => Some(newest(u32::from(dice[2] % 3) + 1)),
                _ => Some(RetentionTerms {
                    days: Some(u32::from(dice[2] % 3) + 1),
                    ..RetentionTerms::default()
                }),
            };
            let is_by_hand = terms.is_none();
            let id = copies.copy(of_day, terms).await;
            if is_by_hand {
                by_hand.push(id);
            }
            copies.world.clock.advance(Duration::from_hours(7));
            copies.tidy().await;
        }
        assert!(by_hand.len() > 3 && copies.there().await.len() < 30);
        for id in &by_hand {
            let row = copies.world.backup(id).await.unwrap();
            assert_eq!(row.status, BackupStatus::Available);
        }
    })
    .await;
}

#[tokio::test]
async fn in_a_locked_vault_numbers_let_no_copy_go() {
    on_each_database(async |mut world| {
        let mut copies = Copies::new(&mut world).await;
        copies.lock().await;
        for day in 1..=3 {
            copies.copy(day, Some(newest(1))).await;
        }
        copies.tidy().await;
        assert_eq!(copies.there().await, [1, 2, 3]);
    })
    .await;
}

#[tokio::test]
async fn what_a_transfer_is_compared_with_stays_until_it_has_ended() {
    on_each_database(async |mut world| {
        let mut copies = Copies::new(&mut world).await;
        copies.copy(1, Some(newest(1))).await;
        let under_way = copies.begin(3, None).await;
        copies.copy(2, Some(newest(1))).await;
        copies.tidy().await;
        assert_eq!(copies.there().await, [1, 2, 3]);
        copies.finish(&under_way).await;
        copies.tidy().await;
        assert_eq!(copies.there().await, [2, 3]);
    })
    .await;
}

#[tokio::test]
async fn recovered_copies_go_by_their_rules_again() {
    on_each_database(async |world| {
        let (_database, mut lost) = doomed().await;
        let mut before = Copies::new(&mut lost).await;
        for day in 1..=3 {
            before.copy(day, Some(newest(2))).await;
        }
        let world = recover(before.world, &world).await;
        let after = Copies {
            world: &world,
            vault: before.vault.clone(),
            made: before.made.clone(),
        };
        assert_eq!(after.there().await, [1, 2, 3]);
        after.tidy().await;
        assert_eq!(after.there().await, [2, 3]);
    })
    .await;
}
