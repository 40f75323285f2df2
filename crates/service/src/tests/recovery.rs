use std::time::Duration;

use strongroom_db::{Backup, Db, InventoryFilter, Page, Vault};
use strongroom_testkit::{SeededIds, test_databases};
use strongroom_types::{
    BackupId, BackupStatus, JobKind, ProjectId, ProtectStatus, Timestamp, Trouble, VaultId,
};

use super::world::{STORED, World};
use super::{on_each_database, refused};
use crate::Provenance;
use crate::progress::{self, BackupWork};
use crate::recovery::{
    self, FoundBackup, FoundPoint, Listing, Recoverer, ResourceUsage, group, list_again,
    restore_project, vaults_to_measure,
};

/// What an installation left behind, whose database is gone.
pub(super) struct Remains {
    project: ProjectId,
    vault: Vault,
    /// The rows that were, the server's first.
    rows: Vec<Backup>,
    points: Vec<FoundPoint>,
}

/// A server with two disks that was backed up in an installation of its own.
pub(super) async fn remains() -> Remains {
    let database = test_databases().await.remove(0);
    let db = Db::open(&database.address).await.unwrap();
    let world = World::with_ids(db.clone(), SeededIds::new(77)).await;
    let server = world.server("web", 2).await;
    let vault_id = world.server_vault("gold", &[&server]).await;
    world
        .back_up(World::new_checkpoint(&vault_id))
        .await
        .unwrap();
    let (job, lease) = world.claim_some().await;
    assert_eq!(job.kind, JobKind::BackUp);
    let id: BackupId = job.subject_id.parse().unwrap();
    let work = progress::start_backup(&world.app, &lease, &id)
        .await
        .unwrap();
    let (outcome, usage) = world.save(&lease, &id).await;
    let points = points_of(&work, outcome.protected_at);
    progress::finish_backup(&world.app, &lease, &id, outcome, usage)
        .await
        .unwrap();
    let mut rows = vec![world.backup(&id).await.unwrap()];
    rows.extend(world.children(&id).await);
    let vault = world.get_vault(&vault_id).await.unwrap().vault;
    db.close().await;
    Remains {
        project: world.project,
        vault,
        rows,
        points,
    }
}

/// The points as a repository gives them back: their attributes went through JSON.
pub(super) fn points_of(work: &BackupWork, protected_at: Timestamp) -> Vec<FoundPoint> {
    let disks = work.disks.iter();
    let point = |provenance: Provenance| FoundPoint {
        point_id: format!("point of {}", provenance.backup_id),
        size_bytes: 0,
        stored_bytes: STORED,
        is_damaged: false,
        provenance,
    };
    disks
        .map(|disk| {
            let attributes = Provenance::of(work, disk, protected_at).to_attributes();
            FoundPoint {
                size_bytes: disk.backup.size_bytes,
                ..point(Provenance::from_attributes(&attributes).unwrap())
            }
        })
        .collect()
}

impl Remains {
    pub(super) fn backup(&self) -> FoundBackup {
        let mut found = group(self.points.clone());
        assert_eq!(found.len(), 1);
        found.remove(0)
    }
}

impl World {
    pub(super) fn recoverer(&self) -> Recoverer {
        Recoverer {
            domain_id: self.caller.domain_id.clone(),
            user_id: self.caller.user_id.clone(),
        }
    }

    async fn list_again(&self, remains: &Remains, found: &FoundBackup) -> Listing {
        self.clock.advance(Duration::from_secs(1));
        let (by, project) = (self.recoverer(), &remains.project);
        restore_project(&self.app, &by, project, "region-1")
            .await
            .unwrap();
        list_again(&self.app, &by, project, found).await.unwrap()
    }

    async fn vault_row(&self, id: &VaultId) -> Vault {
        let mut tx = self.app.db.read().await.unwrap();
        tx.find_vault(id).await.unwrap().unwrap()
    }
}

/// The row without what a recovery cannot know.
fn lasting(row: Backup) -> Backup {
    Backup {
        updated_at: Timestamp::from_micros(0),
        ..row
    }
}

#[tokio::test]
async fn a_lost_database_comes_back_from_what_the_points_say() {
    on_each_database(async |world| {
        let remains = remains().await;
        let found = remains.backup();
        assert_eq!(world.list_again(&remains, &found).await, Listing::Listed);

        let mut rows = vec![world.backup(&found.id).await.unwrap()];
        rows.extend(world.children(&found.id).await);
        let before = remains.rows.iter().cloned().map(lasting);
        assert_eq!(
            rows.into_iter().map(lasting).collect::<Vec<_>>(),
            before.collect::<Vec<_>>()
        );
        let vault = world.vault_row(&remains.vault.id).await;
        assert_eq!(
            vault,
            Vault {
                user_id: world.caller.user_id.clone(),
                used_bytes: 0,
                version: vault.version,
                updated_at: vault.updated_at,
                ..remains.vault.clone()
            }
        );
    })
    .await;
}

#[tokio::test]
async fn the_inventory_and_what_the_vault_protects_come_back_too() {
    on_each_database(async |world| {
        let remains = remains().await;
        world.list_again(&remains, &remains.backup()).await;
        let mut tx = world.app.db.read().await.unwrap();
        let everything = InventoryFilter::default();
        let volumes = tx
            .list_volumes(&remains.project, &everything, &Page::first(10))
            .await
            .unwrap();
        let paths: Vec<_> = volumes.rows.iter().map(|v| v.path.as_str()).collect();
        assert_eq!(paths, ["/web/0", "/web/1"]);
        let ids: Vec<_> = volumes.rows.into_iter().map(|v| v.id).collect();
        let attached = tx.attachments_of_volumes(&ids).await.unwrap();
        assert_eq!(
            attached.iter().map(|a| a.position).collect::<Vec<_>>(),
            [0, 1]
        );
        let resource = tx.find_vault_resource(&remains.rows[0].resource_id).await;
        let resource = resource.unwrap().unwrap();
        assert_eq!(resource.protect_status, ProtectStatus::Available);
        assert_eq!(resource.vault_id, remains.vault.id);
    })
    .await;
}

