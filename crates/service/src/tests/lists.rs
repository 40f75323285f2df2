use strongroom_db::{
    Backup, BackupFilter, BackupSort, BackupSortKey, Direction, OperationLogFilter, Page,
    VaultFilter,
};
use strongroom_types::{
    BackupStatus, ChargingMode, CloudType, ImageType, ObjectType, OperationStatus, OperationType,
    PolicyId, ProtectType, ResourceId, ResourceType, VaultId, VaultStatus,
};

use super::{World, on_each_database, refused};
use crate::vaults::NewVault;
use crate::{Error, backups, operation_logs, vaults};

fn vaults_with(set: impl FnOnce(&mut VaultFilter)) -> VaultFilter {
    let mut filter = VaultFilter::default();
    set(&mut filter);
    filter
}

fn backups_with(set: impl FnOnce(&mut BackupFilter)) -> BackupFilter {
    let mut filter = BackupFilter::default();
    set(&mut filter);
    filter
}

fn logs_with(set: impl FnOnce(&mut OperationLogFilter)) -> OperationLogFilter {
    let mut filter = OperationLogFilter::default();
    set(&mut filter);
    filter
}

async fn names(world: &World, filter: VaultFilter, page: Page) -> (Vec<String>, u64) {
    let listed = vaults::list(&world.app, &world.caller, &world.project, &filter, &page).await;
    let (views, total) = listed.unwrap();
    (
        views.into_iter().map(|view| view.vault.name).collect(),
        total,
    )
}

#[tokio::test]
async fn vaults_are_filtered() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let servers = world.server_vault("servers", &[&web]).await;
        let disks = world.disk_vault("disks", &[]).await;
        let new = NewVault {
            enterprise_project_id: "eps".to_owned(),
            availability_zone: "here".to_owned(),
            protect_type: ProtectType::Replication,
            ..World::new_vault("replicas", ObjectType::Server)
        };
        world.vault_of(new).await;
        let all = || VaultFilter::default();
        let cases: Vec<(VaultFilter, Vec<&str>)> = vec![
            (all(), vec!["replicas", "disks", "servers"]),
            (
                vaults_with(|f| f.name = Some("disks".to_owned())),
                vec!["disks"],
            ),
            (vaults_with(|f| f.name = Some("disk".to_owned())), vec![]),
            (
                vaults_with(|f| f.ids = vec![disks, servers]),
                vec!["disks", "servers"],
            ),
            (vaults_with(|f| f.status = Some(VaultStatus::Error)), vec![]),
            (
                vaults_with(|f| f.resource_ids = vec![web.server.id.into()]),
                vec!["servers"],
            ),
            (
                vaults_with(|f| f.object_type = Some(ObjectType::Disk)),
                vec!["disks"],
            ),
            (
                vaults_with(|f| f.protect_type = Some(ProtectType::Replication)),
                vec!["replicas"],
            ),
            (
                vaults_with(|f| f.cloud_type = Some(CloudType::Hybrid)),
                vec![],
            ),
            (
                vaults_with(|f| f.enterprise_project_id = Some("eps".to_owned())),
                vec!["replicas"],
            ),
            (
                vaults_with(|f| f.availability_zone = Some("here".to_owned())),
                vec!["replicas"],
            ),
            (
                vaults_with(|f| f.policy_id = Some(PolicyId::random(&*world.app.ids))),
                vec![],
            ),
        ];
        for (filter, expected) in cases {
            let shown = format!("{filter:?}");
            let (found, total) = names(&world, filter, World::everything()).await;
            assert_eq!(found, expected, "{shown}");
            assert_eq!(total, expected.len() as u64, "{shown}");
        }
    })
    .await;
}

