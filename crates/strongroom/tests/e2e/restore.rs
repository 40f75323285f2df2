//! Restores that must be refused, and what a vanished or busy disk does to a backup.

use serde_json::json;

use crate::api::{Api, refusal};
use crate::disks;
use crate::server::Server;

struct Setting {
    folder: tempfile::TempDir,
    server: Server,
    api: Api,
}

impl Setting {
    async fn new() -> Self {
        let server = Server::start();
        let api = Api::sign_in(&server).await;
        Self {
            folder: tempfile::tempdir().unwrap(),
            server,
            api,
        }
    }

    /// A volume of random bytes in the inventory: its id and its file.
    fn volume(&self, name: &str, size_bytes: usize) -> (String, std::path::PathBuf) {
        let path = self.folder.path().join(name);
        disks::random(&path, size_bytes, 5);
        let answer = self.server.verb(&[
            "volume",
            "add",
            "--name",
            name,
            "--path",
            disks::text(&path),
        ]);
        (answer["volume"]["id"].as_str().unwrap().to_owned(), path)
    }

    async fn restore(&self, backup: &str, volume: &str) -> (u16, serde_json::Value) {
        self.api
            .post(
                &format!("/backups/{backup}/restore"),
                json!({ "restore": { "volume_id": volume } }),
            )
            .await
    }
}

#[tokio::test]
async fn a_backup_goes_onto_another_disk_that_is_large_enough_and_no_smaller_one() {
    let setting = Setting::new().await;
    let (source, file) = setting.volume("source", 4 << 20);
    let (larger, larger_file) = setting.volume("larger", 8 << 20);
    let (smaller, _) = setting.volume("smaller", 2 << 20);
    let vault = setting.api.make_vault("disk", &[&source]).await;
    let backup = setting.api.back_up(&vault).await;

    assert_eq!(
        refusal(&setting.restore(&backup, &smaller).await),
        (400, "BackupService.2001")
    );
    let (status, answer) = setting.restore(&backup, &larger).await;
    assert_eq!(status, 202, "{answer}");
    let task = setting
        .api
        .wait_for_task(answer["job_id"].as_str().unwrap())
        .await;
    assert_eq!(
        (&task["status"], &task["extra_info"]["common"]["progress"]),
        (&json!("success"), &json!(100))
    );
    let (wanted, got) = (
        std::fs::read(&file).unwrap(),
        std::fs::read(&larger_file).unwrap(),
    );
    assert_eq!(got.len(), 8 << 20);
    assert!(wanted == got[..wanted.len()]);
}

#[tokio::test]
async fn a_vanished_disk_is_skipped_with_its_reason_and_the_others_are_saved() {
    let setting = Setting::new().await;
    let (gone, file) = setting.volume("gone", 1 << 20);
    let (stays, _) = setting.volume("stays", 1 << 20);
    let vault = setting.api.make_vault("disk", &[&gone, &stays]).await;
    std::fs::remove_file(file).unwrap();
    let (status, answer) = setting
        .api
        .post(
            "/checkpoints",
            json!({ "checkpoint": { "vault_id": vault } }),
        )
        .await;
    assert_eq!(status, 200, "{answer}");
    let skipped = &answer["checkpoint"]["vault"]["skipped_resources"];
    assert_eq!(skipped[0]["id"], json!(gone), "{answer}");
    assert!(
        skipped[0]["code"]
            .as_str()
            .unwrap()
            .starts_with("BackupService.70"),
        "{answer}"
    );
    let checkpoint = answer["checkpoint"]["id"].as_str().unwrap();
    assert_eq!(
        setting.api.wait_for_checkpoint(checkpoint).await,
        "available"
    );
    assert_eq!(
        setting.api.only_backup_of(checkpoint).await["resource_id"],
        json!(stays)
    );
}

#[tokio::test]
async fn a_disk_that_a_running_machine_holds_is_neither_read_nor_written() {
    let setting = Setting::new().await;
    let (source, _) = setting.volume("source", 1 << 20);
    let (target, target_file) = setting.volume("target", 1 << 20);
    let vault = setting.api.make_vault("disk", &[&source]).await;
    let backup = setting.api.back_up(&vault).await;
    // A writer with QEMU's own locks, for as long as its standard input is open.
    let mut holder = std::process::Command::new("qemu-io")
        .args(["-f", "raw", disks::text(&target_file)])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    setting
        .api
        .wait_for(
            &format!("/protectables/disk/instances/{target}"),
            |_, answer| (answer["instance"]["status"] == json!("in-use")).then_some(()),
        )
        .await;
    assert_eq!(
        refusal(&setting.restore(&backup, &target).await),
        (400, "BackupService.2011")
    );
    holder.kill().unwrap();
    holder.wait().unwrap();
    let (status, answer) = setting.restore(&backup, &target).await;
    assert_eq!(status, 202, "{answer}");
    let task = setting
        .api
        .wait_for_task(answer["job_id"].as_str().unwrap())
        .await;
    assert_eq!(task["status"], "success", "{task}");
}
