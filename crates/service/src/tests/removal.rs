//! Deletions of resources and vaults that fail or are interrupted.

use std::time::Duration;

use strongroom_db::OperationExtra;
use strongroom_types::{BackupStatus, OperationLogId, ProtectStatus, VaultStatus};

use super::world::failure;
use super::{World, on_each_database};
use crate::{operation_logs, progress, resources, vaults};

async fn extra(world: &World, id: &OperationLogId) -> OperationExtra {
    let log = operation_logs::get(&world.app, &world.caller, &world.project, id).await;
    log.unwrap().extra.0
}

#[tokio::test]
async fn a_failed_removal_shows_and_can_be_repeated() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        world.backed_up(&vault).await;
        let ids = vec![web.server.id.clone().into()];
        let remove = || {
            resources::remove(
                &world.app,
                &world.caller,
                &world.project,
                &vault,
                ids.clone(),
            )
        };
        remove().await.unwrap();
        let (job, lease) = world.claim_some().await;
        let log = job.subject_id.parse().unwrap();
        let work = progress::start_remove_resource(&world.app, &lease, &log)
            .await
            .unwrap();
        assert_eq!(work.backups.len(), 2);
        assert!(
            work.backups
                .iter()
                .all(|row| row.status == BackupStatus::Deleting)
        );
        progress::fail_deletion(&world.app, &lease, &log, failure())
            .await
            .unwrap();
        let resource = world.get_vault(&vault).await.unwrap().resources.remove(0);
        assert_eq!(resource.protect_status, ProtectStatus::Error);
        let counted = OperationExtra::RemoveResources {
            total_count: 1,
            fail_count: 1,
        };
        assert_eq!(extra(&world, &log).await, counted);

        remove().await.unwrap();
        world.run_jobs().await;
        assert_eq!(world.get_vault(&vault).await.unwrap().resources, []);
    })
    .await;
}

#[tokio::test]
async fn a_failed_vault_deletion_shows_and_can_be_repeated() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        world.backed_up(&vault).await;
        let delete = || vaults::delete(&world.app, &world.caller, &world.project, &vault);
        delete().await.unwrap();
        let (_, lease) = world.claim_some().await;
        let work = progress::start_delete_vault(&world.app, &lease, &vault)
            .await
            .unwrap();
        progress::fail_deletion(&world.app, &lease, &work.operation_log_id, failure())
            .await
            .unwrap();
        assert_eq!(
            world.get_vault(&vault).await.unwrap().vault.status,
            VaultStatus::Error
        );
        let counted = OperationExtra::VaultDelete {
            total_count: 1,
            fail_count: 1,
        };
        assert_eq!(extra(&world, &work.operation_log_id).await, counted);
        delete().await.unwrap();
        world.run_jobs().await;
        assert!(world.get_vault(&vault).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn an_interrupted_vault_deletion_goes_on() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        world.backed_up(&vault).await;
        vaults::delete(&world.app, &world.caller, &world.project, &vault)
            .await
            .unwrap();
        let (_, lease) = world.claim_some().await;
        progress::start_delete_vault(&world.app, &lease, &vault)
            .await
            .unwrap();
        world.clock.advance(Duration::from_secs(61));
        world.run_jobs().await;
        assert!(world.get_vault(&vault).await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_backup_deleted_with_its_resource_is_deleted_once() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        crate::backups::delete(&world.app, &world.caller, &world.project, &backup.id)
            .await
            .unwrap();
        let (_, lease) = world.claim_some().await;
        progress::start_delete_backup(&world.app, &lease, &backup.id)
            .await
            .unwrap();
        let ids = vec![web.server.id.clone().into()];
        resources::remove(&world.app, &world.caller, &world.project, &vault, ids)
            .await
            .unwrap();
        world.run_jobs().await;
        let usage = world.usage(&vault, None, &[]).await;
        let late = progress::finish_delete_backup(&world.app, &lease, &backup.id, usage).await;
        super::refused!(late, crate::Error::NothingToDo);
        assert!(world.claim().await.is_none());
    })
    .await;
}
