//! Machines that appear in a folder, change and vanish.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::json;
use strongroom_db::Db;
use strongroom_service::inventory::{
    NewServer, ServerView, add_server, list_servers, list_volumes,
};
use strongroom_service::{App, Caller, LibvirtDomain};
use strongroom_testkit::{MockClock, MonitorProxy, QemuMachine, test_databases};
use strongroom_types::{ProjectId, VolumeId};

use super::wait_until_lost;
use crate::tests::fixtures;
use crate::{LocalMachines, Watch};

async fn servers(app: &App, (caller, project): &(Caller, ProjectId)) -> Vec<ServerView> {
    list_servers(app, caller, project).await.unwrap()
}

fn disks(server: &ServerView) -> Vec<&str> {
    let files = server.volumes.iter().map(|volume| Path::new(&volume.path));
    files
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect()
}

fn ids(server: &ServerView) -> Vec<&VolumeId> {
    server.volumes.iter().map(|volume| &volume.id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_that_appear_change_and_vanish_are_followed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(machine) = QemuMachine::bare(folder.path()) else {
        return;
    };
    let database = test_databases().await.remove(0);
    let clock = Arc::new(MockClock::default());
    let db = Db::open(&database.address).await.unwrap();
    let app = fixtures::app(db, &clock, Arc::new(LocalMachines));
    let mut watch = Watch::new(folder.path().to_owned(), None);
    // Nobody has signed in yet, so there is no project.
    let socket = folder.path().join("web.qmp");
    let _proxy = MonitorProxy::start(&socket, &machine.monitor());
    watch.look(&app).await;
    let whose = fixtures::administrator(&app).await;
    assert!(servers(&app, &whose).await.is_empty());

    watch.look(&app).await;
    let found = servers(&app, &whose).await;
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].server.name, "lab");
    assert_eq!(found[0].server.qmp_socket.as_deref(), socket.to_str());
    assert_eq!(found[0].server.guest_agent_socket, None);
    assert_eq!(disks(&found[0]), ["0.qcow2", "1.raw"]);
    fs::write(folder.path().join("web.agent"), "").unwrap();
    watch.look(&app).await;
    let again = servers(&app, &whose).await;
    assert_eq!(again[0].server.id, found[0].server.id);
    assert!(again[0].server.guest_agent_socket.is_some());
    assert_eq!(ids(&again[0]), ids(&found[0]));

    machine.command("device_del", &json!({"id": "dev1"}));
    machine.command("system_reset", &json!({}));
    wait_until_lost(&machine, "1.raw").await;
    watch.look(&app).await;
    assert_eq!(disks(&servers(&app, &whose).await[0]), ["0.qcow2"]);
    let volumes = list_volumes(&app, &whose.0, &whose.1).await.unwrap();
    assert_eq!(volumes.len(), 2);

    machine.quit();
    watch.look(&app).await;
    assert_eq!(disks(&servers(&app, &whose).await[0]), ["0.qcow2"]);
    let _machine = QemuMachine::bare(folder.path()).unwrap();
    watch.look(&app).await;
    let back = servers(&app, &whose).await;
    assert_eq!(back.len(), 1);
    assert_eq!(ids(&back[0]), ids(&found[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_libvirt_runs_is_left_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let Some(machine) = QemuMachine::bare(folder.path()) else {
        return;
    };
    let database = test_databases().await.remove(0);
    let clock = Arc::new(MockClock::default());
    let db = Db::open(&database.address).await.unwrap();
    let app = fixtures::app(db, &clock, Arc::new(LocalMachines));
    let whose = fixtures::administrator(&app).await;
    let disk = folder.path().join("0.qcow2");
    let new = NewServer {
        id: Some(QemuMachine::UUID.parse().unwrap()),
        name: "web".to_owned(),
        disks: vec![disk.to_str().unwrap().to_owned()],
        qmp_socket: None,
        guest_agent_socket: None,
        libvirt: Some(LibvirtDomain {
            uri: "qemu:///system".to_owned(),
            domain: QemuMachine::UUID.to_owned(),
        }),
        tags: Vec::new(),
    };
    let before = add_server(&app, &whose.0, &whose.1, new).await.unwrap();

    let _proxy = MonitorProxy::start(&folder.path().join("web.qmp"), &machine.monitor());
    Watch::new(folder.path().to_owned(), None).look(&app).await;
    let after = servers(&app, &whose).await;
    assert_eq!(after.len(), 1);
    assert_eq!(after[0].server.qmp_socket, None);
    assert_eq!(ids(&after[0]), ids(&before));
}
