use std::time::Duration;

use strongroom_types::{
    BackupStatus, CheckpointId, CheckpointStatus, GIB, ObjectType, ProtectStatus, ResourceId,
    ResourceType, Timestamp, Trouble, VaultId, VaultStatus,
};

use super::state::assert_state;
use super::world::{STORED, failure, protect_server, protect_volume};
use super::{World, on_each_database, refused};
use crate::checkpoints::{self, NewCheckpoint, Selection};
use crate::progress::{self, VaultUsage};
use crate::resources::NewResource;
use crate::vaults::NewVault;
use crate::{DiskError, Error};

async fn set_vault(world: &World, id: &VaultId, change: impl Fn(&mut strongroom_db::Vault)) {
    let mut tx = world.app.db.begin().await.unwrap();
    let mut vault = tx.lock_vault(id).await.unwrap().unwrap();
    change(&mut vault);
    assert!(tx.update_vault(&vault).await.unwrap());
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn a_checkpoint_backs_up_every_disk_of_every_server() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let view = world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        assert_eq!(view.checkpoint.status, CheckpointStatus::Protecting);
        assert_eq!(view.vault_name, "vault");
        assert_eq!(view.resources.len(), 1);
        assert_eq!(view.resources[0].protect_status, ProtectStatus::Available);
        assert_state(
            &world.state().await,
            "vault vault available 0 MB of 200 GB
             web protecting 30 GB, 0 backups, 0 MB
             backup nightly of web waiting_protect full, checkpoint protecting; web-disk-0 waiting_protect; web-disk-1 waiting_protect
             backup web waiting 0%
             job back_up waiting",
        );
        let get = || checkpoints::get(&world.app, &world.caller, &world.project, &view.checkpoint.id);
        assert_eq!(get().await.unwrap().resources[0].protect_status, ProtectStatus::Protecting);

        world.run_jobs().await;
        assert_state(
            &world.state().await,
            "vault vault available 200 MB of 200 GB
             web available 30 GB, 1 backups, 200 MB
             backup nightly of web available full, checkpoint available; web-disk-0 available; web-disk-1 available
             backup web success 100%",
        );
        let done = get().await.unwrap();
        assert_eq!(done.checkpoint.status, CheckpointStatus::Available);
        assert_eq!(done.resources[0].protect_status, ProtectStatus::Available);
        assert_eq!(done.resources[0].backup_bytes, 2 * STORED);

        // The second one builds on the first.
        let second = world.backed_up(&vault).await;
        assert!(second[0].incremental && second[0].system_disk);
        assert_eq!(second[0].resource_size_gb, 30);
        let unknown = CheckpointId::random(&*world.app.ids);
        let found = checkpoints::get(&world.app, &world.caller, &world.project, &unknown).await;
        refused!(found, Error::CheckpointNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn names_and_expiry_are_filled_in() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        let new = NewCheckpoint {
            name: None,
            incremental: false,
            retention_days: 7,
            ..World::new_checkpoint(&vault)
        };
        let view = world.back_up(new).await.unwrap();
        let name = view.checkpoint.name;
        assert!(name.starts_with("manualbk_") && name.len() == 13, "{name}");
        world.run_jobs().await;
        let mut tx = world.app.db.read().await.unwrap();
        let backup = tx
            .backups_of_checkpoint(&view.checkpoint.id)
            .await
            .unwrap()
            .remove(0);
        let week = Duration::from_hours(7 * 24);
        assert_eq!(backup.expired_at, Some(backup.created_at.plus(week)));
        assert_eq!(backup.point_id, Some(format!("point of {}", backup.id)));
        assert!(!backup.incremental && !backup.system_disk);
        drop(tx);

        for retention_days in [-2, 0, 36_501, i64::MIN, i64::MAX] {
            let new = NewCheckpoint {
                retention_days,
                ..World::new_checkpoint(&vault)
            };
            refused!(world.back_up(new).await, Error::Invalid { .. });
        }
        let new = NewCheckpoint {
            retention_days: 7,
            auto_trigger: true,
            ..World::new_checkpoint(&vault)
        };
        refused!(world.back_up(new).await, Error::Invalid { .. });
        let new = NewCheckpoint {
            description: "<".to_owned(),
            ..World::new_checkpoint(&vault)
        };
        refused!(world.back_up(new).await, Error::Invalid { .. });
        let new = NewCheckpoint {
            name: None,
            auto_trigger: true,
            ..World::new_checkpoint(&vault)
        };
        assert!(
            world
                .back_up(new)
                .await
                .unwrap()
                .checkpoint
                .name
                .starts_with("autobk_")
        );
    })
    .await;
}

