//! Backups of a machine that boots, of one that has lost its boot sector, and of one without its first process and with a
//! file system that is damaged: proofs tell them apart, and outlive the service.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_testkit::QemuMachine;

use crate::api::{Api, refusal};
use crate::disks::{run, text};
use crate::server::{BINARY, Server};

const PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 1200;
const SECTOR_BYTES: usize = 512;

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_tells_a_backup_that_boots_from_those_that_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disks) = disks(folder.path()) else {
        return;
    };
    let server = start(folder.path());
    let api = Api::sign_in(&server).await;
    let resources = disks.map(|(name, disk)| add(&server, name, &disk));
    let ids = resources.each_ref().map(String::as_str);
    let vault = api.make_vault("server", &ids).await;
    let checkpoint = api.start_checkpoint(&vault).await;
    assert_eq!(api.wait_for_checkpoint(&checkpoint).await, "available");
    let (_, answer) = api
        .get(&format!("/backups?checkpoint_id={checkpoint}"))
        .await;
    let backups = resources
        .each_ref()
        .map(|resource| backup_of(&answer, resource));
    let [boots, no_boot_sector, no_init] = &backups;

    // Killed while file systems are looked through, and while the machine runs: the next start begins anew.
    let asked = server.verb(&["backup", "prove", boots]);
    let again = api.post(&proofs(&api, boots), json!({})).await;
    assert_eq!(refusal(&again), (409, "Strongroom.1021"));
    let scratch = folder.path().join("data/scratch");
    let place = scratch.join(format!("prove-{}", id(&asked["proof"])));
    let mut server = server;
    for stage in ["ready", "monitor"] {
        until(stage, || place.join(stage).exists()).await;
        server.kill();
        until("all have ended", || programs_in(&scratch) == 0).await;
        server = start(folder.path());
    }
    let api = api.at(&server);
    let path = format!("{}/{}", proofs(&api, boots), id(&asked["proof"]));
    let proof = api.wait_for(&path, ended).await;
    assert_eq!(state_of_file_system(&proof), "clean");
    assert_eq!(
        (&proof["state"], &proof["verdict"]),
        (&json!("done"), &json!("boots")),
        "{proof}"
    );

    let reasons = [no_boot_sector, no_init].map(|backup| {
        let output = server.try_verb(&["backup", "prove", backup, "--wait"]);
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    });
    assert!(
        reasons[0].contains("does not boot: its firmware found nothing"),
        "{reasons:?}"
    );
    assert!(
        reasons[1].contains("does not boot: it said `Kernel panic"),
        "{reasons:?}"
    );

    is_kept(&server, no_init, folder.path());
    let servers = server.verb(&["server", "list"]);
    for server in servers["servers"].as_array().unwrap() {
        assert_eq!(
            server["proven_at"].is_string(),
            server["name"] == "boots",
            "{server}"
        );
    }
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    server.repositories_are_clean();
}

/// The proof of a machine whose kernel panicked, as people look it up.
fn is_kept(server: &Server, backup: &str, folder: &Path) {
    let listed = server.verb(&["backup", "proofs", backup]);
    assert_eq!(listed["count"], 1);
    assert_eq!(state_of_file_system(&listed["proofs"][0]), "damaged");
    assert_eq!(listed["proofs"][0]["verdict"], "does_not_boot");
    let picture = folder.join("screen.png");
    let proof = id(&listed["proofs"][0]);
    let shown = server.verb(&["backup", "proof", backup, proof, "--screen", text(&picture)]);
    let console = shown["proof"]["console"].as_str().unwrap();
    assert!(console.contains("Attempted to kill init!"), "{console}");
    assert!(fs::read(&picture).unwrap().starts_with(b"\x89PNG"));
}

/// A first sector that takes over and says nothing: `cli; hlt; jmp $-1`.
const SILENT: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd];
/// One that resets the machine by its keyboard's controller: `mov al, 0xfe; out 0x64, al; hlt`.
const RESETTING: [u8; 5] = [0xb0, 0xfe, 0xe6, 0x64, 0xf4];

#[tokio::test(flavor = "multi_thread")]
async fn of_a_machine_that_shows_nothing_there_is_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    if QemuMachine::bare(folder.path()).is_none() {
        return;
    }
    let server = start_impatient(folder.path());
    let api = Api::sign_in(&server).await;
    let agent: &[&str] = &["--guest-agent", "/run/agent.sock"];
    for (name, code, flags, verdict) in [
        ("silent", &SILENT[..], &[][..], "unknown"),
        ("with-agent", &SILENT, agent, "does_not_boot"),
        ("resetting", &RESETTING, &[], "does_not_boot"),
    ] {
        let disk = folder.path().join(name);
        bootable(&disk, code);
        let words = ["server", "add", "--name", name, "--disk", text(&disk)];
        let added = server.verb(&[&words, flags].concat());
        let vault = api.make_vault("server", &[id(&added["server"])]).await;
        let backup = api.back_up(&vault).await;
        let asked = server.verb(&["backup", "prove", &backup]);
        let path = format!("{}/{}", proofs(&api, &backup), id(&asked["proof"]));
        let proof = api.wait_for(&path, ended).await;
        assert_eq!(proof["verdict"], verdict, "{proof}");
        assert_eq!(
            (&proof["has_screen"], &proof["console"]),
            (&json!(true), &json!(""))
        );
        assert_eq!(proof["accelerator"], "tcg");
        let reason = proof["reason"].as_str().unwrap();
        assert_eq!(
            reason.contains("reset itself"),
            name == "resetting",
            "{reason}"
        );
    }
}

