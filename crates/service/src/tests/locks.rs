//! A locked vault against every way to take something from it.

use std::time::Duration;

use strongroom_db::Backup;
use strongroom_types::{BackupStatus, ResourceId, Role, Timestamp, VaultId};

use super::world::protect_volume;
use super::{World, on_each_database, refused};
use crate::checkpoints::NewCheckpoint;
use crate::expirations::{self, MovedEnds, NewEnd};
use crate::locks::{ClockSeen, observe_clock, retention_start};
use crate::vaults::VaultChange;
use crate::{
    Caller, Error, backups, inventory, migrations, progress, resources, retention, vaults,
};

const DAY: Duration = Duration::from_hours(24);

/// A locked disk vault with one automatic and one manual backup, which end after a week.
struct Scene {
    world: World,
    vault: VaultId,
    resource: ResourceId,
    automatic: Backup,
    manual: Backup,
    seen: ClockSeen,
}

impl Scene {
    async fn set(world: World) -> Self {
        let seen = observe_clock(&world.app, None).await.unwrap();
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let manual = NewCheckpoint {
            retention_days: 7,
            ..World::new_checkpoint(&vault)
        };
        let manual = made(&world, manual).await;
        let automatic = NewCheckpoint {
            auto_trigger: true,
            ..World::new_checkpoint(&vault)
        };
        let automatic = made(&world, automatic).await;
        end_in(&world, &automatic, DAY * 7).await;
        lock(&world, &vault).await;
        Self {
            automatic: world.backup(&automatic.id).await.unwrap(),
            resource: data.into(),
            world,
            vault,
            manual,
            seen,
        }
    }

    /// Time passes, and a worker sees it pass.
    async fn pass(&mut self, time: Duration) {
        self.world.clock.advance(time);
        self.look(time).await;
    }

    /// A worker looks when so much has passed by its monotonic clock, whatever the host's clock says.
    async fn look(&mut self, passed: Duration) {
        let last = Some((self.seen, passed));
        self.seen = observe_clock(&self.world.app, last).await.unwrap();
    }

    async fn delete(&self, backup: &Backup) -> Result<(), Error> {
        let world = &self.world;
        backups::delete(&world.app, &world.caller, &world.project, &backup.id).await
    }

    async fn delete_vault(&self) -> Result<(), Error> {
        let world = &self.world;
        vaults::delete(&world.app, &world.caller, &world.project, &self.vault).await
    }

    async fn expire(&self) -> u64 {
        retention::expire_backups(&self.world.app, self.world.app.now())
            .await
            .unwrap()
    }

    async fn move_ends(&self, day: &str) -> Result<MovedEnds, Error> {
        let new = NewEnd {
            day: day.to_owned(),
            zone: "UTC+00:00".to_owned(),
        };
        let world = &self.world;
        expirations::update(&world.app, &world.caller, &world.project, &self.vault, new).await
    }

    async fn end_of(&self, backup: &Backup) -> Timestamp {
        let backup = self.world.backup(&backup.id).await.unwrap();
        backup.expired_at.unwrap()
    }
}

async fn made(world: &World, new: NewCheckpoint) -> Backup {
    let view = world.back_up(new).await.unwrap();
    world.run_jobs().await;
    let mut tx = world.app.db.read().await.unwrap();
    let mut backups = tx.backups_of_checkpoint(&view.checkpoint.id).await.unwrap();
    backups.remove(0)
}