#[tokio::test]
async fn a_selection_names_resources_and_leaves_out_disks() {
    on_each_database(|world| async move {
        let (web, mail) = (world.server("web", 2).await, world.server("mail", 1).await);
        let vault = world.server_vault("vault", &[&web, &mail]).await;
        let select = |selection| NewCheckpoint {
            selection,
            ..World::new_checkpoint(&vault)
        };
        let web_id = ResourceId::from(web.server.id.clone());

        let details = NewResource {
            exclude_volumes: Some(vec![web.volumes[1].id.clone()]),
            ..protect_server(&web.server.id)
        };
        world
            .back_up(select(Selection::Details(vec![details])))
            .await
            .unwrap();
        let state = world.state().await;
        assert!(
            state.contains(
                "of web waiting_protect full, checkpoint protecting; web-disk-0 waiting_protect\n"
            ),
            "{state}"
        );
        assert!(state.contains("mail available"), "{state}");
        world.run_jobs().await;

        let as_a_disk = NewResource {
            resource_type: ResourceType::Volume,
            ..protect_server(&web.server.id)
        };
        let run = world
            .back_up(select(Selection::Details(vec![as_a_disk])))
            .await;
        refused!(run, Error::WrongResourceType { .. });

        let unknown = ResourceId::from(strongroom_types::VolumeId::random(&*world.app.ids));
        let run = world
            .back_up(select(Selection::Resources(vec![web_id.clone(), unknown])))
            .await;
        refused!(run, Error::ResourceNotInVault { .. });
        let run = world
            .back_up(select(Selection::Resources(vec![web_id.clone(), web_id])))
            .await;
        refused!(run, Error::DuplicateResource { .. });
        let run = world
            .back_up(select(Selection::Resources(Vec::new())))
            .await;
        refused!(run, Error::NothingToBackUp { .. });
        let empty = world.server_vault("empty", &[]).await;
        let run = world.back_up(World::new_checkpoint(&empty)).await;
        refused!(run, Error::NothingToBackUp { .. });
    })
    .await;
}

#[tokio::test]
async fn what_cannot_run_now_is_skipped_with_its_reason() {
    on_each_database(|world| async move {
        let mut servers = Vec::new();
        for name in ["good", "running", "missing", "weird"] {
            servers.push(world.server(name, 1).await);
        }
        let vault = world
            .server_vault("vault", &servers.iter().collect::<Vec<_>>())
            .await;
        world.set_disk("/running/0", World::running(10));
        world.break_disk("/missing/0", DiskError::Missing);
        world.break_disk("/weird/0", DiskError::Unsupported("vhd".to_owned()));
        let view = world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        assert_eq!(view.resources.len(), 1);
        let mut skipped: Vec<_> = view
            .checkpoint
            .skipped_resources
            .0
            .iter()
            .map(|s| (s.name.as_str(), s.trouble))
            .collect();
        skipped.sort_unstable();
        let expected = [
            ("missing", Trouble::DiskMissing),
            ("running", Trouble::ServerRunning),
            ("weird", Trouble::DiskUnsupported),
        ];
        assert_eq!(skipped, expected);

        // The good one is busy now: nothing is left.
        refused!(
            world.back_up(World::new_checkpoint(&vault)).await,
            Error::NothingToBackUp { .. }
        );
        let selection = Selection::Resources(vec![servers[0].server.id.clone().into()]);
        let run = world
            .back_up(NewCheckpoint {
                selection,
                ..World::new_checkpoint(&vault)
            })
            .await;
        refused!(run, Error::BackupRunning);

        let data = world.volume("data").await;
        let disks = world.disk_vault("disks", &[&data]).await;
        world.set_disk("/data", World::running(5));
        refused!(
            world.back_up(World::new_checkpoint(&disks)).await,
            Error::NothingToBackUp { .. }
        );
        // Excluding every disk of a server leaves nothing to back up.
        let none = NewResource {
            exclude_volumes: Some(vec![servers[0].volumes[0].id.clone()]),
            ..protect_server(&servers[0].server.id)
        };
        world.run_jobs().await;
        let selection = Selection::Details(vec![none]);
        let run = world
            .back_up(NewCheckpoint {
                selection,
                ..World::new_checkpoint(&vault)
            })
            .await;
        refused!(run, Error::NothingToBackUp { .. });
    })
    .await;
}

