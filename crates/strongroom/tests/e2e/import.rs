//! What one installation wrote, another one lists in a hybrid vault and restores.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::api::{Api, refusal};
use crate::disks;
use crate::server::{BINARY, Server};

/// An installation that backs up a disk, and one that may list what the first writes.
struct Sites {
    folder: tempfile::TempDir,
    writer: Server,
    writer_api: Api,
    vault: String,
    reader: Server,
    reader_api: Api,
}

impl Sites {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Server::start_in(&folder.path().join("writer"));
        let writer_api = Api::sign_in(&writer).await;
        let disk = folder.path().join("disk.raw");
        disks::random(&disk, 6 << 20, 9);
        let volume = add_volume(&writer, "disk", &disk);
        let vault = writer_api.make_vault("disk", &[&volume]).await;
        let data_dir = folder.path().join("reader");
        // Its project is known once it has been started.
        let mut reader = Server::start_in(&data_dir);
        let project = Api::sign_in(&reader).await.project;
        assert!(reader.stop().success());
        let repository = writer
            .data_dir()
            .join("repositories")
            .join(&writer_api.project);
        let key = writer
            .data_dir()
            .join("keys")
            .join(format!("{}.key", writer_api.project));
        let config = folder.path().join("reader.toml");
        let text = format!(
            "[[storage_units]]\nname = \"site-b\"\nproject = \"{project}\"\nplace = \"{}\"\nkey_file = \"{}\"\n",
            repository.display(),
            key.display()
        );
        std::fs::write(&config, text).unwrap();
        let flags = ["--config", disks::text(&config)];
        let reader = Server::start_with(Command::new(BINARY), &data_dir, &flags);
        let reader_api = Api::sign_in(&reader).await;
        Self {
            folder,
            writer,
            writer_api,
            vault,
            reader,
            reader_api,
        }
    }

    fn disk(&self) -> std::path::PathBuf {
        self.folder.path().join("disk.raw")
    }

    async fn hybrid_vault(&self) -> String {
        let billing = json!({ "cloud_type": "hybrid", "consistent_level": "crash_consistent", "object_type": "vmware", "protect_type": "backup", "size": 100 });
        let body = json!({ "vault": { "name": "hybrid", "billing": billing, "resources": [] } });
        let (status, answer) = self.reader_api.post("/vaults", body).await;
        assert_eq!(status, 200, "{answer}");
        let billing = &answer["vault"]["billing"];
        assert_eq!(billing["storage_unit"], "site-b");
        assert_eq!(billing["spec_code"], "vault.hybrid.server.normal");
        answer["vault"]["id"].as_str().unwrap().to_owned()
    }

    async fn sync(&self, vault: &str) -> Value {
        let body = json!({ "sync": { "auto_trigger": false, "vault_id": vault } });
        let (status, answer) = self.reader_api.post("/checkpoints/sync", body).await;
        assert_eq!(status, 200, "{answer}");
        let task = answer["sync"]["operation_log_id"].as_str().unwrap();
        let task = self.reader_api.wait_for_task(task).await;
        assert_eq!(
            (&task["status"], &task["operation_type"]),
            (&json!("success"), &json!("sync")),
            "{task}"
        );
        task["extra_info"]["sync"].clone()
    }

    async fn import(&self, backup: &str, resource: &str) -> Value {
        let wish = json!({ "backup_id": backup, "backup_name": "imported", "bucket_name": "site-b", "created_at": 1_700_000_000,
            "image_path": "/", "resource_id": resource, "resource_name": "disk", "resource_type": "OS::Native::Server" });
        let (status, answer) = self
            .reader_api
            .post("/backups/sync", json!({ "sync": [wish] }))
            .await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["sync"][0]["backup_id"], json!(backup));
        let task = answer["sync"][0]["operation_log_id"].as_str().unwrap();
        self.reader_api.wait_for_task(task).await
    }
}

fn add_volume(server: &Server, name: &str, path: &Path) -> String {
    let answer = server.verb(&["volume", "add", "--name", name, "--path", disks::text(path)]);
    answer["volume"]["id"].as_str().unwrap().to_owned()
}

