//! Retention goes on when the database was lost: policies come back with the vaults that they are applied to.

use strongroom_db::{Db, Policy, VaultPolicy};
use strongroom_testkit::{SeededIds, TestDatabase, test_databases};
use strongroom_types::{Mark, MarkedDays, Periods, RetentionTerms, Weekday};

use super::on_each_database;
use super::policies::{backup_policy, beside};
use super::policy_options::fail;
use super::retention::{Kept, days, keeping, newest};
use super::world::World;
use crate::policies::Definition;
use crate::recovery::{group, list_again, restore_project};
use crate::{Caller, Provenance, policies};

/// An installation of its own, whose database will be lost when it is dropped.
pub(super) async fn doomed() -> (TestDatabase, World) {
    let database = test_databases().await.remove(0);
    let db = Db::open(&database.address).await.unwrap();
    let world = World::with_ids(db, SeededIds::new(78)).await;
    (database, world)
}

/// Lists what the other installation's backups have left in the storage, the newest first.
pub(super) async fn recover(from: &World, into: &World) -> World {
    into.clock.set(from.app.now());
    into.set_disk("/data", World::idle(5));
    let by = into.recoverer();
    let project = from.project.clone();
    restore_project(&into.app, &by, &project, "lost")
        .await
        .unwrap();
    let points = from.written.lock().unwrap().clone();
    let mut left = Vec::new();
    for point in points {
        if from.backup(&point.provenance.backup_id).await.is_some() {
            left.push(point);
        }
    }
    for found in group(left).iter().rev() {
        list_again(&into.app, &by, &project, found).await.unwrap();
    }
    World {
        app: into.app.clone(),
        clock: into.clock.clone(),
        disks: into.disks.clone(),
        written: into.written.clone(),
        caller: Caller {
            project_id: Some(project.clone()),
            ..into.caller.clone()
        },
        project,
    }
}

/// Two that are kept, and beside them Sundays for three weeks.
fn sundays() -> Definition {
    keeping(RetentionTerms {
        newest: Some(2),
        marks: vec![Mark {
            on: MarkedDays::Weekdays(vec![Weekday::Sunday]),
            kept_for: Periods::Weeks(3),
        }],
        ..RetentionTerms::default()
    })
}

async fn applied(world: &World, kept: &Kept<'_>) -> Option<(Policy, VaultPolicy)> {
    let mut tx = world.app.db.read().await.unwrap();
    let policy = tx.find_policy(&kept.policy).await.unwrap()?;
    let applied = tx.find_vault_policy(&kept.vault, &kept.policy).await;
    Some((policy, applied.unwrap()?))
}

/// Loses the database after twelve days, and lives the next thirty twice: as if nothing had happened, and recovered.
async fn lives_on(world: &World, definition: Definition) {
    let (_database, lost) = doomed().await;
    let before = Kept::by(&lost, definition).await;
    before.days(12).await;
    let world = recover(&lost, world).await;
    let after = Kept::at(&world, before.vault.clone(), before.policy.clone()).await;
    after.tidy().await;
    assert_eq!(after.there().await, before.there().await);
    for _ in 0..30 {
        before.days(1).await;
        after.days(1).await;
        assert_eq!(after.there().await, before.there().await);
    }
}

#[tokio::test]
async fn numbers_go_on_as_if_nothing_had_been_lost() {
    on_each_database(async |world| lives_on(&world, newest(3)).await).await;
}

#[tokio::test]
async fn ends_come_as_if_nothing_had_been_lost() {
    on_each_database(async |world| lives_on(&world, days(4)).await).await;
}

#[tokio::test]
async fn marked_days_are_kept_as_if_nothing_had_been_lost() {
    on_each_database(async |world| lives_on(&world, sundays()).await).await;
}

#[tokio::test]
async fn a_policy_comes_back_as_it_was() {
    on_each_database(async |world| {
        let (_database, lost) = doomed().await;
        let kept = Kept::by(&lost, sundays()).await;
        lost.choose(&kept.policy, fail()).await.unwrap();
        kept.days(2).await;
        let (policy, of_vault) = applied(&lost, &kept).await.unwrap();
        let world = recover(&lost, &world).await;
        let (again, of_vault_again) = applied(&world, &kept).await.unwrap();
        let as_it_was = Policy {
            schedule_since: world.app.now(),
            version: 0,
            updated_at: world.app.now(),
            ..policy
        };
        assert_eq!(again, as_it_was);
        let since_now = VaultPolicy {
            associated_at: world.app.now(),
            last_due_at: None,
            ..of_vault
        };
        assert_eq!(of_vault_again, since_now);
    })
    .await;
}

#[tokio::test]
async fn what_was_taken_off_a_vault_stays_off_it() {
    on_each_database(async |world| {
        let (_database, lost) = doomed().await;
        let kept = Kept::by(&lost, newest(2)).await;
        kept.days(3).await;
        let other = lost.policy(backup_policy("other")).await;
        lost.apply(&kept.vault, &other).await.unwrap();
        kept.days(2).await;
        let there = kept.there().await;
        let world = recover(&lost, &world).await;
        assert!(applied(&world, &kept).await.is_none());
        let after = Kept::at(&world, kept.vault.clone(), other).await;
        after.days(1).await;
        // It made those of the first days under a policy that counts no more.
        assert_eq!(after.there().await[..4], there[..]);
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_was_deleted_is_not_made_again_beside_its_vault() {
    on_each_database(async |world| {
        let kept = Kept::by(&world, newest(2)).await;
        kept.days(2).await;
        policies::delete(&world.app, &world.caller, &world.project, &kept.policy)
            .await
            .unwrap();
        let world = recover(&world, &world).await;
        assert!(applied(&world, &kept).await.is_none());
        assert_eq!(kept.there().await, [2, 3]);
    })
    .await;
}

#[tokio::test]
async fn backups_do_not_fail_for_long_policies() {
    on_each_database(async |world| {
        let kept = Kept::by(&world, newest(2)).await;
        for n in 0..9 {
            let mut long = backup_policy(&format!("policy {n}"));
            long.definition.text = format!("\"{}\"", "x".repeat(5000));
            let id = world.policy(long).await;
            world
                .associate(&kept.vault, beside(vec![id]))
                .await
                .unwrap();
        }
        let backup = world.backed_up(&kept.vault).await.remove(0);
        let written = world.written.lock().unwrap();
        let point = written.last().unwrap();
        assert_eq!(point.provenance.backup_id, backup.id);
        assert_eq!(point.provenance.policies.len(), 6);
        let attributes = point.provenance.to_attributes().to_string();
        assert!(attributes.len() < 40 << 10);
    })
    .await;
}

#[tokio::test]
async fn points_from_before_policies_were_noted_are_read() {
    on_each_database(async |world| {
        let kept = Kept::by(&world, newest(2)).await;
        kept.days(1).await;
        let written = world.written.lock().unwrap();
        let mut old = written[0].provenance.to_attributes();
        old.as_object_mut().unwrap().remove("policies");
        for member in ["policy_id", "retention"] {
            let backup = old["backup"].as_object_mut().unwrap();
            assert!(backup.remove(member).is_some());
        }
        let read = Provenance::from_attributes(&old).unwrap();
        assert!(read.policies.is_empty() && read.backup.policy_id.is_none());
    })
    .await;
}
