//! Clients that this project did not write, unmodified, in the private Python environment of `cargo xtask setup`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::disks;
use crate::replicate::pair;
use crate::server::Server;

/// The Python with the clients; where it is missing, the tests fail rather than pass in silence.
pub(crate) fn python() -> PathBuf {
    let python = std::env::var_os("STRONGROOM_TEST_PYTHON");
    python
        .expect("STRONGROOM_TEST_PYTHON is not set: run the tests with `cargo xtask test`")
        .into()
}

/// A Python with Cloud Custodian, whose requirements contradict those of the other clients.
fn custodian() -> PathBuf {
    let python = std::env::var_os("STRONGROOM_TEST_CUSTODIAN");
    python
        .expect("STRONGROOM_TEST_CUSTODIAN is not set: run the tests with `cargo xtask test`")
        .into()
}

/// Returns what the script said.
pub(crate) fn walk(server: &Server, script: &str, arguments: &[&str]) -> String {
    walk_with(python(), server, script, arguments)
}

fn walk_with(python: PathBuf, server: &Server, script: &str, arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/clients")
        .join(script);
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(python)
        .arg(&script)
        .arg(server.credentials_path())
        .args(arguments)
        .env("HOME", home.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .current_dir(home.path())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    println!("{out}");
    assert!(output.status.success(), "{}: {out}{err}", script.display());
    out.into_owned()
}

/// A server with a qcow2 and a raw disk, and a volume of its own, in the inventory.
struct Stage {
    folder: tempfile::TempDir,
    server: Server,
    machine: String,
    volume: String,
    volume_path: PathBuf,
}

fn stage() -> Stage {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start();
    let machine = add_machine(&server, folder.path());
    let volume_path = folder.path().join("volume.raw");
    disks::random(&volume_path, 4 << 20, 3);
    let volume = add_volume(&server, "data-volume", &volume_path);
    Stage {
        folder,
        server,
        machine,
        volume,
        volume_path,
    }
}

/// A server with a qcow2 and a raw disk in `folder`.
fn add_machine(server: &Server, folder: &Path) -> String {
    let file = |name: &str| folder.join(name);
    disks::random(&file("system.raw"), 8 << 20, 1);
    disks::to_qcow2(&file("system.raw"), &file("system.qcow2"));
    disks::random(&file("data.raw"), 4 << 20, 2);
    let (system, data) = (file("system.qcow2"), file("data.raw"));
    let added = server.verb(&[
        "server",
        "add",
        "--name",
        "ecs-9f93-0002",
        "--disk",
        disks::text(&system),
        "--disk",
        disks::text(&data),
    ]);
    added["server"]["id"].as_str().unwrap().to_owned()
}

fn add_volume(server: &Server, name: &str, path: &Path) -> String {
    let path = disks::text(path);
    let added = server.verb(&["volume", "add", "--name", name, "--path", path]);
    added["volume"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn the_official_python_sdk_walks_from_vault_to_restore() {
    let stage = stage();
    let path = disks::text(&stage.volume_path);
    walk(
        &stage.server,
        "sdk_walk.py",
        &[
            "--server",
            &stage.machine,
            "--volume",
            &stage.volume,
            "--volume-path",
            path,
        ],
    );
}

/// Another installation takes copies, and what it has written is there to be imported.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_official_python_sdk_does_each_of_its_operations() {
    let folder = tempfile::tempdir().unwrap();
    let (mut here, there) = pair(folder.path()).await;
    let disk = there.folder.join("disk.raw");
    disks::random(&disk, 4 << 20, 5);
    let volume = add_volume(there.server(), "disk", &disk);
    let vault = there.api().make_vault("disk", &[&volume]).await;
    let backup = there.api().back_up(&vault).await;
    here.restart_with_unit("site-b", &there).await;
    let machine = add_machine(here.server(), &here.folder);
    let peer = there.server().credentials_path();
    walk(
        here.server(),
        "sdk_all.py",
        &[
            "--server",
            &machine,
            "--unit",
            "site-b",
            "--unit-backup",
            &backup,
            "--unit-resource",
            &volume,
            "--peer",
            disks::text(&peer),
        ],
    );
}

#[test]
fn the_sdk_finds_its_project_by_the_region() {
    walk(&stage().server, "sdk_region.py", &[]);
}

#[test]
fn the_openstack_client_walks_its_commands() {
    let stage = stage();
    walk(
        &stage.server,
        "openstack_walk.py",
        &["--server", &stage.machine, "--volume", &stage.volume],
    );
}

#[test]
fn answers_have_the_keys_and_types_of_recorded_ones() {
    let stage = stage();
    walk(
        &stage.server,
        "shapes.py",
        &["--server", &stage.machine, "--volume", &stage.volume],
    );
}

#[test]
fn the_functional_tests_inside_otcextensions_pass() {
    walk(&Server::start(), "otc_functional.py", &[]);
}

#[test]
fn terraforms_requests_get_the_answers_that_its_providers_insist_on() {
    let stage = stage();
    let path = stage.folder.path().join("second.raw");
    disks::random(&path, 4 << 20, 4);
    let second = add_volume(&stage.server, "second-volume", &path);
    walk(
        &stage.server,
        "terraform_replay.py",
        &[
            "--server",
            &stage.machine,
            "--volume",
            &stage.volume,
            "--second-volume",
            &second,
        ],
    );
}

#[test]
fn cloud_custodian_finds_what_breaks_the_rules() {
    let stage = stage();
    walk_with(
        custodian(),
        &stage.server,
        "custodian_walk.py",
        &["--volume", &stage.volume],
    );
}

#[test]
fn the_server_keeps_what_its_openapi_document_promises() {
    walk(&Server::start(), "openapi_probe.py", &[]);
}
