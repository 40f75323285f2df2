//! A real Linux starts from an attached backup, goes on while the service is killed, and moves to disks of its own as it runs.

use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Value, json};
use strongroom_testkit::{CORRECTED, QemuMachine, check_guest_disk};
use strongroom_types::{Clock, SystemClock};

use crate::api::Api;
use crate::disks::{self, run, text};
use crate::live::{until, wait_until_written};
use crate::server::Server;

/// Files between two lines of the guest.
const STEP: u32 = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_runs_from_its_backup_at_once_and_moves_home() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut machine) = QemuMachine::linux(folder.path()) else {
        return;
    };
    wait_until_written(folder.path(), STEP).await;
    machine.kill();
    let data_dir = folder.path().join("data");
    let server = Server::start_in(&data_dir);
    let mut api = Api::sign_in(&server).await;
    let backup = back_up(&server, &api, folder.path()).await;

    let attachment = attach(&api, &backup).await;
    let sockets = [0, 1].map(|n| {
        attachment["disks"][n]["socket"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    let run_in = folder.path().join("run");
    std::fs::create_dir(&run_in).unwrap();
    let started = SystemClock.now();
    let machine = QemuMachine::linux_from(&run_in, [&sockets[0], &sockets[1]]).unwrap();
    wait_until_written(&run_in, STEP).await;
    println!(
        "the guest wrote its first files {:?} after its start",
        SystemClock.now().since(started)
    );

    server.kill();
    let server = Server::start_in(&data_dir);
    api = api.at(&server);
    wait_until_written(&run_in, 3 * STEP).await;
    let path = format!(
        "//strongroom/v1/{}/attachments/{}",
        api.project,
        id(&attachment)
    );
    let (_, answer) = api.get(&path).await;
    assert_eq!(answer["attachment"]["status"], "attached");
    assert_eq!(answer["attachment"]["disks"], attachment["disks"]);
    let (status, answer) = api.delete(&format!("/backups/{backup}")).await;
    assert_eq!(
        (status, &answer["error_code"]),
        (400, &json!("BackupService.6216"))
    );

    for n in [0, 1] {
        move_home(&machine, n, &run_in).await;
    }
    assert_eq!(api.delete(&path).await.0, 204);
    api.wait_until_gone(&path).await;
    assert!(!Path::new(&sockets[0]).parent().unwrap().exists());
    wait_until_written(&run_in, 5 * STEP).await;
    drop(machine);
    check_home(&run_in, 5 * STEP);

    let (status, answer) = api.delete(&format!("/backups/{backup}")).await;
    assert_eq!(status, 204, "{answer}");
    api.wait_until_gone(&format!("/backups/{backup}")).await;
    server.repositories_are_clean();
}

/// A server with both disks of a guest that is off; answers the id of its backup.
pub(crate) async fn back_up(server: &Server, api: &Api, folder: &Path) -> String {
    let disks = ["0.qcow2", "1.raw"].map(|disk| folder.join(disk));
    let mut add = vec!["server", "add", "--name", "web"];
    add.extend(disks.iter().flat_map(|disk| ["--disk", text(disk)]));
    let web = server.verb(&add)["server"]["id"].clone();
    let vault = api.make_vault("server", &[web.as_str().unwrap()]).await;
    api.back_up(&vault).await
}

/// The images of its own hold whole file systems, with all files that the guest had made durable.
fn check_home(folder: &Path, files: u32) {
    for n in [0, 1] {
        let (image, home) = (
            folder.join("home.raw"),
            folder.join(format!("home{n}.qcow2")),
        );
        run(
            "qemu-img",
            &["convert", "-O", "raw", text(&home), text(&image)],
        );
        // They take turns.
        let highest = check_guest_disk(folder, &image, &[0, CORRECTED]);
        assert!(highest >= files - 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_attached_is_served_again_with_what_was_written_as_soon_as_its_storage_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("data.raw");
    disks::random(&image, 3 << 20, 1);
    let data_dir = folder.path().join("data");
    let mut server = Server::start_in(&data_dir);
    let api = Api::sign_in(&server).await;
    let add = ["volume", "add", "--name", "data", "--path", text(&image)];
    let volume = server.verb(&add)["volume"]["id"].clone();
    let vault = api.make_vault("disk", &[volume.as_str().unwrap()]).await;
    let backup = api.back_up(&vault).await;

    let written = server.verb(&["backup", "attach", &backup]);
    let [id, uri] = ["/attachment/id", "/attachment/disks/0/uri"]
        .map(|place| written.pointer(place).unwrap().as_str().unwrap());
    let io = |uri: &str, command: &str| run("qemu-io", &["-f", "raw", "-c", command, uri]);
    io(uri, "write -P 7 1M 64k");
    let other = server.verb(&["backup", "attach", &backup, "--read-only"]);
    let other = other["attachment"].clone();
    let same = [text(&image), other["disks"][0]["uri"].as_str().unwrap()];
    run(
        "qemu-img",
        &[&["compare", "-f", "raw", "-F", "raw"][..], &same].concat(),
    );

    assert!(server.stop().success());
    let (here, away) = (data_dir.join("repositories"), folder.path().join("away"));
    std::fs::rename(here.join(&api.project), &away).unwrap();
    let server = Server::start_in(&data_dir);
    let state = || server.verb(&["backup", "attachments"])["attachments"][1].clone();
    until("it cannot be served", || state()["status"] == "error").await;
    assert_eq!(state()["reason"], "the backup's storage cannot be opened");
    std::fs::rename(&away, here.join(&api.project)).unwrap();
    until("it is served again", || state()["status"] == "attached").await;
    let found = io(uri, "read -P 7 1M 64k");
    assert!(!found.contains("failed"), "{found}");

    for attachment in [id, other["id"].as_str().unwrap()] {
        server.verb(&["backup", "detach", attachment]);
    }
    for attachment in [id, other["id"].as_str().unwrap()] {
        assert!(!data_dir.join("attached").join(attachment).exists());
    }
    let unknown = server.try_verb(&["backup", "detach", id]);
    let said = String::from_utf8_lossy(&unknown.stderr);
    assert!(said.contains("Strongroom.1023"), "{said}");
}

fn id(attachment: &Value) -> &str {
    attachment["id"].as_str().unwrap()
}

/// Returns when all disks can be connected to, and says how long that took.
async fn attach(api: &Api, backup: &str) -> Value {
    let root = format!("//strongroom/v1/{}", api.project);
    let asked = SystemClock.now();
    let body = json!({"attachment": {}});
    let (status, answer) = api
        .post(&format!("{root}/backups/{backup}/attachments"), body)
        .await;
    assert_eq!(status, 202, "{answer}");
    let disks = answer["attachment"]["disks"].as_array().unwrap();
    let sockets: Vec<_> = disks
        .iter()
        .map(|disk| disk["socket"].as_str().unwrap())
        .collect();
    until("it is served", || {
        sockets
            .iter()
            .all(|socket| UnixStream::connect(socket).is_ok())
    })
    .await;
    println!(
        "attached {:?} after it was asked for",
        SystemClock.now().since(asked)
    );
    assert_eq!(disks[0]["bootable"], true);
    answer["attachment"].clone()
}

/// Copies a disk to an image of its own, which takes its place.
async fn move_home(machine: &QemuMachine, disk: u32, folder: &Path) {
    let (name, home) = (format!("disk{disk}"), format!("home{disk}"));
    let file = folder.join(format!("{home}.qcow2"));
    let size = QemuMachine::LINUX_DISK_SIZE.to_string();
    run(
        "qemu-img",
        &["create", "-q", "-f", "qcow2", text(&file), &size],
    );
    let node = json!({"driver": "qcow2", "node-name": home, "file": {"driver": "file", "filename": text(&file)}});
    machine.command("blockdev-add", &node);
    let mirror = json!({"job-id": "home", "device": name, "target": home, "sync": "full"});
    machine.command("blockdev-mirror", &mirror);
    let jobs = || machine.command("query-jobs", &json!({}));
    until("all is copied", || jobs()[0]["status"] == "ready").await;
    machine.command("job-complete", &json!({"id": "home"}));
    until("the image has taken its place", || jobs() == json!([])).await;
    machine.command("blockdev-del", &json!({"node-name": name}));
}
