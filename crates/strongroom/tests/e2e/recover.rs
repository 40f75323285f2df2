//! The database is gone: `strongroom recover` lists what the repositories hold, and everything is restored from it.
//! The same steps as in docs/recovery.md.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_testkit::s3_server;

use crate::api::Api;
use crate::disks;
use crate::server::{BINARY, Server};

const DISK_BYTES: usize = 6 << 20;

/// A server with two disks that was backed up twice, and a lone disk that was backed up once.
struct Installation {
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
    /// Backup of a disk, the disk's id, its file, and what it must restore to.
    promised: Vec<(String, String, PathBuf, blake3::Hash)>,
    vaults: Vec<String>,
    /// Applied to the first vault.
    policy: Value,
    project: String,
}

impl Installation {
    async fn new(variables: Vec<(&'static str, String)>) -> Self {
        let mut installation = Self {
            folder: tempfile::tempdir().unwrap(),
            variables,
            promised: Vec::new(),
            vaults: Vec::new(),
            policy: Value::Null,
            project: String::new(),
        };
        let mut server = installation.start();
        installation.fill(&server).await;
        assert!(server.stop().success());
        installation
    }

    fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn start(&self) -> Server {
        let mut command = Command::new(BINARY);
        command.envs(self.variables.iter().cloned());
        Server::start_by(command, &self.data_dir())
    }

    fn recovery(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command
            .args(["recover", "-o", "json", "--data-dir"])
            .arg(self.data_dir())
            .args(arguments)
            .envs(self.variables.iter().cloned());
        command
    }

    fn recover(&self, arguments: &[&str]) -> Value {
        let output = self.recovery(arguments).output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn lose_the_database(&self) {
        for suffix in ["", "-wal", "-shm"] {
            let file = self.data_dir().join(format!("strongroom.db{suffix}"));
            drop(std::fs::remove_file(file));
        }
        assert!(!self.data_dir().join("strongroom.db").exists());
    }

    async fn fill(&mut self, server: &Server) {
        let api = Api::sign_in(server).await;
        self.project.clone_from(&api.project);
        let files: Vec<_> = ["system.raw", "data.raw", "lone.raw"]
            .iter()
            .map(|name| self.folder.path().join(name))
            .collect();
        for (seed, file) in files.iter().enumerate() {
            disks::random(file, DISK_BYTES, seed as u64);
        }
        let (system, data) = (disks::text(&files[0]), disks::text(&files[1]));
        let web = server.verb(&[
            "server", "add", "--name", "web", "--disk", system, "--disk", data,
        ]);
        let web = text(&web["server"]["id"]);
        let lone = disks::text(&files[2]);
        let lone = server.verb(&["volume", "add", "--name", "lone", "--path", lone]);
        let lone = text(&lone["volume"]["id"]);
        self.vaults.push(api.make_vault("server", &[&web]).await);
        self.vaults.push(api.make_vault("disk", &[&lone]).await);
        self.policy = apply_policy(&api, &self.vaults[0]).await;
        for round in 0..2 {
            disks::change(&files[0], round);
            let backup = api.back_up(&self.vaults[0]).await;
            self.promise_disks_of(&api, &backup, &files).await;
        }
        let backup = api.back_up(&self.vaults[1]).await;
        let content = disks::hash(&files[2]);
        self.promised
            .push((backup, lone, files[2].clone(), content));
    }

    async fn promise_disks_of(&mut self, api: &Api, backup: &str, files: &[PathBuf]) {
        let (_, answer) = api.get(&format!("/backups/{backup}")).await;
        let children = answer["backup"]["children"].as_array().unwrap();
        assert_eq!(children.len(), 2);
        for child in children {
            let is_system = child["extend_info"]["bootable"] == json!(true);
            let file = &files[usize::from(!is_system)];
            self.promised.push((
                text(&child["id"]),
                text(&child["resource_id"]),
                file.clone(),
                disks::hash(file),
            ));
        }
    }

    /// Every backup comes back onto its disk, whose content is lost before.
    async fn everything_is_restored(&self, server: &Server) {
        let api = Api::sign_in(server).await;
        assert_eq!(
            api.project, self.project,
            "clients find the project by its old id"
        );
        for (backup, volume, file, content) in &self.promised {
            disks::damage_raw(file);
            let body = json!({ "restore": { "volume_id": volume } });
            let (status, answer) = api.post(&format!("/backups/{backup}/restore"), body).await;
            assert_eq!(status, 202, "{answer}");
            let task = api.wait_for_task(answer["job_id"].as_str().unwrap()).await;
            assert_eq!(task["status"], "success", "{task}");
            assert_eq!(disks::hash(file), *content);
        }
        for vault in &self.vaults {
            let (status, answer) = api.get(&format!("/vaults/{vault}")).await;
            assert_eq!(status, 200, "{answer}");
            assert!(
                answer["vault"]["billing"]["used"].as_u64() >= Some(5),
                "{answer}"
            );
            // What was protected is protected again, and the next backup needs no more than what changed.
            api.back_up(vault).await;
        }
        let (_, answer) = api.get("/policies").await;
        assert_eq!(answer["policies"], json!([self.policy]));
    }
}

/// A policy that starts nothing by itself; how it is shown once the vault has it.
async fn apply_policy(api: &Api, vault: &str) -> Value {
    let body = json!({ "policy": {
        "name": "nightly", "operation_type": "backup", "enabled": false,
        "operation_definition": { "max_backups": 7, "week_backups": 4, "timezone": "UTC+02:00" },
        "trigger": { "properties": { "pattern": ["FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=3;BYMINUTE=00"] } },
    } });
    let (status, answer) = api.post("/policies", body).await;
    assert_eq!(status, 200, "{answer}");
    let policy = text(&answer["policy"]["id"]);
    let path = format!("/vaults/{vault}/associatepolicy");
    let (status, answer) = api.post(&path, json!({ "policy_id": policy })).await;
    assert_eq!(status, 200, "{answer}");
    let (_, answer) = api.get(&format!("/policies/{policy}")).await;
    answer["policy"].clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_comes_back_after_the_database_is_lost() {
    let installation = Installation::new(Vec::new()).await;
    installation.lose_the_database();
    let refused = Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(installation.data_dir())
        .output()
        .unwrap();
    assert!(
        said(&refused).contains("strongroom recover"),
        "{}",
        said(&refused)
    );

    let answer = installation.recover(&["--read-data"]);
    assert_eq!(answer[0]["listed"], 3, "{answer}");
    let again = installation.recover(&[]);
    assert_eq!(
        (&again[0]["listed"], &again[0]["known"]),
        (&json!(0), &json!(3))
    );
    let server = installation.start();
    installation.everything_is_restored(&server).await;
    server.repositories_are_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_that_is_killed_half_way_runs_again() {
    let installation = Installation::new(Vec::new()).await;
    installation.lose_the_database();
    let mut cut_off = 0;
    for n in 0..12_u64 {
        let mut process = installation.recovery(&[]).spawn().unwrap();
        tokio::time::sleep(Duration::from_millis(10 + n * 23)).await;
        process.kill().unwrap();
        cut_off += u32::from(!process.wait().unwrap().success());
        if installation.data_dir().join("recovering").exists() {
            let refused = Command::new(BINARY)
                .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
                .arg(installation.data_dir())
                .output()
                .unwrap();
            assert!(
                said(&refused).contains("was not finished"),
                "{}",
                said(&refused)
            );
        }
    }
    assert!(cut_off > 0, "no recovery was cut off");
    installation.recover(&[]);
    let server = installation.start();
    installation.everything_is_restored(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_and_a_key_are_all_that_has_to_be_left() {
    let Some(s3) = s3_server() else { return };
    let mut variables = s3.variables(&s3.endpoint()).to_vec();
    let place = format!("s3://{}/{}", s3.bucket(), s3.fresh_prefix());
    variables.push(("STRONGROOM__STORAGE", place));
    let installation = Installation::new(variables).await;
    let key = format!("{}.key", installation.project);
    let kept = installation.folder.path().join("kept.key");
    std::fs::copy(installation.data_dir().join("keys").join(key), &kept).unwrap();
    std::fs::remove_dir_all(installation.data_dir()).unwrap();

    let refused = installation.recovery(&[]).output().unwrap();
    assert!(
        said(&refused).contains("there is no key"),
        "{}",
        said(&refused)
    );
    let key = format!("{}={}", installation.project, kept.display());
    let answer = installation.recover(&["--key", &key]);
    assert_eq!(answer[0]["listed"], 3, "{answer}");
    let server = installation.start();
    installation.everything_is_restored(&server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_is_told_and_the_rest_comes_back() {
    let installation = Installation::new(Vec::new()).await;
    installation.lose_the_database();
    let repository = installation
        .data_dir()
        .join("repositories")
        .join(&installation.project);
    let packs = largest_files(&repository);
    // Nothing heals a pack that is gone.
    std::fs::remove_file(&packs[0]).unwrap();
    let output = installation.recovery(&[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let count = |name: &str| answer[0][name].as_u64().unwrap();
    assert!(count("damaged_objects") > 0, "{answer}");
    assert!(count("listed_broken") > 0, "{answer}");
    assert_eq!(count("listed") + count("listed_broken"), 3, "{answer}");
    let server = installation.start();
    let api = Api::sign_in(&server).await;
    let (_, answer) = api.get("/backups?status=error").await;
    assert_eq!(answer["count"], json!(count("listed_broken")), "{answer}");
}

fn largest_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.push((path.metadata().unwrap().len(), path));
            }
        }
    }
    files.sort();
    files.into_iter().rev().map(|(_, path)| path).collect()
}
