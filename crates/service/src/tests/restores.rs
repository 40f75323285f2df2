use std::time::Duration;

use strongroom_db::{Backup, RestoreMapping};
use strongroom_types::{
    BackupId, BackupStatus, OperationLogId, ServerId, VaultId, VaultStatus, VolumeId,
};

use super::state::assert_state;
use super::world::failure;
use super::{World, on_each_database, refused};
use crate::backups::{self, NewRestore};
use crate::inventory::{self, ServerView};
use crate::{DiskError, Error, progress, resources};

async fn restore(world: &World, id: &BackupId, new: NewRestore) -> Result<OperationLogId, Error> {
    backups::restore(&world.app, &world.caller, &world.project, id, new).await
}

fn nowhere() -> NewRestore {
    NewRestore {
        server_id: None,
        volume_id: None,
        mappings: Vec::new(),
        power_on: true,
        of_files: false,
    }
}

fn onto_server(server: &ServerView) -> NewRestore {
    NewRestore {
        server_id: Some(server.server.id.clone()),
        ..nowhere()
    }
}

fn onto_volume(volume: &VolumeId) -> NewRestore {
    NewRestore {
        volume_id: Some(volume.clone()),
        ..nowhere()
    }
}

fn mapping(backup: &Backup, volume: &VolumeId) -> RestoreMapping {
    RestoreMapping {
        backup_id: backup.id.clone(),
        volume_id: volume.clone(),
    }
}

/// A server with two disks and one backup of it.
async fn scene(world: &World) -> (ServerView, VaultId, Backup, Vec<Backup>) {
    let web = world.server("web", 2).await;
    let vault = world.server_vault("vault", &[&web]).await;
    let backup = world.backed_up(&vault).await.remove(0);
    let children = world.children(&backup.id).await;
    (web, vault, backup, children)
}