#[tokio::test]
async fn a_full_vault_grows_or_refuses() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let new = NewVault {
            size_gb: 10,
            resources: vec![protect_volume(&data)],
            ..World::new_vault("vault", ObjectType::Disk)
        };
        let vault = world.vault_of(new).await.vault.id;
        set_vault(&world, &vault, |vault| vault.used_bytes = 10 * GIB).await;
        refused!(
            world.back_up(World::new_checkpoint(&vault)).await,
            Error::VaultFull
        );

        // What has become full before it might grow stays full.
        set_vault(&world, &vault, |vault| vault.auto_expand = true).await;
        refused!(
            world.back_up(World::new_checkpoint(&vault)).await,
            Error::VaultFull
        );
        set_vault(&world, &vault, |vault| vault.used_bytes = GIB).await;
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        let (outcome, usage) = world.save(&lease, &id).await;
        let usage = VaultUsage {
            vault_bytes: 13 * GIB,
            ..usage
        };
        progress::finish_backup(&world.app, &lease, &id, outcome, usage)
            .await
            .unwrap();
        assert_eq!(world.get_vault(&vault).await.unwrap().vault.size_gb, 17);

        for status in [
            VaultStatus::Deleting,
            VaultStatus::Frozen,
            VaultStatus::Error,
        ] {
            set_vault(&world, &vault, |vault| vault.status = status).await;
            let run = world.back_up(World::new_checkpoint(&vault)).await;
            refused!(run, Error::VaultStateForbidsBackup { .. });
        }
        let unknown = VaultId::random(&*world.app.ids);
        let run = world.back_up(World::new_checkpoint(&unknown)).await;
        refused!(run, Error::VaultNotFound { .. });
    })
    .await;
}

#[tokio::test]
async fn sizes_follow_the_disks() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        world.set_disk("/data", World::idle(8));
        let backups = world.backed_up(&vault).await;
        assert_eq!(backups[0].resource_size_gb, 8);
        assert_eq!(backups[0].size_bytes, 8 * GIB);
        let view = world.get_vault(&vault).await.unwrap();
        assert_eq!((view.resources[0].size_gb, view.allocated_gb), (8, 8));

        // What one run leaves out still counts, and what shrinks counts less.
        let web = world.server("web", 2).await;
        let vault = world.server_vault("servers", &[&web]).await;
        world.set_disk("/web/0", World::idle(4));
        world.set_disk("/web/1", World::idle(25));
        let system_disk = NewResource {
            exclude_volumes: Some(vec![web.volumes[1].id.clone()]),
            ..protect_server(&web.server.id)
        };
        let new = NewCheckpoint {
            selection: Selection::Details(vec![system_disk]),
            ..World::new_checkpoint(&vault)
        };
        world.back_up(new).await.unwrap();
        assert_eq!(world.get_vault(&vault).await.unwrap().allocated_gb, 24);
        world.run_jobs().await;
        world.backed_up(&vault).await;
        assert_eq!(world.get_vault(&vault).await.unwrap().allocated_gb, 29);
    })
    .await;
}

#[tokio::test]
async fn an_error_is_shown_everywhere_and_forgotten_after_a_success() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let vault = world.disk_vault("vault", &[&data]).await;
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
        let (job, lease) = world.claim_some().await;
        let id = job.subject_id.parse().unwrap();
        progress::fail_backup(&world.app, &lease, &id, failure())
            .await
            .unwrap();
        assert_state(
            &world.state().await,
            "vault vault available 0 MB of 200 GB
             data error 5 GB, 0 backups, 0 MB
             backup nightly of data error full, checkpoint error
             backup data failed 0% disk_unreadable: input/output error",
        );
        let failed = world.backup(&id).await.unwrap();
        assert_eq!(failed.status, BackupStatus::Error);
        assert_eq!(failed.trouble, Some(Trouble::DiskUnreadable));
        assert_eq!(failed.protected_at, None::<Timestamp>);

        let second = world.backed_up(&vault).await;
        // Nothing was saved before, so this one is a full backup.
        assert!(!second[0].incremental);
        assert!(
            world
                .state()
                .await
                .contains("data available 5 GB, 1 backups, 100 MB")
        );
    })
    .await;
}