/// Killed as soon as the backup is there: its proof is there with it, and is done once.
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_has_its_backups_proven() {
    let folder = tempfile::tempdir().unwrap();
    if QemuMachine::bare(folder.path()).is_none() {
        return;
    }
    let disk = folder.path().join("silent");
    bootable(&disk, &SILENT);
    let server = start_impatient(folder.path());
    let api = Api::sign_in(&server).await;
    let resource = add(&server, "silent", &disk);
    let vault = api.make_vault("server", &[&resource]).await;
    let pattern = "FREQ=DAILY;INTERVAL=1;BYHOUR=0;BYMINUTE=0";
    server.verb(&[
        "policy",
        "create",
        "--name",
        "daily",
        "--disabled",
        "--pattern",
        pattern,
    ]);
    server.verb(&["policy", "options", "daily", "--prove-every-days", "7"]);
    server.verb(&["vault", "associate", &vault, "daily"]);
    let checkpoint = api.start_automatic_checkpoint(&vault).await;
    assert_eq!(api.wait_for_checkpoint(&checkpoint).await, "available");
    server.kill();
    let server = start_impatient(folder.path());
    let api = api.at(&server);
    let backup = api.only_backup_of(&checkpoint).await;
    let all = proofs(&api, id(&backup));
    let first = |status: u16, answer: &Value| {
        assert_eq!(status, 200, "{answer}");
        let proof = &answer["proofs"][0];
        proof["ended_at"].is_string().then(|| answer.clone())
    };
    let answer = api.wait_for(&all, first).await;
    assert_eq!(
        (&answer["count"], &answer["proofs"][0]["verdict"]),
        (&json!(1), &json!("unknown"))
    );

    // Its turn is in a week.
    let checkpoint = api.start_automatic_checkpoint(&vault).await;
    assert_eq!(api.wait_for_checkpoint(&checkpoint).await, "available");
    let backup = api.only_backup_of(&checkpoint).await;
    let (_, answer) = api.get(&proofs(&api, id(&backup))).await;
    assert_eq!(answer["count"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_uefi_boots_is_proven_with_firmware_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("boots");
    if !QemuMachine::uefi_disk(&disk) {
        return;
    }
    let server = start(folder.path());
    let api = Api::sign_in(&server).await;
    let resource = add(&server, "boots", &disk);
    let vault = api.make_vault("server", &[&resource]).await;
    let backup = api.back_up(&vault).await;
    server.verb(&["backup", "prove", &backup, "--wait"]);
    let listed = server.verb(&["backup", "proofs", &backup]);
    assert_eq!(listed["proofs"][0]["verdict"], "boots");
    assert_eq!(state_of_file_system(&listed["proofs"][0]), "clean");

    // What boots it lies elsewhere, where the machine's own variables may lead.
    empty_of_uefi(&disk);
    let backup = api.back_up(&vault).await;
    let told = is_unknown(&server, &backup);
    assert!(told.contains("nothing in the default place"), "{told}");
}

/// Other firmware would run whatever lies in the first sector of such a disk.
#[tokio::test(flavor = "multi_thread")]
async fn without_firmware_no_machine_is_run_from_a_disk_that_uefi_boots() {
    let folder = tempfile::tempdir().unwrap();
    if QemuMachine::bare(folder.path()).is_none() {
        return;
    }
    let disk = folder.path().join("uefi");
    empty_of_uefi(&disk);
    let mut command = Command::new(BINARY);
    command.env("STRONGROOM__WORKER__PROVE__UEFI_CODE", "/nowhere");
    let server = Server::start_by(command, &folder.path().join("data"));
    let api = Api::sign_in(&server).await;
    let resource = add(&server, "uefi", &disk);
    let vault = api.make_vault("server", &[&resource]).await;
    let backup = api.back_up(&vault).await;
    let told = is_unknown(&server, &backup);
    assert!(
        told.contains("this host has no firmware for that"),
        "{told}"
    );
}

/// A disk with a partition that UEFI's firmware reads by its table, and finds nothing in.
fn empty_of_uefi(disk: &Path) {
    const EFI_SYSTEM: &[u8; 16] =
        b"\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\x00\xa0\xc9\x3e\xc9\x3b";
    let mut content = vec![0; 1 << 20];
    content[SECTOR_BYTES..SECTOR_BYTES + 8].copy_from_slice(b"EFI PART");
    for (at, value) in [(72, 2), (80, 1), (84, 128)] {
        content[SECTOR_BYTES + at] = value;
    }
    content[2 * SECTOR_BYTES..2 * SECTOR_BYTES + 16].copy_from_slice(EFI_SYSTEM);
    fs::write(disk, content).unwrap();
}

/// What is told of a backup whose proof tells nothing.
fn is_unknown(server: &Server, backup: &str) -> String {
    let output = server.try_verb(&["backup", "prove", backup, "--wait"]);
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("is unknown: "), "{told}");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_emulator_a_proof_fails_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("empty.raw");
    fs::File::create(&disk).unwrap().set_len(1 << 20).unwrap();
    let mut command = Command::new(BINARY);
    command.env("STRONGROOM__WORKER__PROVE__EMULATOR", "no-such-emulator");
    let server = Server::start_by(command, &folder.path().join("data"));
    let api = Api::sign_in(&server).await;
    let resource = add(&server, "empty", &disk);
    let vault = api.make_vault("server", &[&resource]).await;
    let backup = api.back_up(&vault).await;
    let output = server.try_verb(&["backup", "prove", &backup, "--wait"]);
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("no-such-emulator is not installed on this host"),
        "{told}"
    );
    let again = server.verb(&["backup", "prove", &backup]);
    assert_eq!(again["proof"]["verdict"], Value::Null);
}

