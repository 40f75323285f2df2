//! Repositories in a bucket: `repo` and `serve` on `s3://`, with a network that fails.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
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

/// Every verb of `repo` but `init`, which the others need, in an order in which each has something to do.
fn answers_of_all_verbs(repo: &Repo) -> Vec<Value> {
    let disk = repo.path("disk.raw");
    disks::random(&disk, 3 << 20, 7);
    let backup = repo.json("backup", &[disks::text(&disk)]);
    let point = backup["point"].as_str().unwrap().to_owned();
    let target = repo.path("target.raw");
    let restore = [point.as_str(), "--to", disks::text(&target)];
    let mut scrub = Command::new(BINARY);
    scrub.args(["repo", "scrub", "-o", "json", "--limit-rate", "1000"]);
    scrub.arg(&repo.place).envs(&repo.variables);
    let mut rotate = Command::new(BINARY);
    rotate.args(["repo", "key", "rotate", "-o", "json", "--key-file"]);
    rotate.arg(repo.path("key")).arg(&repo.place);
    let by_hand = [scrub, rotate].map(|mut command| {
        let output = command.envs(&repo.variables).output().unwrap();
        assert!(output.status.success(), "{command:?}: {output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    });
    let mut answers = vec![
        backup,
        repo.json("list", &[]),
        repo.json("restore", &restore),
    ];
    answers.extend(by_hand);
    answers.extend([
        repo.json("verify", &[]),
        repo.json("verify", &["--read-data"]),
        repo.json("repair", &["--dry-run"]),
        repo.json("repair", &[]),
        repo.json("forget", &[&point]),
        repo.json("gc", &["--dry-run"]),
        repo.json("gc", &[]),
    ]);
    answers
}

#[test]
fn every_command_says_how_many_requests_it_made() {
    let Some(server) = s3_server() else { return };
    let bucket = Repo::uninitialised_in(server, &server.endpoint());
    let made = bucket.json("init", &[]);
    for answer in [made].into_iter().chain(answers_of_all_verbs(&bucket)) {
        let requests = answer["requests"]
            .as_object()
            .unwrap_or_else(|| panic!("{answer}"));
        let of = |kind: &str| requests[kind].as_u64().unwrap();
        assert!(of("put") + of("get") + of("list") > 0, "{answer}");
    }
    for answer in answers_of_all_verbs(&Repo::init()) {
        assert_eq!(answer.get("requests"), None, "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrub_is_as_patient_as_it_is_told() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let bucket = Repo::init_in(server, proxy.endpoint());
    proxy.fail(ProxyFault::Answer(503));
    let scrub = |flags: &[&str]| {
        let mut command = Command::new(BINARY);
        command.args(["repo", "scrub"]).args(flags);
        command.arg(&bucket.place).envs(&bucket.variables);
        command
    };
    let mut by_variable = scrub(&[]);
    by_variable.env("STRONGROOM_S3_PATIENCE", "1");
    for mut command in [scrub(IMPATIENT), by_variable] {
        let failed = command.output().unwrap();
        let message = String::from_utf8_lossy(&failed.stderr).into_owned();
        let (_, within) = message.split_once("attempts failed within ").unwrap();
        let seconds: u64 = within.split(' ').next().unwrap().parse().unwrap();
        assert!(seconds <= 2, "{message}");
    }
}

/// A service whose repositories lie in a bucket.
fn serve(bucket: &Repo, data_dir: &Path) -> Server {
    serve_for(bucket, data_dir, "30")
}

/// A service that waits so many seconds for its bucket.
fn serve_for(bucket: &Repo, data_dir: &Path, patience: &str) -> Server {
    let mut command = Command::new(BINARY);
    command
        .env("STRONGROOM__STORAGE", &bucket.place)
        .env("STRONGROOM__S3__PATIENCE_SECONDS", patience)
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_whose_bucket_is_away_too_long_is_tried_again_until_it_is_back() {
    let Some(s3) = s3_server() else { return };
    let proxy = FaultProxy::start(&s3.endpoint()).await;
    let bucket = Repo::uninitialised_in(s3, proxy.endpoint());
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk.raw");
    disks::random(&disk, 8 << 20, 31);
    let server = serve_for(&bucket, &folder.path().join("data"), "1");
    let api = Api::sign_in(&server).await;
    let volume = server.verb(&["volume", "add", "--name", "d", "--path", disks::text(&disk)]);
    let volume = volume["volume"]["id"].as_str().unwrap().to_owned();
    let vault = api.make_vault("disk", &[&volume]).await;
    let tried_again = |server: &Server| server.log().matches("job will be tried again").count();
    for fault in [
        // Nothing goes through, and then everything but packs: the job is in the middle of its work.
        ProxyFault::Refuse,
        ProxyFault::CutRequest(1 << 20),
    ] {
        let before = tried_again(&server);
        proxy.fail(fault);
        let checkpoint = api.start_checkpoint(&vault).await;
        let path = format!("/checkpoints/{checkpoint}");
        api.wait_for(&path, |_, answer| {
            assert_eq!(answer["checkpoint"]["status"], "protecting", "{fault:?}");
            (tried_again(&server) >= before + 2).then_some(())
        })
        .await;
        proxy.heal();
        let status = api.wait_for_checkpoint(&checkpoint).await;
        assert_eq!(status, "available", "{fault:?}");
        let content = disks::hash(&disk);
        let backup = api.only_backup_of(&checkpoint).await;
        let backup = backup["id"].as_str().unwrap();
        disks::damage_raw(&disk);
        let order = json!({ "restore": { "volume_id": volume } });
        let (_, answer) = api.post(&format!("/backups/{backup}/restore"), order).await;
        let task = api.wait_for_task(answer["job_id"].as_str().unwrap()).await;
        assert_eq!(task["status"], "success", "{fault:?}: {task}");
        assert_eq!(disks::hash(&disk), content, "{fault:?}");
        // All of it is new to the next one.
        std::fs::remove_file(&disk).unwrap();
        disks::random(&disk, 8 << 20, 32);
    }
}