#[tokio::test]
async fn a_disk_whose_place_is_taken_by_now_stays_out_of_the_inventory() {
    on_each_database(async |world| {
        let remains = remains().await;
        world.server("web", 1).await;
        world.list_again(&remains, &remains.backup()).await;
        let mut tx = world.app.db.read().await.unwrap();
        let everything = InventoryFilter::default();
        let page = Page::first(10);
        let volumes = tx.list_volumes(&remains.project, &everything, &page).await;
        let volumes = volumes.unwrap().rows;
        assert_eq!(volumes.len(), 1);
        assert_eq!(volumes[0].path, "/web/1");
    })
    .await;
}

#[tokio::test]
async fn a_recovery_that_runs_again_changes_nothing() {
    on_each_database(async |world| {
        let remains = remains().await;
        let found = remains.backup();
        world.list_again(&remains, &found).await;
        let before = world.backup(&found.id).await;
        assert_eq!(world.list_again(&remains, &found).await, Listing::Known);
        assert_eq!(world.backup(&found.id).await, before);
    })
    .await;
}

#[tokio::test]
async fn a_damaged_disk_makes_the_backup_an_error_until_it_is_repaired() {
    on_each_database(async |world| {
        let remains = remains().await;
        let mut damaged = remains.backup();
        damaged.disks[1].is_damaged = true;
        assert_eq!(
            world.list_again(&remains, &damaged).await,
            Listing::ListedBroken
        );
        let top = world.backup(&damaged.id).await.unwrap();
        assert_eq!(top.status, BackupStatus::Error);
        assert_eq!(top.trouble, Some(Trouble::DataDamaged));
        let children = world.children(&damaged.id).await;
        let sound = children
            .iter()
            .filter(|c| c.status == BackupStatus::Available);
        assert_eq!(sound.count(), 1);

        assert_eq!(
            world.list_again(&remains, &remains.backup()).await,
            Listing::Mended
        );
        let mut rows = vec![world.backup(&damaged.id).await.unwrap()];
        rows.extend(world.children(&damaged.id).await);
        assert!(rows.iter().all(|row| row.status == BackupStatus::Available));
    })
    .await;
}

#[tokio::test]
async fn a_server_of_which_a_disk_is_missing_is_not_called_restorable() {
    on_each_database(async |world| {
        let mut remains = remains().await;
        remains.points.truncate(1);
        let found = remains.backup();
        assert_eq!(
            world.list_again(&remains, &found).await,
            Listing::ListedBroken
        );
        let top = world.backup(&found.id).await.unwrap();
        assert_eq!(
            top.trouble_message,
            "1 of its 2 disks are not in the storage"
        );
    })
    .await;
}

#[tokio::test]
async fn nobody_takes_over_the_vault_of_another_project() {
    on_each_database(async |world| {
        let remains = remains().await;
        let found = remains.backup();
        world.list_again(&remains, &found).await;
        let by = world.recoverer();
        let listing = list_again(&world.app, &by, &world.project, &found).await;
        assert_eq!(listing.unwrap(), Listing::Elsewhere);
        let row = world.backup(&found.id).await.unwrap();
        assert_eq!(row.project_id, remains.project);
    })
    .await;
}

#[tokio::test]
async fn a_project_whose_name_is_taken_gets_another() {
    on_each_database(async |world| {
        let id = ProjectId::random(&*world.app.ids);
        let by = world.recoverer();
        let name = restore_project(&world.app, &by, &id, "region-1").await;
        assert_eq!(name.unwrap(), format!("region-1-{}", &id.as_str()[..8]));
        let name = restore_project(&world.app, &by, &world.project, "other").await;
        assert_eq!(name.unwrap(), "region-1");
    })
    .await;
}

#[tokio::test]
async fn what_a_recovered_vault_occupies_is_published_for_the_points_it_has() {
    on_each_database(async |world| {
        let remains = remains().await;
        world.list_again(&remains, &remains.backup()).await;
        let vaults = [remains.vault.id.clone()].into();
        let measured = vaults_to_measure(&world.app, &remains.project, &vaults)
            .await
            .unwrap();
        assert_eq!(measured.len(), 1);
        let measured = &measured[0];
        assert_eq!(measured.points.len(), 2);
        let server = remains.rows[0].resource_id.clone();
        let usage = ResourceUsage {
            resource_id: server.clone(),
            bytes: STORED,
        };
        recovery::publish_usage(&world.app, measured, 2 * STORED, &[usage])
            .await
            .unwrap();
        assert_eq!(
            world.vault_row(&remains.vault.id).await.used_bytes,
            2 * STORED
        );
        let mut tx = world.app.db.read().await.unwrap();
        let resource = tx.find_vault_resource(&server).await.unwrap().unwrap();
        assert_eq!((resource.backup_bytes, resource.backup_count), (STORED, 1));
        drop(tx);

        let mut other = measured.clone();
        other.points.pop();
        refused!(
            recovery::publish_usage(&world.app, &other, STORED, &[]).await,
            crate::Error::UsageStale
        );
    })
    .await;
}
