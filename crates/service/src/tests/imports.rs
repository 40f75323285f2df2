use std::collections::BTreeSet;

use strongroom_db::{OperationExtra, OperationLog};
use strongroom_types::{
    BackupId, CloudType, JobKind, ObjectType, OperationLogId, OperationStatus, ProjectId,
    ProtectType, ResourceType, VaultId,
};

use super::recovery::remains;
use super::world::{World, protect_volume};
use super::{on_each_database, refused};
use crate::imports::{self, NewImport};
use crate::progress::{self, SyncCounts, SyncWork};
use crate::recovery::Listing;
use crate::rows::WantedBackup;
use crate::vaults::NewVault;
use crate::{Error, Settings, StorageUnitSetting, checkpoints, vaults};

const UNIT: &str = "site-b";

impl World {
    /// The operator gives the project these storage units.
    fn give_units(&mut self, names: &[&str]) {
        let project_id = self.project.clone();
        let unit = |name: &&str| StorageUnitSetting {
            name: (*name).to_owned(),
            project_id: project_id.clone(),
        };
        let settings = Settings {
            storage_units: names.iter().map(unit).collect(),
            ..Settings::default()
        };
        self.app.settings = settings.into();
    }

    fn new_hybrid_vault() -> NewVault {
        NewVault {
            cloud_type: CloudType::Hybrid,
            ..Self::new_vault("hybrid", ObjectType::Vmware)
        }
    }

    async fn hybrid_vault(&mut self) -> VaultId {
        self.give_units(&[UNIT]);
        self.vault_of(Self::new_hybrid_vault()).await.vault.id
    }

    async fn sync(&self, vault: &VaultId) -> Result<OperationLogId, Error> {
        imports::sync_vault(&self.app, &self.caller, &self.project, vault).await
    }

    async fn log(&self, id: &OperationLogId) -> OperationLog {
        let mut tx = self.app.db.read().await.unwrap();
        tx.find_operation_log(id).await.unwrap().unwrap()
    }

    async fn ids_in(&self, vault: &VaultId) -> BTreeSet<BackupId> {
        let mut tx = self.app.db.read().await.unwrap();
        let rows = tx.backups_of_vault(vault, None).await.unwrap();
        let tops = rows.into_iter().filter(|row| row.parent_id.is_none());
        tops.map(|row| row.id).collect()
    }
}

fn import(bucket_name: &str) -> NewImport {
    NewImport {
        bucket_name: bucket_name.to_owned(),
        wanted: WantedBackup {
            backup_id: "00000000-0000-4000-8000-000000000001".parse().unwrap(),
            backup_name: "renamed".to_owned(),
            image_path: "/".to_owned(),
            resource_id: "00000000-0000-4000-8000-000000000002".parse().unwrap(),
            resource_name: "web".to_owned(),
            resource_type: ResourceType::Server,
        },
    }
}

#[tokio::test]
async fn a_hybrid_vault_shows_a_storage_unit_of_its_project() {
    on_each_database(async |mut world| {
        world.give_units(&[UNIT]);
        let view = world.vault_of(World::new_hybrid_vault()).await;
        assert_eq!(view.storage_unit.as_deref(), Some(UNIT));
        assert_eq!(view.vault.protect_type, ProtectType::Hybrid);
        // Its only unit is taken.
        refused!(
            world.create(World::new_hybrid_vault()).await,
            Error::VaultTypeNotOffered { .. }
        );
        let id = view.vault.id;
        vaults::delete(&world.app, &world.caller, &world.project, &id)
            .await
            .unwrap();
        world.run_jobs().await;
        let again = world.vault_of(World::new_hybrid_vault()).await;
        assert_eq!(again.storage_unit.as_deref(), Some(UNIT));
    })
    .await;
}

