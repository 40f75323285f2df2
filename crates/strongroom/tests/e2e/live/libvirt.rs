//! The same with a Linux that libvirt runs: a full backup, two with what changed, and one after a service that was killed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::{Value, json};
use strongroom_testkit::{CORRECTED, Libvirt, QemuMachine};

use super::STEP;
use super::site::{Site, consistency, until};
use crate::api::Api;
use crate::server::{BINARY, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_linux_of_libvirts_is_backed_up_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let Some(libvirt) = Libvirt::start(folder.path()) else {
        return;
    };
    if libvirt.start_linux(QemuMachine::LINUX_DISK_SIZE).is_none() {
        return;
    }
    // Its QEMUs run as somebody else.
    let scratch = folder.path().join("scratch");
    fs::create_dir(&scratch).unwrap();
    fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777)).unwrap();
    let servers = libvirt.shared_folder("servers");
    let data_dir = folder.path().join("strongroom");
    let start = || {
        let mut command = Command::new(BINARY);
        command.env("STRONGROOM__WORKER__SCRATCH_DIR", &scratch);
        command.env("STRONGROOM__WORKER__NEW_SERVERS_DIR", &servers);
        Server::start_by(command, &data_dir)
    };
    let server = start();
    let api = Api::sign_in(&server).await;
    let uri = libvirt.uri();
    let asked = ["--libvirt", "linux", "--libvirt-uri", &uri];
    let disks = ["0.qcow2", "1.qcow2"];
    let mut site = Site::new(&server, api, folder.path(), &asked, disks);
    let vault = site.api.make_vault("server", &[&site.web]).await;
    assert_eq!(site.state().await, ("ACTIVE".to_owned(), true));
    site.wait_until_written(STEP).await;

    let full = site.back_up(&server, &vault).await;
    assert_eq!(consistency(&full), ("0", "0"));
    let mut reached = site.check(&full, &[0, CORRECTED]).await;

    let level = json!({"vault": {"billing": {"consistent_level": "app_consistent"}}});
    let (status, answer) = site.put(&format!("/vaults/{vault}"), level).await;
    assert_eq!(status, 200, "{answer}");
    for _ in 0..2 {
        site.wait_until_written((reached / STEP + 2) * STEP).await;
        let next = site.back_up(&server, &vault).await;
        assert_eq!(consistency(&next), ("1", "1"), "{next}");
        // Nothing was read whole.
        assert!(site.read_for(&next).await < QemuMachine::LINUX_DISK_SIZE);
        let highest = site.check(&next, &[0]).await;
        assert!(highest > reached);
        reached = highest;
    }

    needs_a_guest_that_freezes(&server, &site, &libvirt, &vault).await;
    let ended = || server.log().matches("job ended").count();
    let before = ended();
    let checkpoint = site.api.start_checkpoint(&vault).await;
    // On a fast machine it is too late, and what follows holds all the same.
    let is_due = || libvirt.has_backup("linux") || ended() > before;
    until("libvirt serves the disks", is_due).await;
    server.kill();
    let server = start();
    site.api = site.api.at(&server);
    let status = site.api.wait_for_checkpoint(&checkpoint).await;
    assert_eq!(status, "available");
    let last = site.api.only_backup_of(&checkpoint).await;
    let last = site.backup(last["id"].as_str().unwrap()).await;
    assert_eq!(consistency(&last), ("1", "1"), "{last}");
    assert!(site.check(&last, &[0]).await >= reached);
    let is_served = || libvirt.has_backup("linux");
    until("nothing is served any more", || !is_served()).await;
    let checkpoints = libvirt.virsh(&["checkpoint-list", "linux", "--name"]);
    assert_eq!(checkpoints.split_whitespace().count(), 1, "{checkpoints}");

    restored(&site, &libvirt, &full).await;
    let after = site.back_up(&server, &vault).await;
    site.check(&after, &[0, CORRECTED]).await;
    becomes_a_new_domain(&server, &site, &libvirt, &last).await;
}

