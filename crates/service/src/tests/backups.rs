use std::time::Duration;

use strongroom_types::{BackupId, BackupStatus, CheckpointStatus};

use super::state::assert_state;
use super::world::{STORED, failure};
use super::{World, on_each_database, refused};
use crate::checkpoints::{self, NewCheckpoint};
use crate::vaults::{self, VaultChange};
use crate::{Error, backups, progress, retention};

/// What the metadata of a backup says about the server and its disks.
fn machine(view: &crate::metadata::MetadataView) -> Vec<String> {
    let server = view.machine.server.iter();
    let server = server.map(|server| format!("{} {}", server.name, server.status));
    let volumes = view.machine.volumes.iter().map(|volume| {
        let device = volume.device.as_deref().unwrap_or("nowhere");
        format!("{} at {device}", volume.name)
    });
    server.chain(volumes).collect()
}

#[tokio::test]
async fn metadata_says_how_the_machine_was_when_its_backup_began() {
    on_each_database(|world| async move {
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let view = world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let mut tx = app.db.read().await.unwrap();
        let backup = tx
            .backups_of_checkpoint(&view.checkpoint.id)
            .await
            .unwrap()
            .remove(0);
        drop(tx);
        let get = async |id| crate::metadata::get(app, caller, project, id).await;
        refused!(get(&backup.id).await, Error::MetadataNotReady { .. });
        world.run_jobs().await;
        let expected = [
            "web SHUTOFF",
            "web-disk-0 at /dev/vda",
            "web-disk-1 at /dev/vdb",
        ];
        assert_eq!(machine(&get(&backup.id).await.unwrap()), expected);
        let child = world.children(&backup.id).await.remove(1);
        assert_eq!(machine(&get(&child.id).await.unwrap()), expected);

        // The machine goes; what was known about it stays until the backup goes.
        let ids = vec![web.server.id.clone().into()];
        let other = world.server("other", 1).await;
        drop(other);
        refused!(
            crate::inventory::remove_server(app, caller, project, &web.server.id).await,
            Error::InventoryInUse { .. }
        );
        assert_eq!(machine(&get(&backup.id).await.unwrap()), expected);
        crate::resources::remove(app, caller, project, &vault, ids)
            .await
            .unwrap();
        world.run_jobs().await;
        refused!(get(&backup.id).await, Error::BackupNotFound { .. });
    })
    .await;
}

async fn delete(world: &World, id: &BackupId) -> Result<(), Error> {
    backups::delete(&world.app, &world.caller, &world.project, id).await
}

