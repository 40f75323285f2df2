//! Machines that appear in a folder, change and vanish.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use strongroom_db::Db;
use strongroom_service::inventory::{ServerView, list_servers, list_volumes};
use strongroom_service::{App, Caller};
use strongroom_testkit::{MockClock, MonitorProxy, QemuMachine, test_databases};
use strongroom_types::{ProjectId, VolumeId};

use crate::tests::fixtures;
use crate::{LocalMachines, Watch};

const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS: u32 = 1000;

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

async fn wait_until_lost(machine: &QemuMachine, file: &str) {
    for _ in 0..ATTEMPTS {
        if !machine
            .command("query-block", &json!({}))
            .to_string()
            .contains(file)
        {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("the machine still has {file}");
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