/// What a policy's retention would have written.
async fn end_in(world: &World, backup: &Backup, time: Duration) {
    let mut tx = world.app.db.begin().await.unwrap();
    let end = backup.created_at.plus(time);
    tx.update_backup_end(&backup.id, end, world.app.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

async fn lock(world: &World, vault: &VaultId) {
    let lock = VaultChange {
        locked: Some(true),
        ..VaultChange::default()
    };
    vaults::update(&world.app, &world.caller, &world.project, vault, lock)
        .await
        .unwrap();
}

#[tokio::test]
async fn nothing_ends_an_automatic_backup_before_its_time() {
    on_each_database(|world| async move {
        let mut scene = Scene::set(world).await;
        for _ in 0..6 {
            refused!(scene.delete(&scene.automatic).await, Error::LockedBackups);
            refused!(scene.delete_vault().await, Error::LockedBackups);
            assert_eq!(scene.expire().await, 0);
            scene.pass(DAY).await;
        }
        let world = &scene.world;
        let unlock = VaultChange {
            locked: Some(false),
            ..VaultChange::default()
        };
        let update = vaults::update(
            &world.app,
            &world.caller,
            &world.project,
            &scene.vault,
            unlock,
        );
        refused!(update.await, Error::VaultUnlock);
        let ids = vec![scene.resource.clone()];
        let remove = resources::remove(
            &world.app,
            &world.caller,
            &world.project,
            &scene.vault,
            ids.clone(),
        );
        refused!(remove.await, Error::VaultLocked);
        let other = world.disk_vault("other", &[]).await;
        let migrate = migrations::migrate(
            &world.app,
            &world.caller,
            &world.project,
            &scene.vault,
            &other,
            ids,
        );
        refused!(migrate.await, Error::VaultLocked);
        let volume = scene.resource.clone().into();
        let remove = inventory::remove_volume(&world.app, &world.caller, &world.project, &volume);
        refused!(remove.await, Error::InventoryInUse { .. });
        assert_eq!(
            world.backup(&scene.automatic.id).await.unwrap().status,
            BackupStatus::Available
        );
    })
    .await;
}

#[tokio::test]
async fn no_role_has_a_way_round() {
    on_each_database(|world| async move {
        let scene = Scene::set(world).await;
        for role in [Role::Admin, Role::Operator, Role::BackupUser, Role::Reader] {
            let caller = Caller {
                role: Some(role),
                ..scene.world.caller.clone()
            };
            let (app, project) = (&scene.world.app, &scene.world.project);
            let id = &scene.automatic.id;
            let refused = backups::delete(app, &caller, project, id).await;
            assert!(
                matches!(refused, Err(Error::LockedBackups | Error::Forbidden)),
                "{refused:?}"
            );
            let refused = vaults::delete(app, &caller, project, &scene.vault).await;
            assert!(
                matches!(refused, Err(Error::LockedBackups | Error::Forbidden)),
                "{refused:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn the_hosts_clock_alone_ends_nothing() {
    on_each_database(|world| async move {
        let mut scene = Scene::set(world).await;
        // A year forward, seen by a worker that knows of one minute only.
        scene.world.clock.advance(DAY * 365);
        scene.look(Duration::from_mins(1)).await;
        assert_eq!(scene.seen.ahead.as_secs() / 86_400, 364);
        refused!(scene.delete(&scene.automatic).await, Error::LockedBackups);
        refused!(scene.delete_vault().await, Error::LockedBackups);
        // The manual one goes: its end is a wish, not a lock.
        assert_eq!(scene.expire().await, 1);
        scene.world.run_jobs().await;
        assert!(scene.world.backup(&scene.manual.id).await.is_none());

        // Neither do processes that are started again and again: together they believe one day.
        for _ in 0..20 {
            scene.seen = observe_clock(&scene.world.app, None).await.unwrap();
        }
        refused!(scene.delete(&scene.automatic).await, Error::LockedBackups);
        assert_eq!(scene.expire().await, 0);
        // Time that really passes does.
        for _ in 0..6 {
            scene.look(DAY).await;
        }
        assert_eq!(scene.expire().await, 1);
    })
    .await;
}

#[tokio::test]
async fn a_clock_that_is_set_back_ends_nothing_either() {
    on_each_database(|world| async move {
        let mut scene = Scene::set(world).await;
        scene.look(DAY).await;
        scene.pass(DAY * 30).await;
        let before = scene.world.app.now();
        scene.world.clock.set(before.minus(DAY * 29));
        scene.look(Duration::from_mins(1)).await;
        // The backup's time was over; by the clock that the owner sees now it is not.
        refused!(scene.delete(&scene.automatic).await, Error::LockedBackups);
        let mut tx = scene.world.app.db.read().await.unwrap();
        assert_eq!(
            retention_start(&scene.world.app, &mut tx).await.unwrap(),
            before
        );
    })
    .await;
}

#[tokio::test]
async fn before_any_worker_has_looked_nothing_has_expired() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let automatic = NewCheckpoint {
            auto_trigger: true,
            ..World::new_checkpoint(&vault)
        };
        let automatic = made(&world, automatic).await;
        end_in(&world, &automatic, DAY).await;
        lock(&world, &vault).await;
        world.clock.advance(DAY * 2);
        let expired = retention::expire_backups(&world.app, world.app.now()).await;
        assert_eq!(expired.unwrap(), 0);
        observe_clock(&world.app, None).await.unwrap();
        let expired = retention::expire_backups(&world.app, world.app.now()).await;
        assert_eq!(expired.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn what_has_no_end_is_kept_and_what_failed_is_nothing_to_keep() {
    on_each_database(|world| async move {
        let mut scene = Scene::set(world).await;
        let endless = NewCheckpoint {
            auto_trigger: true,
            ..World::new_checkpoint(&scene.vault)
        };
        let endless = made(&scene.world, endless.clone()).await;
        let failed = scene
            .world
            .back_up(NewCheckpoint {
                auto_trigger: true,
                ..World::new_checkpoint(&scene.vault)
            })
            .await
            .unwrap();
        let (job, lease) = scene.world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        let failure = super::world::failure();
        progress::fail_backup(&scene.world.app, &lease, &id, failure)
            .await
            .unwrap();
        let mut tx = scene.world.app.db.read().await.unwrap();
        let failed = tx
            .backups_of_checkpoint(&failed.checkpoint.id)
            .await
            .unwrap();
        drop(tx);

        scene.pass(DAY * 10_000).await;
        refused!(scene.delete(&endless).await, Error::LockedBackups);
        scene.delete(&failed[0]).await.unwrap();
        scene.delete(&scene.manual).await.unwrap();
        scene.delete(&scene.automatic).await.unwrap();
        refused!(scene.delete_vault().await, Error::LockedBackups);
    })
    .await;
}

#[tokio::test]
async fn when_all_have_expired_the_vault_can_go() {
    on_each_database(|world| async move {
        let mut scene = Scene::set(world).await;
        scene.pass(DAY * 8).await;
        scene.delete_vault().await.unwrap();
        scene.world.run_jobs().await;
        refused!(
            scene.world.get_vault(&scene.vault).await,
            Error::VaultNotFound { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn ends_move_and_in_a_locked_vault_only_to_later() {
    on_each_database(|world| async move {
        let scene = Scene::set(world).await;
        // 2026-01-01 and a week; both backups end on the eighth.
        let (manual, automatic) = (
            scene.end_of(&scene.manual).await,
            scene.end_of(&scene.automatic).await,
        );
        assert_eq!(scene.move_ends("2026-01-03").await.unwrap().affected, 0);
        assert_eq!(
            (
                scene.end_of(&scene.manual).await,
                scene.end_of(&scene.automatic).await
            ),
            (manual, automatic)
        );

        let moved = scene.move_ends("2026-02-03").await.unwrap();
        assert_eq!(moved.affected, 2);
        let end = Timestamp::end_of_day("2026-02-03", "UTC+00:00").unwrap();
        assert_eq!(scene.end_of(&scene.automatic).await, end);
        let mut tx = scene.world.app.db.read().await.unwrap();
        let log = tx
            .find_operation_log(&moved.operation_log_id)
            .await
            .unwrap()
            .unwrap();
        assert!(log.ended_at.is_some() && log.progress == 100);
        drop(tx);

        for day in ["2025-12-31", "2026-02-30", "yesterday"] {
            refused!(scene.move_ends(day).await, Error::Invalid { .. });
        }
    })
    .await;
}

#[tokio::test]
async fn in_a_vault_without_a_lock_ends_move_both_ways_and_endless_backups_stay() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let week = NewCheckpoint {
            retention_days: 7,
            ..World::new_checkpoint(&vault)
        };
        let week = made(&world, week).await;
        let endless = made(&world, World::new_checkpoint(&vault)).await;
        let new = NewEnd {
            day: "2026-01-02".to_owned(),
            zone: "UTC+00:00".to_owned(),
        };
        let moved =
            expirations::update(&world.app, &world.caller, &world.project, &vault, new).await;
        assert_eq!(moved.unwrap().affected, 1);
        let end = world.backup(&week.id).await.unwrap().expired_at.unwrap();
        assert_eq!(end.to_cbr(), "2026-01-03T00:00:00.000000");
        assert_eq!(world.backup(&endless.id).await.unwrap().expired_at, None);
        let resource = protect_volume(&data).id;
        assert_eq!(week.resource_id, resource);
    })
    .await;
}
