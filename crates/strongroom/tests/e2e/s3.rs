//! Repositories in a bucket: `repo` and `serve` on `s3://`, with a network that fails.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use strongroom_testkit::{FaultProxy, ProxyFault, s3_server};

use crate::api::Api;
use crate::disks;
use crate::repo::Repo;
use crate::server::{BINARY, Server};

const IMPATIENT: &[&str] = &["--s3-patience", "2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_goes_into_a_bucket_and_comes_back_byte_for_byte() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let bucket = Repo::init_in(server, proxy.endpoint());
    let disk = bucket.path("disk.raw");
    disks::random(&disk, 80 << 20, 3);
    proxy.fail_next(3, ProxyFault::LoseAnswer);
    let first = bucket.json("backup", &[disks::text(&disk)]);
    assert!(first["requests"]["repeated"].as_u64() >= Some(3), "{first}");
    let again = bucket.json("backup", &[disks::text(&disk)]);
    assert_eq!(again["bytes_new"], 0);
    assert!(again["requests"]["put"].as_u64() < Some(30), "{again}");
    proxy.fail_next(3, ProxyFault::CutAnswer(200_000));
    let copy = bucket.path("copy.raw");
    let point = first["point"].as_str().unwrap();
    bucket.json("restore", &[point, "--to", disks::text(&copy)]);
    assert!(disks::same(&disk, &copy));
    let report = bucket.json("verify", &["--read-data"]);
    assert_eq!(report["points_checked"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_does_not_answer_is_said_in_a_sentence() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let mut bucket = Repo::init_in(server, proxy.endpoint());
    proxy.fail(ProxyFault::Answer(503));
    let failed = bucket.run("list", IMPATIENT);
    let message = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert_eq!(failed.status.code(), Some(1));
    assert!(message.contains("attempts failed within"), "{message}");
    proxy.heal();
    bucket.json("list", &[]);
    bucket
        .variables
        .insert("AWS_SECRET_ACCESS_KEY", "wrong".to_owned());
    let refused = bucket.run("list", IMPATIENT);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(message.contains("check credentials"), "{message}");
    assert!(!message.contains("wrong"), "{message}");
}

/// A service whose repositories lie in a bucket.
fn serve(bucket: &Repo, data_dir: &Path) -> Server {
    let mut command = Command::new(BINARY);
    command
        .env("STRONGROOM__STORAGE", &bucket.place)
        .env("STRONGROOM__S3__PATIENCE_SECONDS", "30")
        .envs(&bucket.variables);
    Server::start_by(command, data_dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_keeps_its_repositories_in_a_bucket() {
    let Some(s3) = s3_server() else { return };
    let proxy = FaultProxy::start(&s3.endpoint()).await;
    let bucket = Repo::uninitialised_in(s3, proxy.endpoint());
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let disk = folder.path().join("disk.raw");
    disks::random(&disk, 48 << 20, 9);
    let before = disks::hash(&disk);
    let server = serve(&bucket, &data_dir);
    let api = Api::sign_in(&server).await;
    let volume = server.verb(&["volume", "add", "--name", "d", "--path", disks::text(&disk)]);
    let volume = volume["volume"]["id"].as_str().unwrap().to_owned();
    let vault = api.make_vault("disk", &[&volume]).await;
    proxy.fail_next(5, ProxyFault::Answer(500));
    let backup = api.back_up(&vault).await;
    let local = std::fs::read_dir(data_dir.join("repositories")).unwrap();
    assert_eq!(local.count(), 0);

    // Another process finds them again, and restores what was there.
    server.kill();
    let server = serve(&bucket, &data_dir);
    let api = api.at(&server);
    disks::damage_raw(&disk);
    assert_ne!(disks::hash(&disk), before);
    proxy.fail_next(3, ProxyFault::CutAnswer(100_000));
    let order = json!({ "restore": { "volume_id": volume } });
    let (_, answer) = api.post(&format!("/backups/{backup}/restore"), order).await;
    let task = api.wait_for_task(answer["job_id"].as_str().unwrap()).await;
    assert_eq!(task["status"], "success", "{task}");
    assert_eq!(disks::hash(&disk), before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_starts_while_its_bucket_is_away() {
    let Some(s3) = s3_server() else { return };
    let proxy = FaultProxy::start(&s3.endpoint()).await;
    let bucket = Repo::uninitialised_in(s3, proxy.endpoint());
    let folder = tempfile::tempdir().unwrap();
    proxy.fail(ProxyFault::Refuse);
    let server = serve(&bucket, &folder.path().join("data"));
    assert!(server.log().contains("the storage does not answer yet"));
}
