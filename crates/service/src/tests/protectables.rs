use strongroom_db::Page;
use strongroom_types::{GIB, ResourceId, ServerStatus, Trouble};

use super::{World, on_each_database, refused};
use crate::backups::{self, NewRestore};
use crate::protectables::{
    self, DiskStatus, ProtectableDisk, ProtectableFilter, ProtectableKind, ProtectableServer,
    ProtectableView,
};
use crate::{DiskError, Error};

async fn servers(
    world: &World,
    filter: ProtectableFilter,
    page: &Page,
) -> (Vec<ProtectableServer>, u64) {
    let kind = ProtectableKind::Server;
    let listed = protectables::list(
        &world.app,
        &world.caller,
        &world.project,
        kind,
        &filter,
        page,
    )
    .await;
    let (views, total) = listed.unwrap();
    let views = views.into_iter().map(|view| match view {
        ProtectableView::Server(server) => *server,
        ProtectableView::Disk(disk) => panic!("{disk:?}"),
    });
    (views.collect(), total)
}

async fn disks(world: &World, filter: ProtectableFilter) -> Vec<ProtectableDisk> {
    let (kind, page) = (ProtectableKind::Disk, World::everything());
    let listed = protectables::list(
        &world.app,
        &world.caller,
        &world.project,
        kind,
        &filter,
        &page,
    )
    .await;
    let views = listed.unwrap().0.into_iter().map(|view| match view {
        ProtectableView::Disk(disk) => *disk,
        ProtectableView::Server(server) => panic!("{server:?}"),
    });
    views.collect()
}

#[tokio::test]
async fn servers_show_what_their_disks_are_now() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        world.server("idle", 1).await;
        world.server("broken", 1).await;
        let vault = world.server_vault("vault", &[&web]).await;
        world.set_disk("/web/1", World::running(25));
        world.break_disk("/broken/0", DiskError::Missing);
        let (all, total) =
            servers(&world, ProtectableFilter::default(), &World::everything()).await;
        assert_eq!(total, 3);
        let shown: Vec<_> = all
            .iter()
            .map(|s| (s.server.name.as_str(), s.status, s.size_gb))
            .collect();
        let expected = [
            ("broken", ServerStatus::Error, 10),
            ("idle", ServerStatus::Shutoff, 10),
            ("web", ServerStatus::Active, 35),
        ];
        assert_eq!(shown, expected);
        assert_eq!(all[0].protectability.trouble, Some(Trouble::DiskMissing));
        assert_eq!(all[1].protectability.trouble, None);
        assert!(all[1].protectability.vault.is_none());
        let protecting = all[2].protectability.vault.as_ref().unwrap();
        assert_eq!(
            (&protecting.vault.id, protecting.resources.len()),
            (&vault, 1)
        );

        let disks = &all[2].disks;
        assert_eq!(disks[1].volume.size_bytes, 25 * GIB);
        let devices: Vec<_> = disks
            .iter()
            .map(|d| d.attachment.clone().unwrap())
            .collect();
        assert_eq!(
            (devices[0].device.as_str(), devices[0].bootable),
            ("/dev/vda", true)
        );
        assert_eq!(
            (devices[1].device.as_str(), devices[1].bootable),
            ("/dev/vdb", false)
        );
        assert_eq!(disks[0].vault.as_ref().unwrap().1, "vault");
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_being_restored_does_not_run() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let onto = NewRestore {
            server_id: Some(web.server.id.clone()),
            volume_id: None,
            mappings: Vec::new(),
            power_on: true,
            of_files: false,
        };
        backups::restore(&world.app, &world.caller, &world.project, &backup.id, onto)
            .await
            .unwrap();
        // The restore holds the disks that it writes.
        world.set_disk("/web/0", World::running(10));
        let status = async || {
            let filter = ProtectableFilter::default();
            servers(&world, filter, &World::everything()).await.0[0].status
        };
        assert_eq!(status().await, ServerStatus::Shutoff);
        world.run_jobs().await;
        assert_eq!(status().await, ServerStatus::Active);
    })
    .await;
}

#[tokio::test]
async fn lists_are_filtered_and_paged() {
    on_each_database(|world| async move {
        for name in ["a", "b", "c"] {
            world.server(name, 1).await;
        }
        world.set_disk("/b/0", World::running(10));
        let all = World::everything();
        let name = |s: &ProtectableServer| s.server.name.clone();
        let filter = ProtectableFilter {
            name: Some("b".to_owned()),
            ..ProtectableFilter::default()
        };
        assert_eq!(servers(&world, filter, &all).await.0.len(), 1);
        let filter = || ProtectableFilter {
            status: Some("shutoff".to_owned()),
            ..ProtectableFilter::default()
        };
        let (found, total) = servers(&world, filter(), &all).await;
        assert_eq!(
            (found.iter().map(name).collect::<Vec<_>>(), total),
            (vec!["a".to_owned(), "c".to_owned()], 2)
        );
        // By marker, with and without a filter that is answered by the disks.
        let marker = Some(found[0].server.id.to_string());
        let page = Page {
            offset: 0,
            limit: 1,
            marker,
        };
        assert_eq!(name(&servers(&world, filter(), &page).await.0[0]), "c");
        assert_eq!(
            name(&servers(&world, ProtectableFilter::default(), &page).await.0[0]),
            "b"
        );
        let past = Page {
            offset: 50,
            ..Page::first(10)
        };
        let (past_the_end, total) = servers(&world, filter(), &past).await;
        assert_eq!((past_the_end.len(), total), (0, 2));
        let unknown = Page {
            marker: Some("x".to_owned()),
            ..Page::first(10)
        };
        for filter in [filter(), ProtectableFilter::default()] {
            let kind = ProtectableKind::Server;
            let listed = protectables::list(
                &world.app,
                &world.caller,
                &world.project,
                kind,
                &filter,
                &unknown,
            )
            .await;
            refused!(listed, Error::Invalid { .. });
        }
    })
    .await;
}

#[tokio::test]
async fn disks_show_their_state_and_who_protects_them() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        world.volume("spare").await;
        world.volume("torn").await;
        world.server_vault("vault", &[&web]).await;
        world.break_disk("/torn", DiskError::Unreadable("no".to_owned()));
        let all = disks(&world, ProtectableFilter::default()).await;
        let shown: Vec<_> = all
            .iter()
            .map(|d| (d.disk.volume.name.as_str(), d.disk.status))
            .collect();
        let expected = [
            ("spare", DiskStatus::Available),
            ("torn", DiskStatus::Error),
            ("web-disk-0", DiskStatus::InUse),
        ];
        assert_eq!(shown, expected);
        assert_eq!(
            all[2].protectability.vault.as_ref().unwrap().vault.name,
            "vault"
        );
        let filter = ProtectableFilter {
            server_id: Some(web.server.id.clone()),
            ..ProtectableFilter::default()
        };
        assert_eq!(disks(&world, filter).await.len(), 1);

        let id = ResourceId::from(web.volumes[0].id.clone());
        let get = |kind, id| protectables::get(&world.app, &world.caller, &world.project, kind, id);
        get(ProtectableKind::Disk, &id).await.unwrap();
        refused!(
            get(ProtectableKind::Server, &id).await,
            Error::ResourceNotFound { .. }
        );
    })
    .await;
}