#[tokio::test]
async fn pages_end_and_markers_go_on() {
    on_each_database(|world| async move {
        let mut ids = Vec::new();
        for name in ["a", "b", "c"] {
            ids.push(world.server_vault(name, &[]).await);
        }
        let page = |offset, limit, marker: Option<usize>| Page {
            offset,
            limit,
            marker: marker.map(|n| ids[n].to_string()),
        };
        let all = VaultFilter::default;
        assert_eq!(
            names(&world, all(), page(0, 2, None)).await,
            (vec!["c".to_owned(), "b".to_owned()], 3)
        );
        assert_eq!(names(&world, all(), page(2, 2, None)).await.0, ["a"]);
        assert_eq!(names(&world, all(), page(3, 2, None)).await, (vec![], 3));
        assert_eq!(
            names(&world, all(), page(u64::MAX, u64::MAX, None)).await,
            (vec![], 3)
        );
        assert_eq!(
            names(&world, all(), page(0, 2, Some(2))).await.0,
            ["b", "a"]
        );
        assert_eq!(names(&world, all(), page(1, 2, Some(2))).await.0, ["a"]);
        assert_eq!(names(&world, all(), page(0, 2, Some(0))).await.0, [""; 0]);
        let unknown = Page {
            marker: Some("nobody".to_owned()),
            ..Page::first(2)
        };
        let listed =
            vaults::list(&world.app, &world.caller, &world.project, &all(), &unknown).await;
        refused!(listed, Error::Invalid { .. });
    })
    .await;
}

/// Three backups, oldest first: `b` and `a` of the server `web`, and between them `c` of the disk `data`.
struct Three {
    web: ResourceId,
    disks: VaultId,
    first: Backup,
    second: Backup,
}

async fn three_backups(world: &World) -> Three {
    let (web, data) = (world.server("web", 2).await, world.volume("data").await);
    let servers = world.server_vault("servers", &[&web]).await;
    let disks = world.disk_vault("disks", &[&data]).await;
    let mut made = Vec::new();
    for (vault, name) in [(&servers, "b"), (&disks, "c"), (&servers, "a")] {
        let backup = world.backed_up(vault).await.remove(0);
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        backups::rename(app, caller, project, &backup.id, name.to_owned())
            .await
            .unwrap();
        made.push(backup);
    }
    Three {
        web: web.server.id.into(),
        disks,
        second: made.remove(1),
        first: made.remove(0),
    }
}

/// The names of one page, each a letter, and how many there are in all.
async fn list_backups(
    world: &World,
    filter: BackupFilter,
    sort: &[BackupSort],
    page: Page,
) -> (String, u64) {
    let (app, caller, project) = (&world.app, &world.caller, &world.project);
    let listed = backups::list(app, caller, project, &filter, sort, &page).await;
    let (views, total) = listed.unwrap();
    let names: Vec<_> = views.into_iter().map(|view| view.backup.name).collect();
    (names.concat(), total)
}

#[tokio::test]
async fn backups_are_filtered() {
    on_each_database(|world| async move {
        let Three {
            web,
            disks,
            first,
            second,
        } = three_backups(&world).await;
        let cases: Vec<(BackupFilter, &str)> = vec![
            (BackupFilter::default(), "acb"),
            (backups_with(|f| f.vault_id = Some(disks)), "c"),
            (
                backups_with(|f| f.checkpoint_id = Some(first.checkpoint_id.clone())),
                "b",
            ),
            (backups_with(|f| f.resource_id = Some(web)), "ab"),
            (
                backups_with(|f| f.resource_type = Some(ResourceType::Volume)),
                "c",
            ),
            (
                backups_with(|f| f.resource_name = Some("web".to_owned())),
                "ab",
            ),
            (backups_with(|f| f.name = Some("a".to_owned())), "a"),
            (
                backups_with(|f| f.image_type = Some(ImageType::Replication)),
                "",
            ),
            (backups_with(|f| f.statuses = vec![BackupStatus::Error]), ""),
            (
                backups_with(|f| f.statuses = vec![BackupStatus::Error, BackupStatus::Available]),
                "acb",
            ),
            (backups_with(|f| f.incremental = Some(true)), "a"),
            (backups_with(|f| f.incremental = Some(false)), "cb"),
            (
                backups_with(|f| f.start_time = Some(second.created_at)),
                "ac",
            ),
            (backups_with(|f| f.end_time = Some(second.created_at)), "cb"),
            (backups_with(|f| f.used_percent = Some(1)), ""),
            (
                backups_with(|f| f.enterprise_project_id = Some("0".to_owned())),
                "acb",
            ),
            (
                backups_with(|f| f.enterprise_project_id = Some("1".to_owned())),
                "",
            ),
        ];
        for (filter, expected) in cases {
            let shown = format!("{filter:?}");
            let (found, total) = list_backups(&world, filter, &[], World::everything()).await;
            assert_eq!(
                (found.as_str(), total),
                (expected, expected.len() as u64),
                "{shown}"
            );
        }
        let children: BackupFilter = backups_with(|f| f.parent_id = Some(first.id.clone()));
        assert_eq!(
            list_backups(&world, children, &[], World::everything())
                .await
                .1,
            2
        );
    })
    .await;
}