fn counts(listed: u64, forgotten: u64, failed: u64) -> Value {
    json!({ "sync_backup_num": listed, "delete_backup_num": forgotten, "err_sync_backup_num": failed })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hybrid_vault_lists_what_another_installation_writes_and_restores_it() {
    let sites = Sites::new().await;
    let mut written = Vec::new();
    for round in 0..2 {
        let content = disks::change(&sites.disk(), round);
        written.push((sites.writer_api.back_up(&sites.vault).await, content));
    }
    let vault = sites.hybrid_vault().await;
    assert_eq!(sites.sync(&vault).await, counts(2, 0, 0));
    assert_eq!(sites.sync(&vault).await, counts(0, 0, 0));

    let target = sites.folder.path().join("target.raw");
    disks::random(&target, 6 << 20, 10);
    let volume = add_volume(&sites.reader, "target", &target);
    for (backup, content) in &written {
        let path = format!("/backups/{backup}/restore");
        let body = json!({ "restore": { "volume_id": volume } });
        let (status, answer) = sites.reader_api.post(&path, body).await;
        assert_eq!(status, 202, "{answer}");
        let task = answer["job_id"].as_str().unwrap();
        assert_eq!(
            sites.reader_api.wait_for_task(task).await["status"],
            "success"
        );
        assert_eq!(disks::hash(&target), *content);
    }

    // What the writer deletes is forgotten; what is deleted here is listed again, because it is still there.
    let path = format!("/backups/{}", written[0].0);
    assert_eq!(sites.writer_api.delete(&path).await.0, 204);
    sites.writer_api.wait_until_gone(&path).await;
    assert_eq!(sites.sync(&vault).await, counts(0, 1, 0));
    let path = format!("/backups/{}", written[1].0);
    assert_eq!(sites.reader_api.delete(&path).await.0, 204);
    sites.reader_api.wait_until_gone(&path).await;
    assert_eq!(sites.sync(&vault).await, counts(1, 0, 0));
    sites.writer.repositories_are_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_backups_are_imported_by_name_and_checked_against_the_storage() {
    let sites = Sites::new().await;
    let backup = sites.writer_api.back_up(&sites.vault).await;
    let (_, shown) = sites.writer_api.get(&format!("/backups/{backup}")).await;
    let resource = shown["backup"]["resource_id"].as_str().unwrap();
    let vault = sites.hybrid_vault().await;

    let wrong = sites.import(&backup, &vault).await;
    assert_eq!(wrong["status"], "failed", "{wrong}");
    assert_eq!(wrong["extra_info"]["sync"], counts(0, 0, 1));
    let unknown = sites.import(&vault, resource).await;
    assert_eq!(unknown["status"], "failed", "{unknown}");

    let task = sites.import(&backup, resource).await;
    assert_eq!(task["status"], "success", "{task}");
    assert_eq!(task["extra_info"]["sync"], counts(1, 0, 0));
    let (status, shown) = sites.reader_api.get(&format!("/backups/{backup}")).await;
    assert_eq!(
        (status, &shown["backup"]["name"]),
        (200, &json!("imported"))
    );
    assert_eq!(shown["backup"]["vault_id"], json!(vault));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_reaches_no_storage_that_the_operator_did_not_give() {
    let sites = Sites::new().await;
    sites.hybrid_vault().await;
    for bucket in ["site-c", "../writer", "/", ""] {
        let wish = json!({ "backup_id": sites.vault, "backup_name": "b", "bucket_name": bucket, "created_at": 1,
            "image_path": "../../keys", "resource_id": sites.vault, "resource_name": "d", "resource_type": "OS::Native::Server" });
        let answer = sites
            .reader_api
            .post("/backups/sync", json!({ "sync": [wish] }))
            .await;
        assert_eq!(refusal(&answer), (400, "BackupService.7300"));
    }
    let plain = sites.reader_api.make_vault("disk", &[]).await;
    let body = json!({ "sync": { "auto_trigger": false, "vault_id": plain } });
    let answer = sites.reader_api.post("/checkpoints/sync", body).await;
    assert_eq!(refusal(&answer), (400, "BackupService.7300"));
}
