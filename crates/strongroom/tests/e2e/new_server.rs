//! A server that runs is backed up and comes back as another one, which is started by the file that lies beside its disks.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use strongroom_testkit::QemuMachine;

use crate::api::Api;
use crate::disks::{random, run, text, to_qcow2};
use crate::live::until;
use crate::server::{BINARY, Server};

const DATA_DISK: usize = 16 << 20;
const WORDS: &str = "login:";

/// A QEMU, killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// It does not run yet, so that its disks stay as they are.
fn start_source(folder: &Path) -> Running {
    let place = folder.display();
    let arguments = format!(
        "-S -M q35 -m 384 -smp 2 -accel tcg -nodefaults -display none -name web \
         -qmp unix:{place}/web.qmp,server=on,wait=off -nic user,model=e1000,restrict=on \
         -blockdev driver=qcow2,node-name=boot,file.driver=file,file.filename={place}/boot.qcow2 \
         -device virtio-blk-pci,drive=boot,bootindex=0 \
         -blockdev driver=raw,node-name=data,file.driver=file,file.filename={place}/data.raw \
         -device virtio-scsi-pci -device scsi-hd,drive=data,serial=D4TA"
    );
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
    command.args(arguments.split_whitespace());
    Running(command.stdin(Stdio::null()).spawn().unwrap())
}

fn start(folder: &Path) -> Server {
    let mut command = Command::new(BINARY);
    command.env("STRONGROOM__WORKER__NEW_SERVERS_DIR", folder.join("new"));
    Server::start_by(command, &folder.join("data"))
}

