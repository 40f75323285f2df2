//! Disks that are copied out: which can be, and what that protects. What they hold is nobody's matter here.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use strongroom_db::Backup;
use strongroom_types::{BackupId, ResourceId, Role, VolumeFormat};

use super::{World, on_each_database, refused};
use crate::checkpoints::NewCheckpoint;
use crate::contents::{self, ContentStore, ContentStream, DiskContent, HeldContent};
use crate::{App, Caller, Error, Settings, backups, resources, retention, vaults};

/// Disks without content; those in qcow2 cannot be found.
#[derive(Debug)]
struct Empty;

#[async_trait]
impl ContentStore for Empty {
    async fn find(
        &self,
        _: &App,
        _: &Backup,
        format: VolumeFormat,
    ) -> Result<Box<dyn DiskContent>, Error> {
        match format {
            VolumeFormat::Raw => Ok(Box::new(Empty)),
            VolumeFormat::Qcow2 => Err(Error::StorageUnavailable("it is away".into())),
        }
    }
}

impl DiskContent for Empty {
    fn size_bytes(&self) -> u64 {
        0
    }

    fn read(self: Box<Self>, _: Range<u64>) -> ContentStream {
        stream::empty().boxed()
    }
}

impl World {
    async fn copy_out(&self, backup: &BackupId, disk: &ResourceId) -> Result<HeldContent, Error> {
        let (app, caller, project) = (&self.app, &self.caller, &self.project);
        let place = (backup, disk);
        contents::hold(app, &Empty, caller, project, place, VolumeFormat::Raw).await
    }
}

#[tokio::test]
async fn what_is_copied_out_is_not_deleted_by_anybody() {
    on_each_database(|world| async move {
        let [web, other] = [world.server("web", 2).await, world.server("other", 1).await];
        let vault = world.server_vault("vault", &[&web, &other]).await;
        let backup = world.back_up(NewCheckpoint {
            retention_days: 1,
            ..World::new_checkpoint(&vault)
        });
        backup.await.unwrap();
        world.run_jobs().await;
        let mut tx = world.app.db.read().await.unwrap();
        let rows = tx.backups_of_vault(&vault, None).await.unwrap();
        drop(tx);
        let top_of =
            |server: &ResourceId| rows.iter().find(|row| row.resource_id == *server).unwrap();
        let (web, other) = (web.server.id.clone().into(), other.server.id.clone().into());
        let (top, free) = (top_of(&web), top_of(&other));
        let child = rows
            .iter()
            .find(|row| row.parent_id.as_ref() == Some(&top.id))
            .unwrap();
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        for named in [&top.id, &child.id] {
            let held = world.copy_out(named, &child.resource_id).await.unwrap();
            assert_eq!(held.backup.id, child.id);
            let again = world.copy_out(named, &child.resource_id).await.unwrap();
            drop(held);
            refused!(
                backups::delete(app, caller, project, &top.id).await,
                Error::BackupRead
            );
            refused!(
                vaults::delete(app, caller, project, &vault).await,
                Error::BackupRead
            );
            let removed = resources::remove(app, caller, project, &vault, vec![web.clone()]).await;
            refused!(removed, Error::BackupRead);
            drop(again);
        }
        let held = world.copy_out(&top.id, &child.resource_id).await.unwrap();
        world.clock.advance(Duration::from_hours(48));
        // The other server's goes.
        assert_eq!(retention::expire_backups(app, app.now()).await.unwrap(), 1);
        world.run_jobs().await;
        assert!(world.backup(&free.id).await.is_none() && world.backup(&top.id).await.is_some());
        drop(held);
        assert_eq!(retention::expire_backups(app, app.now()).await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn so_many_are_copied_out_at_a_time_and_nothing_is_held_for_those_that_cannot() {
    on_each_database(|mut world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let disk = world.children(&backup.id).await.remove(0).resource_id;
        world.app.settings = Settings {
            readers_max: 1,
            ..Settings::default()
        }
        .into();
        let place = (&backup.id, &disk);
        let (app, project) = (&world.app, &world.project);
        let reader = Caller {
            role: Some(Role::Reader),
            ..world.caller.clone()
        };
        let refused = contents::hold(app, &Empty, &reader, project, place, VolumeFormat::Raw).await;
        refused!(refused, Error::Forbidden);
        let failed = contents::hold(
            app,
            &Empty,
            &world.caller,
            project,
            place,
            VolumeFormat::Qcow2,
        );
        refused!(failed.await, Error::StorageUnavailable(_));
        refused!(
            world
                .copy_out(&backup.id, &web.server.id.clone().into())
                .await,
            Error::ResourceNotFound { .. }
        );
        let held = world.copy_out(&backup.id, &disk).await.unwrap();
        refused!(
            world.copy_out(&backup.id, &disk).await,
            Error::TooManyReaders { max: 1 }
        );
        drop(held);
        drop(world.copy_out(&backup.id, &disk).await.unwrap());

        let other = world.other_project("other").await;
        refused!(
            other.copy_out(&backup.id, &disk).await,
            Error::BackupNotFound { .. }
        );
        backups::delete(app, &world.caller, project, &backup.id)
            .await
            .unwrap();
        refused!(
            world.copy_out(&backup.id, &disk).await,
            Error::BackupNotAttachable { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn a_project_leaves_others_their_turn_to_copy_out() {
    on_each_database(|mut world| async move {
        world.app.settings = Settings {
            readers_max: 3,
            readers_of_project_max: 2,
            ..Settings::default()
        }
        .into();
        let a_disk = async |world: &World, name: &str| {
            let web = world.server(name, 1).await;
            let vault = world.server_vault(name, &[&web]).await;
            let backup = world.backed_up(&vault).await.remove(0);
            let disk = world.children(&backup.id).await.remove(0);
            (backup.id, disk.resource_id)
        };
        let other = world.other_project("other").await;
        let (backup, disk) = a_disk(&world, "mine").await;
        let (theirs, their_disk) = a_disk(&other, "theirs").await;
        let first = world.copy_out(&backup, &disk).await.unwrap();
        let _second = world.copy_out(&backup, &disk).await.unwrap();
        refused!(
            world.copy_out(&backup, &disk).await,
            Error::TooManyReadersOfProject { max: 2 }
        );
        let _third = other.copy_out(&theirs, &their_disk).await.unwrap();
        drop(first);
        let _fourth = world.copy_out(&backup, &disk).await.unwrap();
        refused!(
            other.copy_out(&theirs, &their_disk).await,
            Error::TooManyReaders { max: 3 }
        );
    })
    .await;
}
