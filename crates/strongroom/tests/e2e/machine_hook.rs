//! A restore has a running machine stopped and started by the administrator's program.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use strongroom_testkit::QemuMachine;

use crate::api::Api;
use crate::disks::text;
use crate::server::{BINARY, Server};

const WRITTEN: std::ops::Range<usize> = 1 << 20..2 << 20;
/// What is backed up, and what overwrites it.
const SAVED: u8 = 0x11;
const LATER: u8 = 0x22;

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_stops_a_running_machine_and_starts_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(machine) = QemuMachine::bare(folder.path()) else {
        return;
    };
    let mut command = Command::new(BINARY);
    command.env("STRONGROOM__WORKER__MACHINE_HOOK", hook(folder.path()));
    let server = Server::start_by(command, &folder.path().join("data"));
    let place = |name: &str| text(&folder.path().join(name)).to_owned();
    let (system, data) = (place("0.qcow2"), place("1.raw"));
    let mut words = vec![
        "server", "add", "--name", "web", "--disk", &system, "--disk", &data,
    ];
    let monitor = machine.monitor();
    words.extend(["--qmp", text(&monitor)]);
    let added = server.verb(&words);
    let web = added["server"]["id"].as_str().unwrap();
    let api = Api::sign_in(&server).await;
    let vault = api.make_vault("server", &[web]).await;
    machine.write(1, SAVED, &WRITTEN);
    let backup = api.back_up(&vault).await;
    machine.write(1, LATER, &WRITTEN);

    // A machine that is not stopped is not written under.
    fs::write(folder.path().join("refuse"), "").unwrap();
    let task = restore(&api, &backup, web, true).await;
    assert_eq!(task["status"], "failed", "{task}");
    let told = task["error_info"]["message"].as_str().unwrap();
    assert!(told.contains("did not stop the server"), "{told}");
    assert_eq!(calls(folder.path()), [format!("stop {web} web")]);
    assert!(machine.state().0 && holds(&data, LATER));

    fs::remove_file(folder.path().join("refuse")).unwrap();
    let task = restore(&api, &backup, web, true).await;
    assert_eq!(task["status"], "success", "{task}");
    let both = ["stop", "start"].map(|what| format!("{what} {web} web"));
    assert_eq!(calls(folder.path()), both);
    assert!(holds(&data, SAVED));

    drop(machine);
    let machine = QemuMachine::bare(folder.path()).unwrap();
    machine.write(1, LATER, &WRITTEN);
    let task = restore(&api, &backup, web, false).await;
    assert_eq!(task["status"], "success", "{task}");
    assert_eq!(calls(folder.path()), both[..1]);
    assert!(holds(&data, SAVED));
    let task = restore(&api, &backup, web, false).await;
    assert_eq!(task["status"], "success", "{task}");
    assert_eq!(
        calls(folder.path()),
        [""; 0],
        "a machine that is off is not stopped"
    );
}

/// A program that ends the machine by the test's own monitor, unless it is to refuse, and says how it was called.
fn hook(folder: &Path) -> PathBuf {
    let program = folder.join("hook");
    let script = format!(
        r#"#!/usr/bin/env python3
import os, socket, sys
folder = "{}"
with open(folder + "/calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
if os.path.exists(folder + "/refuse"):
    sys.exit(1)
if sys.argv[1] == "stop":
    monitor = socket.socket(socket.AF_UNIX)
    monitor.connect(folder + "/test.sock")
    monitor.sendall(b'{{"execute":"qmp_capabilities"}}{{"execute":"quit"}}')
    while monitor.recv(4096):
        pass
"#,
        folder.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// How the hook was called since this was asked last.
fn calls(folder: &Path) -> Vec<String> {
    let file = folder.join("calls");
    let calls = fs::read_to_string(&file).unwrap_or_default();
    fs::write(&file, "").unwrap();
    calls.lines().map(str::to_owned).collect()
}

async fn restore(api: &Api, backup: &str, server: &str, power_on: bool) -> Value {
    let body = json!({"restore": {"server_id": server, "power_on": power_on}});
    let (status, answer) = api.post(&format!("/backups/{backup}/restore"), body).await;
    assert_eq!(status, 202, "{answer}");
    api.wait_for_task(answer["job_id"].as_str().unwrap()).await
}

fn holds(disk: &str, byte: u8) -> bool {
    let mut found = vec![0; WRITTEN.len()];
    let file = fs::File::open(disk).unwrap();
    file.read_exact_at(&mut found, WRITTEN.start as u64)
        .unwrap();
    found.iter().all(|found| *found == byte)
}
