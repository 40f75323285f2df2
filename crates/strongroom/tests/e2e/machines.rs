//! A machine that appears in the folder of monitors can be backed up without having been added.

use std::fs;
use std::process::Command;

use strongroom_testkit::{MonitorProxy, QemuMachine};

use crate::api::Api;
use crate::live::until;
use crate::server::{BINARY, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_is_found_is_backed_up() {
    let folder = tempfile::tempdir().unwrap();
    let Some(machine) = QemuMachine::bare(folder.path()) else {
        return;
    };
    let machines = folder.path().join("machines");
    fs::create_dir(&machines).unwrap();
    let _proxy = MonitorProxy::start(&machines.join("web.qmp"), &machine.monitor());
    let mut command = Command::new(BINARY);
    command.env("STRONGROOM__WORKER__MACHINES_DIR", &machines);
    let server = Server::start_by(command, &folder.path().join("data"));
    let listed = || server.verb(&["server", "list"])["servers"].clone();
    until("the machine is a server", || listed()[0].is_object()).await;

    let found = listed()[0].clone();
    assert_eq!(found["name"], "lab");
    assert_eq!(found["volumes"].as_array().unwrap().len(), 2);
    let api = Api::sign_in(&server).await;
    let vault = api
        .make_vault("server", &[found["id"].as_str().unwrap()])
        .await;
    api.back_up(&vault).await;
    assert!(machine.bitmaps("0.qcow2")[0].starts_with("strongroom-"));
}
