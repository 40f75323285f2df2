//! A backup that another project restores, from the owner's own repository, with verbs alone.

use std::path::Path;

use serde_json::{Value, json};

use crate::disks;
use crate::server::{BINARY, Server};

/// A verb with the credentials of `file`; what it printed, if it succeeded.
fn verb(file: &Path, arguments: &[&str]) -> Option<Value> {
    let output = std::process::Command::new(BINARY)
        .args(arguments)
        .args(["-o", "json", "--credentials", disks::text(file)])
        .output()
        .unwrap();
    let done = output.status.success();
    done.then(|| serde_json::from_slice(&output.stdout).unwrap())
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_receiver_restores_the_owners_backup_and_loses_it_when_it_is_withdrawn() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let receiver = id(&server.verb(&["project", "create", "--name", "receiver"])["project"]);
    let mut credentials = server.credentials();
    credentials["project_id"] = json!(receiver);
    let file = folder.path().join("receiver.json");
    std::fs::write(&file, credentials.to_string()).unwrap();
    let theirs = |arguments: &[&str]| verb(&file, arguments).unwrap();

    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    disks::random(&source, 4 << 20, 5);
    disks::random(&target, 4 << 20, 6);
    let place = disks::text(&source);
    server.verb(&["volume", "add", "--name", "data", "--path", place]);
    let vault = ["--object-type", "disk", "--size", "10"];
    server.verb(&[&["vault", "create", "--name", "daily"], &vault[..]].concat());
    server.verb(&["vault", "add", "daily", "data"]);
    server.verb(&["checkpoint", "create", "daily", "--wait"]);
    let backup = id(&server.verb(&["backup", "list"])["backups"][0]);

    server.verb(&["backup", "share", &backup, "--project", &receiver]);
    let place = disks::text(&target);
    let disk = id(&theirs(&["volume", "add", "--name", "copy", "--path", place])["volume"]);
    let taken =
        id(&theirs(&[&["vault", "create", "--name", "taken"], &vault[..]].concat())["vault"]);
    theirs(&["backup", "accept", &backup, "--vault", &taken]);
    let shared = theirs(&["backup", "list", "--shared"]);
    assert_eq!(shared["backups"][0]["vault_id"], json!(taken));
    let restore = ["backup", "restore", &backup, "--volume", &disk, "--wait"];
    theirs(&restore);
    assert!(disks::same(&source, &target));

    server.verb(&["backup", "unshare", &backup, "--project", &receiver]);
    assert_eq!(verb(&file, &restore), None);
    let used = &theirs(&["vault", "show", &taken])["vault"]["billing"]["used"];
    assert_eq!(used, 0);
    let audit = server.verb(&["audit", "list", "--action", "deleteBackupMember"]);
    assert_eq!(audit["records"][0]["source"], "127.0.0.1");
    assert_eq!(audit["records"][0]["resource_id"], json!(backup));
}
