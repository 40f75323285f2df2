//! Resources that change their vault, and what both vaults then show.

use strongroom_db::Backup;
use strongroom_types::{CheckpointId, CheckpointStatus, ResourceId, VaultId, VaultStatus};

use super::state::assert_state;
use super::world::protect_server;
use super::{World, on_each_database, refused};
use crate::checkpoints::{self, CheckpointView, NewCheckpoint};
use crate::progress::{self, MigrationUsage};
use crate::vaults::VaultChange;
use crate::{Error, backups, migrations, vaults};

async fn migrate(
    world: &World,
    from: &VaultId,
    to: &VaultId,
    ids: &[&ResourceId],
) -> Result<Vec<ResourceId>, Error> {
    let ids = ids.iter().map(|id| (*id).clone()).collect();
    migrations::migrate(&world.app, &world.caller, &world.project, from, to, ids).await
}

async fn set(world: &World, id: &VaultId, change: impl Fn(&mut strongroom_db::Vault)) {
    let mut tx = world.app.db.begin().await.unwrap();
    let mut vault = tx.lock_vault(id).await.unwrap().unwrap();
    change(&mut vault);
    assert!(tx.update_vault(&vault).await.unwrap());
    tx.commit().await.unwrap();
}

async fn shown(world: &World, id: &CheckpointId) -> CheckpointView {
    checkpoints::get(&world.app, &world.caller, &world.project, id)
        .await
        .unwrap()
}

/// A checkpoint that held both resources is two now.
async fn checkpoints_were_split(
    world: &World,
    (from, to): (&VaultId, &VaultId),
    both: &[Backup],
    web: &ResourceId,
) {
    let now = async |is_web: bool| {
        let backup = both
            .iter()
            .find(|backup| (backup.resource_id == *web) == is_web);
        world.backup(&backup.unwrap().id).await.unwrap()
    };
    let (kept, went) = (now(false).await, now(true).await);
    assert_eq!((&kept.vault_id, &went.vault_id), (from, to));
    assert_ne!(kept.checkpoint_id, went.checkpoint_id);
    let checkpoint = shown(world, &went.checkpoint_id).await.checkpoint;
    assert_eq!(checkpoint.status, CheckpointStatus::Available);
    for child in world.children(&went.id).await {
        assert_eq!(
            (&child.vault_id, &child.checkpoint_id),
            (to, &went.checkpoint_id)
        );
    }
}

