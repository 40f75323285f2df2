use strongroom_types::{GIB, ResourceId, Role, ServerId, Trouble, VolumeId};

use super::{World, on_each_database, refused};
use crate::inventory::{self, NewServer, NewVolume};
use crate::{Caller, DiskError, Error, LibvirtDomain};

fn new_volume(path: &str) -> NewVolume {
    NewVolume {
        id: None,
        name: "v".to_owned(),
        path: path.to_owned(),
        tags: Vec::new(),
    }
}

fn new_server(disks: &[&str]) -> NewServer {
    NewServer {
        id: None,
        name: "s".to_owned(),
        disks: disks.iter().map(|path| (*path).to_owned()).collect(),
        qmp_socket: None,
        guest_agent_socket: None,
        libvirt: None,
        tags: Vec::new(),
    }
}

#[tokio::test]
async fn volumes_and_servers_are_added_listed_and_removed() {
    on_each_database(|world| async move {
        let web = world.server("web", 2).await;
        let spare = world.volume("spare").await;
        let list = || inventory::list_volumes(&world.app, &world.caller, &world.project);
        let volumes = list().await.unwrap();
        let names: Vec<_> = volumes
            .iter()
            .map(|v| (v.volume.name.as_str(), v.server_id.is_some()))
            .collect();
        assert_eq!(
            names,
            [("spare", false), ("web-disk-0", true), ("web-disk-1", true)]
        );
        assert_eq!(volumes[1].volume.size_bytes, 10 * GIB);
        let servers = inventory::list_servers(&world.app, &world.caller, &world.project)
            .await
            .unwrap();
        assert_eq!(servers[0].server, web.server);
        assert_eq!(servers[0].volumes, web.volumes);

        let remove = |id| inventory::remove_volume(&world.app, &world.caller, &world.project, id);
        refused!(
            remove(&web.volumes[0].id).await,
            Error::InventoryInUse { .. }
        );
        remove(&spare).await.unwrap();
        refused!(remove(&spare).await, Error::VolumeNotFound { .. });
        let id = &web.server.id;
        inventory::remove_server(&world.app, &world.caller, &world.project, id)
            .await
            .unwrap();
        let again = inventory::remove_server(&world.app, &world.caller, &world.project, id).await;
        refused!(again, Error::ServerNotFound { .. });
        assert!(list().await.unwrap().is_empty());
        // Everything is free to be added again.
        world.server("web", 2).await;
    })
    .await;
}

