//! Two callers at once: one wins, and the other hears why.

use futures::future::join_all;
use strongroom_types::BackupStatus;

use super::world::{protect_server, protect_volume};
use super::{World, on_each_database, refused};
use crate::backups::{self, NewRestore};
use crate::{Error, inventory, vaults};

#[tokio::test]
async fn one_of_many_checkpoints_of_a_resource_wins() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let runs = (0..8).map(|_| world.back_up(World::new_checkpoint(&vault)));
        let answers = join_all(runs).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for answer in lost {
            refused!(answer, Error::BackupRunning);
        }
        world.run_jobs().await;
        assert!(
            world
                .state()
                .await
                .contains("web available 30 GB, 1 backups, 200 MB")
        );
    })
    .await;
}

#[tokio::test]
async fn one_of_many_vaults_gets_a_resource() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let mut all = Vec::new();
        for name in ["a", "b", "c", "d"] {
            all.push(world.server_vault(name, &[]).await);
        }
        let adds = all
            .iter()
            .map(|id| world.add(id, vec![protect_server(&web.server.id)]));
        let answers = join_all(adds).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1);
        for answer in lost {
            refused!(answer, Error::ResourceInOtherVault { .. });
        }
    })
    .await;
}

#[tokio::test]
async fn a_backup_and_a_restore_of_one_server_exclude_each_other() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let new = NewRestore {
            server_id: Some(web.server.id.clone()),
            volume_id: None,
            mappings: Vec::new(),
            power_on: false,
            of_files: false,
        };
        let restore = backups::restore(&world.app, &world.caller, &world.project, &backup.id, new);
        let (run, restored) = tokio::join!(world.back_up(World::new_checkpoint(&vault)), restore);
        assert_ne!(run.is_ok(), restored.is_ok(), "{run:?} {restored:?}");
        world.run_jobs().await;
        assert!(world.state().await.contains("web available"));
    })
    .await;
}

#[tokio::test]
async fn a_deletion_happens_once() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let delete = || backups::delete(&world.app, &world.caller, &world.project, &backup.id);
        let answers = join_all((0..4).map(|_| delete())).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        assert_eq!(
            world.backup(&backup.id).await.unwrap().status,
            BackupStatus::WaitingDelete
        );
        let delete = || vaults::delete(&world.app, &world.caller, &world.project, &vault);
        let answers = join_all((0..4).map(|_| delete())).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1);
        // Both jobs end, in whichever order they run.
        world.run_jobs().await;
        assert!(world.get_vault(&vault).await.is_err());
        assert!(world.claim().await.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_volume_is_protected_or_removed_but_not_both() {
    on_each_database(|world| async move {
        for round in 0..4 {
            let data = world.volume(&format!("data{round}")).await;
            let vault = world.disk_vault("vault", &[]).await;
            let removal =
                inventory::remove_volume(&world.app, &world.caller, &world.project, &data);
            let added = world.add(&vault, vec![protect_volume(&data)]);
            let (removed, added) = tokio::join!(removal, added);
            match (&removed, &added) {
                (Ok(()), Err(Error::ResourceNotFound { .. }))
                | (Err(Error::InventoryInUse { .. }), Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}