#[tokio::test]
async fn a_resource_moves_with_its_backups_and_both_vaults_show_what_they_hold() {
    on_each_database(|world| async move {
        let (web, db) = (world.server("web", 2).await, world.server("db", 1).await);
        let from = world.server_vault("from", &[&web, &db]).await;
        let to = world.server_vault("to", &[]).await;
        let both = world.backed_up(&from).await;
        let alone = NewCheckpoint {
            selection: checkpoints::Selection::Resources(vec![web.server.id.clone().into()]),
            ..World::new_checkpoint(&from)
        };
        let alone = world.back_up(alone).await.unwrap();
        world.run_jobs().await;
        let web: ResourceId = web.server.id.clone().into();

        let moved = migrate(&world, &from, &to, &[&web]).await.unwrap();
        assert_eq!(moved, std::slice::from_ref(&web));
        let state = world.state().await;
        assert!(state.contains("web migrating"), "{state}");
        world.run_jobs().await;

        let from_view = world.get_vault(&from).await.unwrap();
        let to_view = world.get_vault(&to).await.unwrap();
        assert_eq!(from_view.resources.len(), 1);
        assert_eq!(to_view.resources[0].resource_id, web);
        let mib = |bytes: u64| bytes >> 20;
        assert_eq!(
            (
                mib(from_view.vault.used_bytes),
                mib(to_view.vault.used_bytes)
            ),
            (100, 400)
        );
        assert_eq!(
            (
                to_view.resources[0].backup_count,
                mib(to_view.resources[0].backup_bytes)
            ),
            (2, 400)
        );

        checkpoints_were_split(&world, (&from, &to), &both, &web).await;
        let alone = shown(&world, &alone.checkpoint.id).await;
        assert_eq!(
            (alone.checkpoint.vault_id, alone.resources.len()),
            (to.clone(), 1)
        );

        // Either vault can go without the other's backups, and the resource is backed up in its new one.
        world.backed_up(&to).await;
        for vault in [&from, &to] {
            vaults::delete(&world.app, &world.caller, &world.project, vault)
                .await
                .unwrap();
            world.run_jobs().await;
        }
        let state = world.state().await;
        assert!(!state.contains("job "), "{state}");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_of_one_kind_or_does_not_fit_stays() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let from = world.server_vault("from", &[&web]).await;
        let to = world.server_vault("to", &[]).await;
        let disks = world.disk_vault("disks", &[]).await;
        world.backed_up(&from).await;
        let web: ResourceId = web.server.id.clone().into();
        let unknown = VaultId::random(&*world.app.ids);

        refused!(
            migrate(&world, &from, &from, &[&web]).await,
            Error::Invalid { .. }
        );
        refused!(
            migrate(&world, &from, &unknown, &[&web]).await,
            Error::VaultNotFound { .. }
        );
        refused!(
            migrate(&world, &from, &disks, &[&web]).await,
            Error::VaultsDiffer
        );
        refused!(
            migrate(&world, &from, &to, &[&web, &web]).await,
            Error::DuplicateResource { .. }
        );
        refused!(
            migrate(&world, &to, &from, &[&web]).await,
            Error::ResourceNotInVault { .. }
        );
        set(&world, &to, |vault| vault.used_bytes = vault.size_gb << 30).await;
        refused!(migrate(&world, &from, &to, &[&web]).await, Error::VaultFull);
        set(&world, &to, |vault| vault.auto_expand = true).await;
        for status in [
            VaultStatus::Deleting,
            VaultStatus::Frozen,
            VaultStatus::Error,
        ] {
            set(&world, &to, |vault| vault.status = status).await;
            refused!(
                migrate(&world, &from, &to, &[&web]).await,
                Error::VaultState { .. }
            );
        }
        set(&world, &to, |vault| vault.status = VaultStatus::Available).await;
        world.back_up(World::new_checkpoint(&from)).await.unwrap();
        refused!(migrate(&world, &from, &to, &[&web]).await, Error::VaultBusy);
        world.run_jobs().await;
        migrate(&world, &from, &to, &[&web]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_resource_on_its_way_is_left_alone() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let from = world.server_vault("from", &[&web]).await;
        let to = world.server_vault("to", &[]).await;
        let backup = world.backed_up(&from).await.remove(0);
        let id: ResourceId = web.server.id.clone().into();
        migrate(&world, &from, &to, &[&id]).await.unwrap();

        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        refused!(migrate(&world, &from, &to, &[&id]).await, Error::VaultBusy);
        refused!(
            backups::delete(app, caller, project, &backup.id).await,
            Error::VaultBusy
        );
        refused!(
            vaults::delete(app, caller, project, &from).await,
            Error::VaultBusy
        );
        let remove = crate::resources::remove(app, caller, project, &from, vec![id]);
        refused!(remove.await, Error::VaultBusy);
        let run = world.back_up(World::new_checkpoint(&from)).await;
        refused!(run, Error::NothingToBackUp { .. });
        let add = world.add(&to, vec![protect_server(&web.server.id)]).await;
        refused!(add, Error::ResourceInOtherVault { .. });
    })
    .await;
}

#[tokio::test]
async fn what_changes_meanwhile_ends_the_move_and_everything_stays() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let from = world.server_vault("from", &[&web]).await;
        let to = world.server_vault("to", &[]).await;
        world.backed_up(&from).await;
        let id: ResourceId = web.server.id.clone().into();

        migrate(&world, &from, &to, &[&id]).await.unwrap();
        set(&world, &to, |vault| vault.used_bytes = vault.size_gb << 30).await;
        let (job, lease) = world.claim_some().await;
        let log = job.subject_id.parse().unwrap();
        let mut usage = world.migration(&lease, &log).await;
        // Numbers of a state that the vault is not in are refused.
        let stale =
            progress::finish_migration(&world.app, &lease, &log, MigrationUsage::default()).await;
        refused!(stale, Error::UsageStale);
        usage.destination.vault_bytes = u64::MAX >> 1;
        progress::finish_migration(&world.app, &lease, &log, usage)
            .await
            .unwrap();
        assert!(world.claim().await.is_none());
        assert_eq!(world.get_vault(&from).await.unwrap().resources.len(), 1);

        set(&world, &to, |vault| vault.used_bytes = 0).await;
        migrate(&world, &from, &to, &[&id]).await.unwrap();
        let lock = VaultChange {
            locked: Some(true),
            ..VaultChange::default()
        };
        vaults::update(&world.app, &world.caller, &world.project, &from, lock)
            .await
            .unwrap();
        world.run_jobs().await;
        assert_state(
            &world.state().await,
            "vault from available 100 MB of 200 GB
               web available 10 GB, 1 backups, 100 MB
               backup nightly of web available full, checkpoint available; web-disk-0 available
             vault to available 0 MB of 200 GB
             backup web success 100%
             migrate_resource web failed 0% vault_full: the destination vault is full
             migrate_resource web failed 0% vault_forbids: the vault is locked: its resources cannot be removed",
        );
    })
    .await;
}

#[tokio::test]
async fn a_vault_takes_no_more_resources_than_it_may() {
    on_each_database(|world| async move {
        let (web, db) = (world.server("web", 1).await, world.server("db", 1).await);
        let from = world.server_vault("from", &[&web]).await;
        let to = world.server_vault("to", &[&db]).await;
        let settings = crate::Settings {
            resources_per_vault_max: 1,
            ..crate::Settings::default()
        };
        let app = crate::App {
            settings: settings.into(),
            ..world.app.clone()
        };
        let ids = vec![web.server.id.clone().into()];
        let moved = migrations::migrate(&app, &world.caller, &world.project, &from, &to, ids).await;
        refused!(moved, Error::TooManyResources { max: 1 });
    })
    .await;
}
