//! `kill -9` at moments spread over backups and restores: whatever was acknowledged is there afterwards, every
//! task ends in a true state, and every backup that says `available` comes back identical.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::Api;
use crate::disks;
use crate::server::Server;

const KILLS: u64 = 20;
const DISK_BYTES: usize = 48 << 20;

/// The moment of the n-th kill after work began: spread over the duration of a backup, the same every run.
fn moment(n: u64) -> Duration {
    Duration::from_millis(3 + (n * 7919) % 400)
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_by_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().join("data");
    let disk = folder.path().join("disk.raw");
    disks::random(&disk, DISK_BYTES, 0);
    let mut server = Server::start_in(&data_dir);
    let mut api = Api::sign_in(&server).await;
    let volume = server.verb(&["volume", "add", "--name", "d", "--path", disks::text(&disk)]);
    let volume = volume["volume"]["id"].as_str().unwrap().to_owned();
    let vault = api.make_vault("disk", &[&volume]).await;
    // Backup id → the content it must restore to.
    let mut promised: BTreeMap<String, blake3::Hash> = BTreeMap::new();
    for n in 0..KILLS {
        let content = disks::change(&disk, n);
        let work = if n % 3 == 2 {
            start_restore(&api, &volume, promised.keys().next()).await
        } else {
            start_backup(&api, &vault).await
        };
        tokio::time::sleep(moment(n)).await;
        server.kill();
        server = Server::start_in(&data_dir);
        api = api.at(&server);
        match work {
            Work::Backup(checkpoint) => {
                let status = api.wait_for_checkpoint(&checkpoint).await;
                let backup = api.only_backup_of(&checkpoint).await;
                assert_eq!(backup["status"], json!(status), "{backup}");
                assert_eq!(
                    status, "available",
                    "a backup that was accepted is made after the restart"
                );
                promised.insert(backup["id"].as_str().unwrap().to_owned(), content);
            }
            Work::Restore { task, backup } => {
                let task = api.wait_for_task(&task).await;
                assert_eq!(task["status"], "success", "{task}");
                assert_eq!(disks::hash(&disk), promised[&backup], "kill {n}");
            }
            Work::Refused => {}
        }
    }
    assert!(promised.len() > 10);
    for (backup, content) in &promised {
        let (status, answer) = api.get(&format!("/backups/{backup}")).await;
        assert_eq!(
            (status, &answer["backup"]["status"]),
            (200, &json!("available")),
            "{answer}"
        );
        let (_, answer) = api
            .post(
                &format!("/backups/{backup}/restore"),
                json!({ "restore": { "volume_id": volume } }),
            )
            .await;
        assert_eq!(
            api.wait_for_task(answer["job_id"].as_str().unwrap()).await["status"],
            "success"
        );
        assert_eq!(disks::hash(&disk), *content);
    }
    server.repositories_are_clean();
}

enum Work {
    Backup(String),
    Restore { task: String, backup: String },
    Refused,
}

async fn start_backup(api: &Api, vault: &str) -> Work {
    Work::Backup(api.start_checkpoint(vault).await)
}

async fn start_restore(api: &Api, volume: &str, backup: Option<&String>) -> Work {
    let Some(backup) = backup else {
        return Work::Refused;
    };
    let body = json!({ "restore": { "volume_id": volume } });
    let sent = api
        .try_call(
            Method::POST,
            &format!("/backups/{backup}/restore"),
            Some(body),
        )
        .await;
    match sent.unwrap() {
        (202, answer) => Work::Restore {
            task: text(&answer["job_id"]),
            backup: backup.clone(),
        },
        (status, answer) => panic!("{status} {answer}"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