fn is_same(one: &Path, format: &str, other: &Path) {
    let formats = ["compare", "-f", format, "-F", "qcow2"];
    run(
        "qemu-img",
        &[&formats[..], &[text(one), text(other)]].concat(),
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_server_comes_back_as_a_new_one_that_boots() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    if !QemuMachine::bootable_disk(&at("boot.raw")) {
        return;
    }
    to_qcow2(&at("boot.raw"), &at("boot.qcow2"));
    random(&at("data.raw"), DATA_DISK, 1);
    let source = start_source(folder.path());
    until("the machine has a monitor", || at("web.qmp").exists()).await;

    let server = start(folder.path());
    let api = Api::sign_in(&server).await;
    let (boot, data, monitor) = (at("boot.qcow2"), at("data.raw"), at("web.qmp"));
    let words = ["server", "add", "--name", "web", "--qmp", text(&monitor)];
    let disks = ["--disk", text(&boot), "--disk", text(&data)];
    let added = server.verb(&[&words[..], &disks].concat());
    let web = added["server"]["id"].as_str().unwrap();
    let vault = api.make_vault("server", &[web]).await;
    let backup = api.back_up(&vault).await;
    let shown = server.verb(&["backup", "machine", &backup]);
    is_recorded(&shown["machine"]);
    prints_definitions(&server, &backup, &shown["machine"]["disks"]);
    drop(source);
    // What is off is as it was when it last said so.
    let off = api.back_up(&vault).await;
    assert_eq!(server.verb(&["backup", "machine", &off]), shown);

    // Killed while it is restored, it goes on.
    let begun = server.verb(&["backup", "restore-new", &backup, "--name", "it's web"]);
    let new = PathBuf::from(begun["folder"].as_str().unwrap());
    let first = new.join("disk-0.qcow2");
    until("the first image is there", || first.exists()).await;
    server.kill();
    let server = start(folder.path());
    let api = api.at(&server);
    let task = api.wait_for_task(begun["job_id"].as_str().unwrap()).await;
    assert_eq!(task["status"], "success", "{task}");
    is_same(&boot, "qcow2", &first);
    is_same(&data, "raw", &new.join("disk-1.qcow2"));

    let _machine = boots(&new, &at("console")).await;
    // It is a server like any other: it runs, and is backed up while it does.
    let id = begun["server"]["id"].as_str().unwrap();
    let path = format!("/protectables/server/instances/{id}");
    let (_, answer) = api.get(&path).await;
    assert_eq!(answer["instance"]["status"], "ACTIVE", "{answer}");
    let vault = api.make_vault("server", &[id]).await;
    let of_new = api.back_up(&vault).await;
    let again = server.verb(&["backup", "machine", &of_new]);
    is_like(&again["machine"], &shown["machine"]);
    server.repositories_are_clean();
}

fn is_recorded(machine: &Value) {
    let found = ["cpus", "memory_mib", "firmware"].map(|what| &machine[what]);
    assert_eq!(found, [&json!(2), &json!(384), &json!("bios")], "{machine}");
    assert_eq!(machine["disks"][1]["serial"], "D4TA");
    assert_eq!(machine["network_cards"][0]["model"], "e1000");
}

/// Runs the script beside the images, until the guest says so.
async fn boots(new: &Path, console: &Path) -> Running {
    let mut script = Command::new(new.join("machine.sh"));
    // Where tests run, KVM may be there and take hours.
    script.env("ACCELERATOR", "tcg");
    script.args(["-display", "none", "-sandbox", "on"]);
    script.stdout(File::create(console).unwrap());
    let machine = Running(script.stdin(Stdio::null()).spawn().unwrap());
    let said = || String::from_utf8_lossy(&fs::read(console).unwrap()).into_owned();
    until("the new machine has booted", || said().contains(WORDS)).await;
    machine
}

/// The same machine, and yet another one.
fn is_like(new: &Value, old: &Value) {
    for what in ["cpus", "memory_mib", "machine_type", "firmware"] {
        assert_eq!(new[what], old[what]);
    }
    assert_eq!(new["name"], "it's web");
    let model = |machine: &Value| machine["network_cards"][0]["model"].clone();
    assert_eq!(model(new), model(old));
    assert_ne!(new["network_cards"], old["network_cards"]);
    assert_eq!(new["disks"][1]["serial"], "D4TA");
}

/// For copies of its disks that lie somewhere.
fn prints_definitions(server: &Server, backup: &str, disks: &Value) {
    let disk = format!(
        "{}=/copies/it's.qcow2",
        disks[0]["resource_id"].as_str().unwrap()
    );
    let print = |kind: &str, more: &[&str]| {
        let words = ["backup", "machine", backup, "--as", kind];
        let output = server.try_verb(&[&words[..], more].concat());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (_, script, _) = print("qemu", &["--disk", &disk]);
    assert!(
        script.contains("-m '384'") && script.contains(r"/copies/it'\''s.qcow2"),
        "{script}"
    );
    assert!(!script.contains("D4TA"), "{script}");
    let (_, domain, _) = print("libvirt", &["--disk", &disk, "--name", "other"]);
    assert!(domain.contains("<name>other</name>"), "{domain}");
    assert!(domain.contains("/copies/it&apos;s.qcow2"), "{domain}");
    let (is_printed, _, told) = print("qemu", &[]);
    assert!(!is_printed && told.contains("--disk"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_folder_for_them_no_server_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.raw");
    File::create(&disk).unwrap().set_len(1 << 20).unwrap();
    let server = Server::start_in(&folder.path().join("data"));
    let api = Api::sign_in(&server).await;
    let added = server.verb(&["server", "add", "--name", "web", "--disk", text(&disk)]);
    let web = added["server"]["id"].as_str().unwrap();
    let vault = api.make_vault("server", &[web]).await;
    let backup = api.back_up(&vault).await;
    let output = server.try_verb(&["backup", "restore-new", &backup, "--name", "web2"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("No folder is configured for new servers"),
        "{told}"
    );
    let output = server.try_verb(&["backup", "machine", &backup]);
    assert!(!output.status.success());
    let servers = server.verb(&["server", "list"]);
    assert_eq!(servers["count"], 1, "{servers}");
}