#[tokio::test]
async fn a_unit_of_another_project_is_none() {
    on_each_database(async |mut world| {
        world.give_units(&[UNIT]);
        let mut settings = (*world.app.settings).clone();
        settings.storage_units[0].project_id = ProjectId::random(&*world.app.ids);
        world.app.settings = settings.into();
        refused!(
            world.create(World::new_hybrid_vault()).await,
            Error::VaultTypeNotOffered { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn a_hybrid_vault_protects_nothing_itself() {
    on_each_database(async |mut world| {
        let vault = world.hybrid_vault().await;
        let volume = world.volume("d").await;
        refused!(
            world.add(&vault, vec![protect_volume(&volume)]).await,
            Error::VaultTakesNoResources
        );
        let new = World::new_checkpoint(&vault);
        refused!(
            checkpoints::create(&world.app, &world.caller, &world.project, new).await,
            Error::VaultCannotBackUp
        );
    })
    .await;
}

#[tokio::test]
async fn only_hybrid_vaults_are_synchronised_and_each_once_at_a_time() {
    on_each_database(async |mut world| {
        let plain = world.disk_vault("plain", &[]).await;
        refused!(world.sync(&plain).await, Error::VaultCannotSync { .. });
        let vault = world.hybrid_vault().await;
        let log = world.sync(&vault).await.unwrap();
        assert_eq!(world.log(&log).await.status, OperationStatus::Waiting);
        refused!(world.sync(&vault).await, Error::SyncRunning);
        world.run_jobs().await;
        world.sync(&vault).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_backup_is_imported_from_units_of_the_own_project_alone() {
    on_each_database(async |mut world| {
        world.hybrid_vault().await;
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let unknown = imports::sync_backups(app, caller, project, vec![import("elsewhere")]).await;
        refused!(unknown, Error::VaultCannotSync { .. });
        let other = ProjectId::random(&*app.ids);
        world.add_project(&other, "other").await;
        let foreign = imports::sync_backups(app, caller, &other, vec![import(UNIT)]).await;
        refused!(foreign, Error::VaultCannotSync { .. });
        let twice = vec![import(UNIT), import(UNIT)];
        refused!(
            imports::sync_backups(app, caller, project, twice).await,
            Error::Invalid { .. }
        );
        refused!(
            imports::sync_backups(app, caller, project, Vec::new()).await,
            Error::Invalid { .. }
        );
        let begun = imports::sync_backups(app, caller, project, vec![import(UNIT)]).await;
        assert_eq!(begun.unwrap()[0].0, import(UNIT).wanted.backup_id);
        let (job, _) = world.claim_some().await;
        assert_eq!(job.kind, JobKind::SyncBackup);
    })
    .await;
}

/// A synchronisation that is at work.
async fn start(world: &World, vault: &VaultId) -> (strongroom_db::Lease, SyncWork) {
    world.sync(vault).await.unwrap();
    let (_, lease) = world.claim_some().await;
    let work = progress::start_sync(&world.app, &lease).await.unwrap();
    (lease, work)
}

#[tokio::test]
async fn what_a_unit_holds_is_listed_and_what_it_loses_is_forgotten() {
    on_each_database(async |mut world| {
        let vault = world.hybrid_vault().await;
        let remains = remains().await;
        let found = remains.backup();
        let (lease, work) = start(&world, &vault).await;
        let app = &world.app;
        let listing = progress::list_found(app, &lease, &work, &found).await;
        assert_eq!(listing.unwrap(), Listing::Listed);
        let row = world.backup(&found.id).await.unwrap();
        assert_eq!(
            (row.vault_id, row.project_id),
            (vault.clone(), world.project.clone())
        );
        assert_eq!(row.expired_at, None, "it expires where it was made");
        let counts = SyncCounts {
            listed: 1,
            ..SyncCounts::default()
        };
        let usage = world.usage(&vault, None, &[]).await;
        progress::finish_sync(app, &lease, &work, counts, None, usage)
            .await
            .unwrap();
        let log = world.log(&work.operation_log_id).await;
        assert_eq!(log.status, OperationStatus::Success);
        assert!(matches!(
            log.extra.0,
            OperationExtra::Sync {
                sync_backup_num: 1,
                delete_backup_num: 0,
                err_sync_backup_num: 0,
                ..
            }
        ));

        let (lease, work) = start(&world, &vault).await;
        let still_there = BTreeSet::from([found.id.clone()]);
        let none = progress::forget_gone(app, &lease, &work, &still_there).await;
        assert_eq!(none.unwrap(), SyncCounts::default());
        let gone = progress::forget_gone(app, &lease, &work, &BTreeSet::new()).await;
        assert_eq!(gone.unwrap().forgotten, 1);
        assert!(world.ids_in(&vault).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_backup_that_another_vault_has_is_not_listed_twice() {
    on_each_database(async |mut world| {
        world.give_units(&[UNIT, "site-c"]);
        let first = world.vault_of(World::new_hybrid_vault()).await.vault.id;
        let second = world.vault_of(World::new_hybrid_vault()).await.vault.id;
        let found = remains().await.backup();
        for (vault, wanted) in [(first, Listing::Listed), (second, Listing::Elsewhere)] {
            let (lease, work) = start(&world, &vault).await;
            let listing = progress::list_found(&world.app, &lease, &work, &found).await;
            assert_eq!(listing.unwrap(), wanted);
        }
    })
    .await;
}

#[tokio::test]
async fn a_reader_synchronises_nothing() {
    on_each_database(async |mut world| {
        let vault = world.hybrid_vault().await;
        world.caller.role = Some(strongroom_types::Role::Reader);
        refused!(world.sync(&vault).await, Error::Forbidden);
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        refused!(
            imports::sync_backups(app, caller, project, vec![import(UNIT)]).await,
            Error::Forbidden
        );
    })
    .await;
}
