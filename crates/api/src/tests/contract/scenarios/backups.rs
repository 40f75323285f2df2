//! Restore points, backups and tasks.

use serde_json::json;

use super::{Scenario, UNKNOWN, filled_vault, operation, plain, sending, with};
use crate::tests::golden::run_backup;
use crate::tests::server::TestServer;

/// A backup of a server, and what it belongs to.
pub(super) struct BackedUp {
    pub(super) vault: String,
    pub(super) server: String,
    pub(super) checkpoint: String,
    pub(super) backup: String,
}

/// A vault with one server that was backed up.
pub(super) async fn backed_up(server: &TestServer, name: &str) -> BackedUp {
    let (vault, resource) = filled_vault(server, name).await;
    let body = json!({"checkpoint": {"vault_id": vault}});
    let started = server
        .post("/v3/{project_id}/checkpoints", body)
        .await
        .expect(200);
    run_backup(server).await;
    let path = format!("/v3/{{project_id}}/backups?vault_id={vault}");
    let backups = server.get(&path).await.expect(200);
    assert_eq!(backups["backups"][0]["status"], "available");
    BackedUp {
        vault,
        server: resource,
        checkpoint: started["checkpoint"]["id"].as_str().unwrap().to_owned(),
        backup: backups["backups"][0]["id"].as_str().unwrap().to_owned(),
    }
}

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let mut all = of_checkpoints(server).await;
    all.extend(of_backups(server).await);
    all.extend(of_tasks(server).await);
    all
}

async fn of_checkpoints(server: &TestServer) -> Vec<Scenario> {
    let (vault, resource) = filled_vault(server, "to_back_up").await;
    let shown = backed_up(server, "with_a_point").await;
    let create = json!({"checkpoint": {"vault_id": vault, "parameters": {
        "auto_trigger": false, "description": "before the upgrade", "incremental": true, "name": "by_hand",
        "resource_details": [{"id": resource, "type": "OS::Nova::Server", "name": "to_back_up",
            "extra_info": {"exclude_volumes": []}}]
    }}});
    let unknown = json!({"checkpoint": {"vault_id": UNKNOWN}});
    let empty = json!({"checkpoint": {"vault_id": server.add_vault("empty").await}});
    vec![
        operation("CreateCheckpoint", "cbr:vaults:backup", sending(create))
            .refuses(sending(empty), "0001 400")
            .refuses(sending(unknown), "6105 404"),
        operation(
            "ShowCheckpoint",
            "cbr:vaults:showCheckpoint",
            with("checkpoint_id", &shown.checkpoint),
        )
        .refuses(with("checkpoint_id", UNKNOWN), "6217 404"),
    ]
}

async fn of_backups(server: &TestServer) -> Vec<Scenario> {
    let shown = backed_up(server, "backed_up").await;
    let deleted = backed_up(server, "cleared").await;
    let restored = backed_up(server, "restored").await;
    let rename = json!({"backup": {"name": "weekly"}});
    let restore = json!({"restore": {"server_id": restored.server, "power_on": false}});
    vec![
        operation("ListBackups", "cbr:backups:list", plain())
            .refuses(plain().query("sort", "colour"), "9900 400"),
        operation(
            "ShowBackup",
            "cbr:backups:get",
            with("backup_id", &shown.backup),
        )
        .refuses(with("backup_id", UNKNOWN), "6200 404"),
        operation(
            "UpdateBackup",
            "cbr:backups:update",
            with("backup_id", &shown.backup).body(rename.clone()),
        )
        .refuses(with("backup_id", UNKNOWN).body(rename), "6200 404"),
        operation(
            "DeleteBackup",
            "cbr:backups:delete",
            with("backup_id", &deleted.backup),
        )
        .refuses(with("backup_id", UNKNOWN), "6200 404"),
        operation(
            "RestoreBackup",
            "cbr:backups:restore",
            with("backup_id", &restored.backup).body(restore.clone()),
        )
        .refuses(with("backup_id", UNKNOWN).body(restore), "6200 404"),
    ]
}

async fn of_tasks(server: &TestServer) -> Vec<Scenario> {
    let done = backed_up(server, "logged").await;
    let path = format!("/v3/{{project_id}}/operation-logs?vault_id={}", done.vault);
    let logs = server.get(&path).await.expect(200);
    let log = logs["operation_logs"][0]["id"].as_str().unwrap();
    vec![
        operation("ListOpLogs", "cbr:tasks:list", plain())
            .refuses(plain().query("status", "napping"), "9900 400"),
        operation("ShowOpLog", "cbr:tasks:get", with("operation_log_id", log))
            .refuses(with("operation_log_id", UNKNOWN), "6500 404"),
    ]
}