#[tokio::test]
async fn what_is_protected_stays() {
    on_each_database(|world| async move {
        let web = world.server("web", 1).await;
        let spare = world.volume("spare").await;
        world.server_vault("servers", &[&web]).await;
        world.disk_vault("disks", &[&spare]).await;
        let removed =
            inventory::remove_volume(&world.app, &world.caller, &world.project, &spare).await;
        refused!(removed, Error::InventoryInUse { .. });
        let id = &web.server.id;
        let removed = inventory::remove_server(&world.app, &world.caller, &world.project, id).await;
        refused!(removed, Error::InventoryInUse { .. });
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_or_is_there_already_is_refused() {
    on_each_database(|world| async move {
        let add = |new| inventory::add_volume(&world.app, &world.caller, &world.project, new);
        let missing = add(new_volume("/none")).await;
        refused!(
            missing,
            Error::DiskUnusable {
                trouble: Trouble::DiskMissing,
                ..
            }
        );
        world.break_disk("/odd", DiskError::Unsupported("vhd".to_owned()));
        refused!(add(new_volume("/odd")).await, Error::DiskUnusable { .. });
        let spellings = ["//a", "/./a", "/b/../a", "/a/", "/a/.", "/"];
        for path in ["", "relative", "/nul\0"].into_iter().chain(spellings) {
            refused!(add(new_volume(path)).await, Error::Invalid { .. });
        }
        world.set_disk("/a", World::idle(1));
        world.set_disk("/b", World::idle(1));
        refused!(
            add(NewVolume {
                name: String::new(),
                ..new_volume("/a")
            })
            .await,
            Error::Invalid { .. }
        );
        let id = VolumeId::random(&*world.app.ids);
        add(NewVolume {
            id: Some(id.clone()),
            ..new_volume("/a")
        })
        .await
        .unwrap();
        refused!(
            add(new_volume("/a")).await,
            Error::AlreadyInInventory { .. }
        );
        let same_id = add(NewVolume {
            id: Some(id),
            ..new_volume("/b")
        })
        .await;
        refused!(same_id, Error::AlreadyInInventory { .. });

        let add = |new| inventory::add_server(&world.app, &world.caller, &world.project, new);
        refused!(add(new_server(&[])).await, Error::Invalid { .. });
        refused!(add(new_server(&["/b", "/b"])).await, Error::Invalid { .. });
        refused!(
            add(new_server(&["/b", "/none"])).await,
            Error::DiskUnusable { .. }
        );
        refused!(
            add(new_server(&["/b", "/a"])).await,
            Error::AlreadyInInventory { .. }
        );
        // A refusal leaves nothing behind.
        let id = ServerId::random(&*world.app.ids);
        add(NewServer {
            id: Some(id.clone()),
            ..new_server(&["/b"])
        })
        .await
        .unwrap();
        world.set_disk("/c", World::idle(1));
        let same_id = add(NewServer {
            id: Some(id),
            ..new_server(&["/c"])
        })
        .await;
        refused!(same_id, Error::AlreadyInInventory { .. });
    })
    .await;
}

#[tokio::test]
async fn an_export_of_an_nbd_server_is_named_as_its_server_names_it() {
    on_each_database(|world| async move {
        let add = |new| inventory::add_volume(&world.app, &world.caller, &world.project, new);
        let export = "nbd+unix:///a/../b?socket=/run/nbd.sock";
        world.break_disk(export, DiskError::Unsupported("no TLS".to_owned()));
        refused!(add(new_volume(export)).await, Error::DiskUnusable { .. });
        world.set_disk(export, World::idle(1));
        add(new_volume(export)).await.unwrap();
        refused!(
            add(new_volume(export)).await,
            Error::AlreadyInInventory { .. }
        );
    })
    .await;
}

#[tokio::test]
async fn servers_and_volumes_share_no_ids() {
    on_each_database(|world| async move {
        let data = world.volume("data").await;
        let web = world.server("web", 1).await;
        world.set_disk("/c", World::idle(1));
        let new = NewServer {
            id: Some(ResourceId::from(data).into()),
            ..new_server(&["/c"])
        };
        let added = inventory::add_server(&world.app, &world.caller, &world.project, new).await;
        refused!(added, Error::AlreadyInInventory { .. });
        let new = NewVolume {
            id: Some(ResourceId::from(web.server.id).into()),
            ..new_volume("/c")
        };
        let added = inventory::add_volume(&world.app, &world.caller, &world.project, new).await;
        refused!(added, Error::AlreadyInInventory { .. });
    })
    .await;
}

#[tokio::test]
async fn sockets_have_absolute_paths() {
    on_each_database(|world| async move {
        world.set_disk("/b", World::idle(1));
        for socket in ["qmp.sock", "/run/../qmp.sock"] {
            let qmp = NewServer {
                qmp_socket: Some(socket.to_owned()),
                ..new_server(&["/b"])
            };
            let guest_agent = NewServer {
                guest_agent_socket: Some(socket.to_owned()),
                ..new_server(&["/b"])
            };
            for new in [qmp, guest_agent] {
                let added = inventory::add_server(&world.app, &world.caller, &world.project, new);
                refused!(added.await, Error::Invalid { .. });
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_libvirt_is_one_of_this_host_and_stands_alone() {
    on_each_database(|world| async move {
        world.set_disk("/b", World::idle(1));
        let of = |uri: &str| LibvirtDomain {
            uri: uri.to_owned(),
            domain: "web".to_owned(),
        };
        for uri in [
            "qemu+ssh://elsewhere/system",
            "qemu+ext:///system?command=/bin/sh",
            "qemu+unix:///system?socket=/a&command=/bin/sh",
            "qemu:///embed?root=/a",
            "xen:///system",
            "",
        ] {
            let new = NewServer {
                libvirt: Some(of(uri)),
                ..new_server(&["/b"])
            };
            let added = inventory::add_server(&world.app, &world.caller, &world.project, new);
            refused!(added.await, Error::Invalid { .. });
        }
        let both = NewServer {
            libvirt: Some(of("qemu:///system")),
            qmp_socket: Some("/run/web.qmp".to_owned()),
            ..new_server(&["/b"])
        };
        let added = inventory::add_server(&world.app, &world.caller, &world.project, both);
        refused!(added.await, Error::Invalid { .. });

        let new = NewServer {
            libvirt: Some(of("qemu+unix:///session?socket=/run/libvirt-sock")),
            ..new_server(&["/b"])
        };
        let added = inventory::add_server(&world.app, &world.caller, &world.project, new).await;
        let expected = of("qemu+unix:///session?socket=/run/libvirt-sock");
        assert_eq!(LibvirtDomain::of(&added.unwrap().server), Some(expected));
    })
    .await;
}

#[tokio::test]
async fn the_inventory_is_for_administrators() {
    on_each_database(|world| async move {
        let operator = Caller {
            role: Some(Role::Operator),
            ..world.caller.clone()
        };
        let added =
            inventory::add_volume(&world.app, &operator, &world.project, new_volume("/a")).await;
        refused!(added, Error::Forbidden);
        let listed = inventory::list_servers(&world.app, &operator, &world.project).await;
        refused!(listed, Error::Forbidden);
    })
    .await;
}