/// With this choice of its policy, a guest that does not answer has no backup, and its machine nothing of one.
async fn needs_a_guest_that_freezes(server: &Server, site: &Site, libvirt: &Libvirt, vault: &str) {
    let pattern = "FREQ=DAILY;INTERVAL=1;BYHOUR=0;BYMINUTE=0";
    server.verb(&[
        "policy",
        "create",
        "--name",
        "strict",
        "--disabled",
        "--pattern",
        pattern,
    ]);
    server.verb(&["policy", "options", "strict", "--on-failed-freeze", "fail"]);
    server.verb(&["vault", "associate", vault, "strict"]);
    libvirt.virsh(&["suspend", "linux"]);
    let checkpoint = site.api.start_automatic_checkpoint(vault).await;
    assert_eq!(site.api.wait_for_checkpoint(&checkpoint).await, "error");
    let refused = site.api.only_backup_of(&checkpoint).await;
    let refused = site.backup(refused["id"].as_str().unwrap()).await;
    assert_eq!(
        (&refused["status"], consistency(&refused)),
        (&json!("error"), ("1", "0")),
        "{refused}"
    );
    let (_, answer) = site.api.get("/operation-logs?status=failed").await;
    let task = &answer["operation_logs"][0];
    assert_eq!(task["error_info"]["code"], "Strongroom.1028", "{answer}");
    assert!(!libvirt.has_backup("linux"));
    libvirt.virsh(&["resume", "linux"]);
    let checkpoint = site.api.start_automatic_checkpoint(vault).await;
    assert_eq!(site.api.wait_for_checkpoint(&checkpoint).await, "available");
    server.verb(&["vault", "dissociate", vault, "strict"]);
}

/// Requests of a guest that has begun to write files.
const WRITES: u32 = 200;

/// The backup is restored as another domain, which boots from its disks and is backed up in its turn.
async fn becomes_a_new_domain(server: &Server, site: &Site, libvirt: &Libvirt, backup: &Value) {
    libvirt.virsh(&["destroy", "linux", "--graceful"]);
    let (id, uri) = (backup["id"].as_str().unwrap(), libvirt.uri());
    let new = [
        "--name",
        "copy of <linux>",
        "--define",
        "--libvirt-uri",
        &uri,
    ];
    let begun = server.verb(&[&["backup", "restore-new", id][..], &new].concat());
    let task = site.api.wait_for_task(begun["job_id"].as_str().unwrap());
    assert_eq!(task.await["status"], "success");
    let domain = begun["server"]["id"].as_str().unwrap();
    let names = libvirt.virsh(&["list", "--all", "--name"]);
    assert!(names.contains("copy of <linux>"), "{names}");
    let defined = libvirt.virsh(&["dumpxml", domain]);
    assert!(
        defined.contains(begun["folder"].as_str().unwrap()),
        "{defined}"
    );
    libvirt.virsh(&["start", domain]);
    // Its console is not the old one's; before its first process writes files, a Linux writes next to nothing.
    let writes = || {
        let statistics = libvirt.virsh(&["domblkstat", domain, "vda"]);
        let mut lines = statistics.lines();
        let count = lines.find_map(|line| line.strip_prefix("vda wr_req "));
        count.unwrap().trim().parse::<u32>().unwrap()
    };
    until("the new domain writes", || writes() > WRITES).await;
    let vault = site.api.make_vault("server", &[domain]).await;
    let of_new = site.api.back_up(&vault).await;
    let machine = server.verb(&["backup", "machine", &of_new]);
    assert_eq!(machine["machine"]["name"], "copy of <linux>");
    assert_eq!(machine["machine"]["source"], "libvirt");
}

/// Nobody overwrites what runs; once it is off, anybody may.
async fn restored(site: &Site, libvirt: &Libvirt, backup: &Value) {
    let restore = site.restore_of(backup, &site.web, &site.web_disks);
    let path = format!("/backups/{}/restore", backup["id"].as_str().unwrap());
    let (status, answer) = site.api.post(&path, restore.clone()).await;
    assert_eq!(
        (status, &answer["error_code"]),
        (400, &json!("BackupService.2008"))
    );
    libvirt.virsh(&["destroy", "linux", "--graceful"]);
    assert_eq!(site.state().await, ("SHUTOFF".to_owned(), true));
    let (status, answer) = site.api.post(&path, restore).await;
    assert_eq!(status, 202, "{answer}");
    let task = site.api.wait_for_task(answer["job_id"].as_str().unwrap());
    assert_eq!(task.await["status"], "success");
    libvirt.virsh(&["start", "linux"]);
}