#[tokio::test]
async fn backups_are_sorted() {
    on_each_database(|world| async move {
        let Three { second, .. } = three_backups(&world).await;
        let list = |key, direction, page| {
            let world = &world;
            async move {
                let sort = [BackupSort { key, direction }];
                list_backups(world, BackupFilter::default(), &sort, page).await
            }
        };
        let all = World::everything;
        let (up, down) = (Direction::Ascending, Direction::Descending);
        let cases = [
            (BackupSortKey::Name, up, "abc"),
            (BackupSortKey::Name, down, "cba"),
            (BackupSortKey::CreatedAt, up, "bca"),
            (BackupSortKey::CreatedAt, down, "acb"),
            (BackupSortKey::ProtectedAt, up, "bca"),
            (BackupSortKey::UpdatedAt, down, "acb"),
        ];
        for (key, direction, expected) in cases {
            assert_eq!(list(key, direction, all()).await.0, expected, "{key:?}");
        }
        for key in [BackupSortKey::Status, BackupSortKey::Id] {
            assert_eq!(list(key, up, all()).await.1, 3);
        }
        let marker = Page {
            marker: Some(second.id.to_string()),
            ..Page::first(1)
        };
        assert_eq!(
            list(BackupSortKey::Name, down, marker).await,
            ("b".to_owned(), 3)
        );
    })
    .await;
}

/// The names of the resources, newest first.
async fn list_logs(world: &World, filter: OperationLogFilter) -> String {
    let (app, caller, project) = (&world.app, &world.caller, &world.project);
    let page = World::everything();
    let listed = operation_logs::list(app, caller, project, &filter, &page).await;
    let (logs, total) = listed.unwrap();
    assert_eq!(logs.len() as u64, total);
    let names = logs.into_iter().filter_map(|log| log.resource_name);
    names.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn operation_logs_are_filtered() {
    on_each_database(|world| async move {
        let (web, data) = (world.server("web", 1).await, world.volume("data").await);
        let servers = world.server_vault("servers", &[&web]).await;
        let disks = world.disk_vault("disks", &[&data]).await;
        let first = world.backed_up(&servers).await.remove(0);
        world.back_up(World::new_checkpoint(&disks)).await.unwrap();
        let provider = crate::provider_of_resource(ResourceType::Volume).to_owned();
        let cases: Vec<(OperationLogFilter, &str)> = vec![
            (OperationLogFilter::default(), "data web"),
            (
                logs_with(|f| f.operation_type = Some(OperationType::Restore)),
                "",
            ),
            (
                logs_with(|f| f.statuses = vec![OperationStatus::Waiting]),
                "data",
            ),
            (logs_with(|f| f.provider_id = Some(provider)), "data"),
            (
                logs_with(|f| f.resource_id = Some(web.server.id.into())),
                "web",
            ),
            (
                logs_with(|f| f.resource_name = Some("data".to_owned())),
                "data",
            ),
            (logs_with(|f| f.vault_id = Some(servers)), "web"),
            (
                logs_with(|f| f.vault_name = Some("disks".to_owned())),
                "data",
            ),
            (logs_with(|f| f.end_time = Some(first.created_at)), "web"),
            (logs_with(|f| f.start_time = Some(first.updated_at)), "data"),
            (
                logs_with(|f| f.enterprise_project_id = Some("1".to_owned())),
                "",
            ),
        ];
        for (filter, expected) in cases {
            let shown = format!("{filter:?}");
            assert_eq!(list_logs(&world, filter).await, expected, "{shown}");
        }
        let unknown = strongroom_types::OperationLogId::random(&*world.app.ids);
        let found = operation_logs::get(&world.app, &world.caller, &world.project, &unknown).await;
        refused!(found, Error::OperationLogNotFound { .. });
        assert_eq!(
            world.get_vault(&disks).await.unwrap().vault.charging_mode,
            ChargingMode::PostPaid
        );
    })
    .await;
}