/// The names of the servers, and their disks.
fn disks(folder: &Path) -> Option<[(&'static str, PathBuf); 3]> {
    let [boots, no_boot_sector, no_init] =
        ["boots", "no-boot-sector", "no-init"].map(|name| (name, folder.join(name)));
    for (_, disk) in [&boots, &no_boot_sector, &no_init] {
        if !QemuMachine::bootable_disk(disk) {
            return None;
        }
    }
    let file = fs::OpenOptions::new().write(true).open(&no_boot_sector.1);
    file.unwrap().write_all_at(&[0; SECTOR_BYTES], 0).unwrap();
    let partition = format!("{}?offset={}", no_init.1.display(), 1 << 20);
    run("/usr/sbin/debugfs", &["-w", "-R", "clri /sbin", &partition]);
    Some([boots, no_boot_sector, no_init])
}

/// Machines of a size that leaves room for others, the same wherever the tests run.
fn start(folder: &Path) -> Server {
    let mut command = Command::new(BINARY);
    command.env("STRONGROOM__WORKER__PROVE__ACCELERATOR", "tcg");
    command.env("STRONGROOM__WORKER__PROVE__MEMORY_MIB", "384");
    command.env("STRONGROOM__WORKER__PROVE__TIME_LIMIT_SECONDS", "120");
    Server::start_by(command, &folder.join("data"))
}

/// For machines of which nothing is to come.
fn start_impatient(folder: &Path) -> Server {
    let mut command = Command::new(BINARY);
    command.env("STRONGROOM__WORKER__PROVE__ACCELERATOR", "tcg");
    command.env("STRONGROOM__WORKER__PROVE__MEMORY_MIB", "64");
    command.env("STRONGROOM__WORKER__PROVE__TIME_LIMIT_SECONDS", "3");
    Server::start_by(command, &folder.join("data"))
}

/// A disk whose first sector has this code.
fn bootable(disk: &Path, code: &[u8]) {
    let mut content = vec![0; 1 << 20];
    content[..code.len()].copy_from_slice(code);
    content[SECTOR_BYTES - 2..SECTOR_BYTES].copy_from_slice(&[0x55, 0xaa]);
    fs::write(disk, content).unwrap();
}

fn add(server: &Server, name: &str, disk: &Path) -> String {
    let answer = server.verb(&["server", "add", "--name", name, "--disk", text(disk)]);
    id(&answer["server"]).to_owned()
}

fn id(thing: &Value) -> &str {
    thing["id"].as_str().unwrap_or_else(|| panic!("{thing}"))
}

/// Of the one on each disk, in its only partition.
fn state_of_file_system(proof: &Value) -> &str {
    let [found] = proof["file_systems"].as_array().unwrap().as_slice() else {
        panic!("{proof}");
    };
    assert_eq!(
        (&found["disk"], &found["offset_bytes"]),
        (&json!(0), &json!(1 << 20))
    );
    found["state"].as_str().unwrap()
}

fn backup_of(answer: &Value, resource: &str) -> String {
    let backups = answer["backups"].as_array().unwrap();
    let backup = backups
        .iter()
        .find(|backup| backup["resource_id"] == resource);
    id(backup.unwrap_or_else(|| panic!("{answer}"))).to_owned()
}

fn proofs(api: &Api, backup: &str) -> String {
    format!("//strongroom/v1/{}/backups/{backup}/proofs", api.project)
}

fn ended(status: u16, answer: &Value) -> Option<Value> {
    assert_eq!(status, 200, "{answer}");
    let proof = &answer["proof"];
    (proof["ended_at"].is_string()).then(|| proof.clone())
}

/// Processes that work in folders of this one.
fn programs_in(scratch: &Path) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let folders = processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok());
    folders.filter(|folder| folder.starts_with(scratch)).count()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..ATTEMPTS {
        if is_so() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    panic!("it did not come to this: {what}");
}