#[tokio::test]
async fn a_backup_is_shown_with_its_disks_and_renamed() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let id = &backup.id;
        let view = backups::get(&world.app, &world.caller, &world.project, id)
            .await
            .unwrap();
        assert_eq!(view.backup, backup);
        assert_eq!(view.enterprise_project_id, "0");
        let names: Vec<_> = view
            .children
            .iter()
            .map(|c| (c.resource_name.as_str(), c.system_disk))
            .collect();
        assert_eq!(names, [("web-disk-0", true), ("web-disk-1", false)]);

        let name = "kept".to_owned();
        let renamed = backups::rename(&world.app, &world.caller, &world.project, id, name).await;
        assert_eq!(renamed.unwrap().backup.name, "kept");
        let unknown = BackupId::random(&*world.app.ids);
        let found = backups::get(&world.app, &world.caller, &world.project, &unknown).await;
        refused!(found, Error::BackupNotFound { .. });
        let name = "x".to_owned();
        let found =
            backups::rename(&world.app, &world.caller, &world.project, &unknown, name).await;
        refused!(found, Error::BackupNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn a_checkpoint_vanishes_with_its_last_backup() {
    on_each_database(|world| async move {
        let (web, mail) = (world.server("web", 1).await, world.server("mail", 1).await);
        let vault = world.server_vault("vault", &[&web, &mail]).await;
        let both = world.backed_up(&vault).await;
        let checkpoint = &both[0].checkpoint_id;
        let get = || checkpoints::get(&world.app, &world.caller, &world.project, checkpoint);

        delete(&world, &both[0].id).await.unwrap();
        assert_eq!(
            world.backup(&both[0].id).await.unwrap().status,
            BackupStatus::WaitingDelete
        );
        world.run_jobs().await;
        assert_eq!(get().await.unwrap().resources.len(), 1);
        assert_eq!(
            world.get_vault(&vault).await.unwrap().vault.used_bytes,
            STORED
        );

        delete(&world, &both[1].id).await.unwrap();
        assert_eq!(
            get().await.unwrap().checkpoint.status,
            CheckpointStatus::Deleting
        );
        world.run_jobs().await;
        refused!(get().await, Error::CheckpointNotFound { .. });
        refused!(
            delete(&world, &both[1].id).await,
            Error::BackupNotFound { .. }
        );
        assert_eq!(world.get_vault(&vault).await.unwrap().vault.used_bytes, 0);
    })
    .await;
}

#[tokio::test]
async fn deletions_that_break_a_rule_are_refused() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let first = world.backed_up(&vault).await.remove(0);
        let child = world.children(&first.id).await.remove(0);
        refused!(
            delete(&world, &child.id).await,
            Error::BackupNotDeletable { .. }
        );

        // While the next backup is made, the newest one stays and an older one may go.
        let second = world.backed_up(&vault).await.remove(0);
        let third = world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        refused!(delete(&world, &second.id).await, Error::NewestBackupNeeded);
        let mut tx = world.app.db.read().await.unwrap();
        let running = tx
            .backups_of_checkpoint(&third.checkpoint.id)
            .await
            .unwrap()
            .remove(0);
        drop(tx);
        refused!(
            delete(&world, &running.id).await,
            Error::BackupNotDeletable { .. }
        );
        delete(&world, &first.id).await.unwrap();
        refused!(
            delete(&world, &first.id).await,
            Error::BackupNotDeletable { .. }
        );
        world.run_jobs().await;
        delete(&world, &second.id).await.unwrap();
        vaults::delete(&world.app, &world.caller, &world.project, &vault)
            .await
            .unwrap();
        refused!(
            delete(&world, &running.id).await,
            Error::BackupNotDeletable { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn a_locked_vault_keeps_automatic_backups_until_they_expire() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let manual = world.backed_up(&vault).await.remove(0);
        let new = NewCheckpoint {
            auto_trigger: true,
            ..World::new_checkpoint(&vault)
        };
        let view = world.back_up(new).await.unwrap();
        world.run_jobs().await;
        let mut tx = world.app.db.read().await.unwrap();
        let automatic = tx
            .backups_of_checkpoint(&view.checkpoint.id)
            .await
            .unwrap()
            .remove(0);
        drop(tx);
        let lock = VaultChange {
            locked: Some(true),
            ..VaultChange::default()
        };
        vaults::update(&world.app, &world.caller, &world.project, &vault, lock)
            .await
            .unwrap();
        refused!(delete(&world, &automatic.id).await, Error::LockedBackups);
        delete(&world, &manual.id).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn expired_backups_are_deleted() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let new = NewCheckpoint {
            retention_days: 1,
            ..World::new_checkpoint(&vault)
        };
        world.back_up(new).await.unwrap();
        world.run_jobs().await;
        let kept = world.backed_up(&vault).await.remove(0);
        let expire = || retention::expire_backups(&world.app, world.app.now());
        assert_eq!(expire().await.unwrap(), 0);
        world.clock.advance(Duration::from_secs(86_401));
        assert_eq!(expire().await.unwrap(), 1);
        assert_eq!(expire().await.unwrap(), 0);
        world.run_jobs().await;
        assert!(world.backup(&kept.id).await.is_some());
        assert_state(
            &world.state().await,
            "vault vault available 100 MB of 200 GB
             data available 5 GB, 1 backups, 100 MB
             backup nightly of data available incremental, checkpoint available
             backup data success 100%
             backup data success 100%
             delete data success 100%",
        );
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_could_not_be_deleted_can_be_deleted_again() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        delete(&world, &backup.id).await.unwrap();
        let (_, lease) = world.claim_some().await;
        let work = progress::start_delete_backup(&world.app, &lease, &backup.id)
            .await
            .unwrap();
        assert_eq!(work.backups.len(), 3);
        assert_eq!(
            work.backups
                .iter()
                .filter(|row| row.point_id.is_some())
                .count(),
            2
        );
        progress::fail_deletion(&world.app, &lease, &work.operation_log_id, failure())
            .await
            .unwrap();
        let state = world.state().await;
        assert!(
            state.contains("of web error full, checkpoint error; web-disk-0 error"),
            "{state}"
        );
        assert!(
            state.contains("delete web failed 0% disk_unreadable"),
            "{state}"
        );
        delete(&world, &backup.id).await.unwrap();
        world.run_jobs().await;
        assert!(world.backup(&backup.id).await.is_none());
    })
    .await;
}
