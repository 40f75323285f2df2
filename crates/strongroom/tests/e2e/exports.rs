//! Disks behind NBD servers: `qemu-nbd` serves them, Strongroom backs them up and restores them.

use std::path::Path;

use serde_json::json;
use strongroom_testkit::{Authority, NbdPeer};

use crate::api::{Api, refusal};
use crate::disks;
use crate::repo::Repo;
use crate::server::Server;

#[tokio::test]
async fn an_export_in_the_inventory_is_backed_up_and_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (raw, image) = (
        folder.path().join("disk.raw"),
        folder.path().join("disk.qcow2"),
    );
    disks::random(&raw, 8 << 20, 11);
    disks::to_qcow2(&raw, &image);
    let arguments = ["-f", "qcow2", "-x", "disk", "disk.qcow2"];
    let mut peer = NbdPeer::qemu(folder.path(), &arguments);
    let uri = peer.uri("disk");

    let server = Server::start();
    let api = Api::sign_in(&server).await;
    let answer = server.verb(&["volume", "add", "--name", "export", "--path", &uri]);
    let volume = &answer["volume"];
    assert_eq!(
        (&volume["format"], &volume["size_bytes"], &volume["path"]),
        (&json!("raw"), &json!(8 << 20), &json!(uri))
    );
    let volume = volume["id"].as_str().unwrap();
    let vault = api.make_vault("disk", &[volume]).await;
    let backup = api.back_up(&vault).await;

    let spoil = ["-f", "raw", "-c", "write -P 3 1M 5M", &uri];
    disks::run("qemu-io", &spoil);
    let body = json!({ "restore": { "volume_id": volume } });
    let (status, answer) = api.post(&format!("/backups/{backup}/restore"), body).await;
    assert_eq!(status, 202, "{answer}");
    let task = api.wait_for_task(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(task["status"], "success", "{task}");
    // What was restored has been flushed.
    peer.kill();
    disks::run(
        "qemu-img",
        &["compare", disks::text(&raw), disks::text(&image)],
    );

    // Nobody serves it any more: that is told, and nothing is guessed.
    let body = json!({ "checkpoint": { "vault_id": vault } });
    let refused = api.post("/checkpoints", body).await;
    assert_eq!(refusal(&refused), (400, "BackupService.0001"));
}

#[test]
fn an_export_goes_into_a_repository_and_out_of_it_onto_another() {
    goes_into_a_repository_and_out_of_it(NbdPeer::qemu);
}

#[test]
fn so_does_one_that_is_reached_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(&folder.path().join("tls"));
    authority.sign_server();
    authority.sign_client();
    goes_into_a_repository_and_out_of_it(|folder, arguments| {
        NbdPeer::qemu_over_tls(folder, &authority, arguments)
    });
}

fn goes_into_a_repository_and_out_of_it(serve: impl Fn(&Path, &[&str]) -> NbdPeer) {
    let repo = Repo::init();
    let folder = tempfile::tempdir().unwrap();
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    disks::random(&source, 6 << 20, 12);
    disks::random(&target, 6 << 20, 13);
    let point = {
        let arguments = ["-r", "-f", "raw", "source"];
        let peer = serve(folder.path(), &arguments);
        repo.json("backup", &[&peer.uri("")])
    };
    let peer = serve(folder.path(), &["-f", "raw", "target"]);
    let uri = peer.uri("");
    let point = point["point"].as_str().unwrap();
    repo.json("restore", &[point, "--to", &uri]);
    assert!(std::fs::read(source).unwrap() == std::fs::read(target).unwrap());
}
