//! Servers whose machines answer: states, backups and refusals go by what they say.

use strongroom_types::{ResourceId, ServerStatus, Trouble};

use super::{World, on_each_database, refused};
use crate::backups::{self, NewRestore};
use crate::inventory::{NewServer, ServerView, add_server};
use crate::protectables::{self, ProtectableKind, ProtectableServer, ProtectableView};
use crate::{Error, MachineError, MachineFacts, Settings};

const MONITOR: &str = "/run/web.qmp";

/// A server with two disks and a monitor, at which nobody listens yet.
async fn server(world: &World) -> ServerView {
    let disks = ["/web/0", "/web/1"];
    for disk in disks {
        world.set_disk(disk, World::idle(10));
    }
    let new = NewServer {
        id: None,
        name: "web".to_owned(),
        disks: disks.map(str::to_owned).to_vec(),
        qmp_socket: Some(MONITOR.to_owned()),
        guest_agent_socket: None,
        libvirt: None,
        tags: Vec::new(),
    };
    let added = add_server(&world.app, &world.caller, &world.project, new).await;
    added.unwrap()
}

fn machine(is_on: bool, disks: &[&str]) -> MachineFacts {
    MachineFacts {
        is_on,
        places: disks.iter().copied().map(str::to_owned).collect(),
    }
}

async fn shown(world: &World, server: &ServerView) -> ProtectableServer {
    let id = ResourceId::from(server.server.id.clone());
    let kind = ProtectableKind::Server;
    let view = protectables::get(&world.app, &world.caller, &world.project, kind, &id).await;
    match view.unwrap() {
        ProtectableView::Server(server) => *server,
        ProtectableView::Disk(disk) => panic!("{disk:?}"),
    }
}

#[tokio::test]
async fn a_server_is_what_its_machine_says() {
    on_each_database(|world| async move {
        let web = server(&world).await;
        assert_eq!(shown(&world, &web).await.status, ServerStatus::Shutoff);

        world.set_machine(MONITOR, Ok(machine(true, &["/web/0", "/web/1"])));
        let active = shown(&world, &web).await;
        assert_eq!(active.status, ServerStatus::Active);
        assert_eq!(active.protectability.trouble, None);
        world.set_machine(MONITOR, Ok(machine(false, &["/web/0", "/web/1"])));
        assert_eq!(shown(&world, &web).await.status, ServerStatus::Shutoff);

        world.set_machine(MONITOR, Ok(machine(true, &["/web/0"])));
        let incomplete = shown(&world, &web).await;
        let missing = web.volumes[1].id.to_string();
        assert_eq!(
            incomplete.protectability.trouble,
            Some(Trouble::DiskMissing)
        );
        assert!(incomplete.protectability.reason.contains(&missing));

        world.set_machine(MONITOR, Err(MachineError::Silent));
        let silent = shown(&world, &web).await;
        assert_eq!(silent.status, ServerStatus::Active);
        assert_eq!(silent.protectability.trouble, Some(Trouble::ServerRunning));
    })
    .await;
}

#[tokio::test]
async fn a_running_server_is_backed_up_if_its_machine_can_do_it() {
    on_each_database(|world| async move {
        let web = server(&world).await;
        let vault = world.server_vault("vault", &[&web]).await;
        for disk in ["/web/0", "/web/1"] {
            world.set_disk(disk, World::running(10));
        }
        let cannot = [
            Err(MachineError::Unreachable),
            Err(MachineError::Silent),
            Ok(machine(true, &["/web/0"])),
        ];
        for answer in cannot {
            world.set_machine(MONITOR, answer);
            let refusal = world.back_up(World::new_checkpoint(&vault)).await;
            refused!(refusal, Error::NothingToBackUp { .. });
        }
        world.set_machine(MONITOR, Ok(machine(true, &["/web/0", "/web/1"])));
        world.back_up(World::new_checkpoint(&vault)).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn nothing_is_restored_onto_disks_that_a_machine_has() {
    on_each_database(|world| async move {
        let web = server(&world).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let restore = async || {
            let new = NewRestore {
                server_id: Some(web.server.id.clone()),
                volume_id: None,
                mappings: Vec::new(),
                power_on: true,
                of_files: false,
            };
            backups::restore(&world.app, &world.caller, &world.project, &backup.id, new).await
        };
        // Its locks may say otherwise: they can be switched off.
        for answer in [
            Ok(machine(true, &["/web/0", "/web/1"])),
            Ok(machine(false, &["/web/1"])),
            Err(MachineError::Silent),
        ] {
            world.set_machine(MONITOR, answer);
            refused!(restore().await, Error::ServerRunning { .. });
        }
        world.set_machine(MONITOR, Err(MachineError::Unreachable));
        restore().await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn who_stops_machines_restores_servers_that_run_and_no_single_disk_of_them() {
    on_each_database(|mut world| async move {
        let settings = Settings {
            stops_machines: true,
            ..Settings::default()
        };
        world.app.settings = settings.into();
        let web = server(&world).await;
        let vault = world.server_vault("vault", &[&web]).await;
        let backup = world.backed_up(&vault).await.remove(0);
        let data = world.volume("data").await;
        let disks = world.disk_vault("disks", &[&data]).await;
        let of_disk = world.backed_up(&disks).await.remove(0);
        world.set_machine(MONITOR, Ok(machine(true, &["/web/0", "/web/1"])));
        let new = |server_id, volume_id| NewRestore {
            server_id,
            volume_id,
            mappings: Vec::new(),
            power_on: true,
            of_files: false,
        };
        let (app, caller, project) = (&world.app, &world.caller, &world.project);
        let onto_disk = new(None, Some(web.volumes[1].id.clone()));
        let refusal = backups::restore(app, caller, project, &of_disk.id, onto_disk).await;
        refused!(refusal, Error::DiskInUse { .. });
        let onto_server = new(Some(web.server.id.clone()), None);
        backups::restore(app, caller, project, &backup.id, onto_server)
            .await
            .unwrap();
    })
    .await;
}