#[tokio::test]
async fn a_server_goes_back_to_where_it_came_from() {
    on_each_database(|world| async move {
        let (web, _, backup, children) = scene(&world).await;
        world.clock.advance(Duration::from_secs(1));
        let log = restore(&world, &backup.id, onto_server(&web)).await.unwrap();
        assert_state(
            &world.state().await,
            "vault vault available 200 MB of 200 GB
             web restoring 30 GB, 1 backups, 200 MB
             backup nightly of web waiting_restore full, checkpoint available; web-disk-0 available; web-disk-1 available
             backup web success 100%
             restore web waiting 0%
             job restore waiting",
        );
        let (_, lease) = world.claim_some().await;
        let work = progress::start_restore(&world.app, &lease, &log).await.unwrap();
        assert_eq!(work.server.unwrap().name, "web");
        assert!(work.power_on);
        let pairs: Vec<_> = work.disks.iter().map(|d| (&d.backup.id, &d.target.id)).collect();
        let expected = [(&children[0].id, &web.volumes[0].id), (&children[1].id, &web.volumes[1].id)];
        assert_eq!(pairs, expected);
        assert!(work.disks.iter().all(|disk| disk.backup.point_id.is_some()));
        progress::report_progress(&world.app, &lease, &log, &backup.id, 70).await.unwrap();
        assert!(world.state().await.contains("restore web running 70%"));
        assert_eq!(world.backup(&backup.id).await.unwrap().status, BackupStatus::Restoring);

        progress::finish_restore(&world.app, &lease, &log).await.unwrap();
        assert_state(
            &world.state().await,
            "vault vault available 200 MB of 200 GB
             web available 30 GB, 1 backups, 200 MB
             backup nightly of web available full, checkpoint available; web-disk-0 available; web-disk-1 available
             backup web success 100%
             restore web success 100%",
        );
        // The targets are free again.
        restore(&world, &backup.id, onto_server(&web)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_restore_is_run_again_and_a_failed_one_frees_everything() {
    on_each_database(|world| async move {
        let (web, _, backup, _) = scene(&world).await;
        let log = restore(&world, &backup.id, onto_server(&web))
            .await
            .unwrap();
        let (_, first) = world.claim_some().await;
        progress::start_restore(&world.app, &first, &log)
            .await
            .unwrap();
        world.clock.advance(Duration::from_secs(61));
        let (_, second) = world.claim_some().await;
        progress::start_restore(&world.app, &second, &log)
            .await
            .unwrap();
        refused!(
            progress::finish_restore(&world.app, &first, &log).await,
            Error::LeaseLost
        );
        progress::fail_restore(&world.app, &second, &log, failure())
            .await
            .unwrap();
        let state = world.state().await;
        assert!(state.contains("web available 30 GB"), "{state}");
        assert!(
            state.contains("restore web failed 0% disk_unreadable: input/output error"),
            "{state}"
        );
        restore(&world, &backup.id, onto_server(&web))
            .await
            .unwrap();
        world.run_jobs().await;
        assert!(world.state().await.contains("restore web success"));
    })
    .await;
}

#[tokio::test]
async fn disks_go_where_the_mappings_say() {
    on_each_database(|world| async move {
        let (web, _, backup, children) = scene(&world).await;
        let other = world.server("other", 2).await;
        let to = |server: &ServerView, mappings| NewRestore {
            mappings,
            ..onto_server(server)
        };
        let missing = restore(&world, &backup.id, onto_server(&other)).await;
        refused!(missing, Error::Invalid { .. });
        let volumes = [&other.volumes[0].id, &other.volumes[1].id];
        let (system, data) = (&children[0], &children[1]);

        let onto_system = to(&other, vec![mapping(data, volumes[0])]);
        refused!(
            restore(&world, &backup.id, onto_system).await,
            Error::DataDiskOntoSystemDisk { .. }
        );
        for mappings in [
            vec![mapping(system, volumes[0]), mapping(data, volumes[0])],
            vec![mapping(system, volumes[0]), mapping(system, volumes[1])],
            vec![mapping(system, &web.volumes[0].id)],
            vec![mapping(&backup, volumes[0])],
        ] {
            let refusal = restore(&world, &backup.id, to(&other, mappings)).await;
            refused!(refusal, Error::Invalid { .. });
        }
        let unknown = VolumeId::random(&*world.app.ids);
        let refusal = restore(
            &world,
            &backup.id,
            to(&other, vec![mapping(system, &unknown)]),
        )
        .await;
        refused!(refusal, Error::TargetVolumeNotFound { .. });
        let unknown = ServerId::random(&*world.app.ids);
        let refusal = restore(
            &world,
            &backup.id,
            NewRestore {
                server_id: Some(unknown),
                ..nowhere()
            },
        );
        refused!(refusal.await, Error::TargetServerNotFound { .. });

        let both = vec![mapping(system, volumes[0]), mapping(data, volumes[1])];
        restore(&world, &backup.id, to(&other, both)).await.unwrap();
        // The source is not touched.
        assert!(world.state().await.contains("web available"));
    })
    .await;
}

#[tokio::test]
async fn a_disk_is_restored_alone() {
    on_each_database(|world| async move {
        let (web, _, backup, children) = scene(&world).await;
        let spare = world.volume("spare").await;
        let disk = &children[1].id;
        refused!(
            restore(&world, disk, nowhere()).await,
            Error::Invalid { .. }
        );
        refused!(
            restore(&world, &backup.id, onto_volume(&spare)).await,
            Error::Invalid { .. }
        );
        let files = NewRestore {
            of_files: true,
            ..onto_volume(&spare)
        };
        refused!(restore(&world, disk, files).await, Error::Invalid { .. });
        refused!(
            restore(&world, disk, onto_volume(&spare)).await,
            Error::TargetTooSmall { .. }
        );
        world.set_disk("/spare", World::running(20));
        refused!(
            restore(&world, disk, onto_volume(&spare)).await,
            Error::DiskInUse { .. }
        );
        world.break_disk("/spare", DiskError::Missing);
        refused!(
            restore(&world, disk, onto_volume(&spare)).await,
            Error::TargetUnusable { .. }
        );
        let onto_system = restore(&world, disk, onto_volume(&web.volumes[0].id)).await;
        refused!(onto_system, Error::DataDiskOntoSystemDisk { .. });
        let unknown = VolumeId::random(&*world.app.ids);
        let refusal = restore(&world, disk, onto_volume(&unknown)).await;
        refused!(refusal, Error::TargetVolumeNotFound { .. });

        world.set_disk("/spare", World::idle(20));
        let log = restore(&world, disk, onto_volume(&spare)).await.unwrap();
        let (_, lease) = world.claim_some().await;
        let work = progress::start_restore(&world.app, &lease, &log)
            .await
            .unwrap();
        assert_eq!(
            (work.server, work.disks[0].target.path.as_str()),
            (None, "/spare")
        );
        // The volume stays in the inventory meanwhile, and the backup in the vault.
        let removed =
            inventory::remove_volume(&world.app, &world.caller, &world.project, &spare).await;
        refused!(removed, Error::InventoryInUse { .. });
        let deleted = backups::delete(&world.app, &world.caller, &world.project, &backup.id).await;
        refused!(deleted, Error::BackupInUse);
        let ids = vec![web.server.id.clone().into()];
        let vault = &backup.vault_id;
        let removed =
            resources::remove(&world.app, &world.caller, &world.project, vault, ids).await;
        refused!(removed, Error::VaultBusy);
        progress::finish_restore(&world.app, &lease, &log)
            .await
            .unwrap();

        // Back onto the disk it came from, the server's row shows it.
        restore(&world, disk, onto_volume(&web.volumes[1].id))
            .await
            .unwrap();
        assert!(world.state().await.contains("web restoring"));
        world.run_jobs().await;
        assert!(world.state().await.contains("web available"));
    })
    .await;
}

#[tokio::test]
async fn a_restore_waits_for_nobody() {
    on_each_database(|world| async move {
        let (web, vault, backup, children) = scene(&world).await;
        let earlier = world.backed_up(&vault).await.remove(0);
        world.set_disk("/web/1", World::running(20));
        refused!(
            restore(&world, &backup.id, onto_server(&web)).await,
            Error::ServerRunning { .. }
        );
        world.set_disk("/web/1", World::idle(19));
        refused!(
            restore(&world, &backup.id, onto_server(&web)).await,
            Error::TargetTooSmall { .. }
        );
        world.set_disk("/web/1", World::idle(20));

        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let refusal = restore(&world, &backup.id, onto_server(&web)).await;
        refused!(refusal, Error::ResourceBeingBackedUp { .. });
        let refusal = restore(&world, &children[1].id, onto_volume(&web.volumes[1].id)).await;
        refused!(refusal, Error::ResourceBeingBackedUp { .. });
        world.run_jobs().await;

        restore(&world, &backup.id, onto_server(&web))
            .await
            .unwrap();
        let refusal = restore(&world, &backup.id, onto_server(&web)).await;
        refused!(refusal, Error::ResourceBeingRestored { .. });
        let refusal = restore(&world, &children[1].id, onto_volume(&web.volumes[1].id)).await;
        refused!(refusal, Error::ResourceBeingRestored { .. });
        // What writes a disk holds it as a machine would, yet it is no machine that could be stopped.
        world.set_disk("/web/1", World::running(20));
        let refusal = restore(&world, &earlier.id, onto_server(&web)).await;
        refused!(refusal, Error::ResourceBeingRestored { .. });
        let refusal = restore(&world, &children[1].id, onto_volume(&web.volumes[1].id)).await;
        refused!(refusal, Error::ResourceBeingRestored { .. });
        // Nor can the server be backed up or its vault be deleted meanwhile.
        let run = world.back_up(World::new_checkpoint(&vault)).await;
        refused!(run, Error::NothingToBackUp { .. });
        let deleted =
            crate::vaults::delete(&world.app, &world.caller, &world.project, &vault).await;
        refused!(deleted, Error::VaultBusy);
    })
    .await;
}

#[tokio::test]
async fn states_forbid_a_restore() {
    on_each_database(|world| async move {
        let (web, vault, backup, _) = scene(&world).await;
        let unknown = BackupId::random(&*world.app.ids);
        let refusal = restore(&world, &unknown, onto_server(&web)).await;
        refused!(refusal, Error::BackupNotFound { .. });
        let mut tx = world.app.db.begin().await.unwrap();
        let mut row = tx.lock_vault(&vault).await.unwrap().unwrap();
        row.status = VaultStatus::Frozen;
        tx.update_vault(&row).await.unwrap();
        tx.commit().await.unwrap();
        let refusal = restore(&world, &backup.id, onto_server(&web)).await;
        refused!(refusal, Error::VaultStateForbidsRestore { .. });
        backups::delete(&world.app, &world.caller, &world.project, &backup.id)
            .await
            .unwrap();
        let refusal = restore(&world, &backup.id, onto_server(&web)).await;
        refused!(refusal, Error::BackupStateForbidsRestore { .. });
    })
    .await;
}
