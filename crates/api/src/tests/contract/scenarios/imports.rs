//! What another installation wrote, listed here.

use serde_json::{Value, json};

use super::{Scenario, UNKNOWN, operation, sending};
use crate::tests::server::{TestServer, UNITS, vault_body};

/// A vault that shows the next free storage unit of the project; its id.
async fn hybrid_vault(server: &TestServer, name: &str) -> String {
    let mut body = vault_body(name);
    body["vault"]["billing"]["cloud_type"] = json!("hybrid");
    body["vault"]["billing"]["object_type"] = json!("vmware");
    let made = server
        .post("/v3/{project_id}/vaults", body)
        .await
        .expect(200);
    made["vault"]["id"].as_str().unwrap().to_owned()
}

fn backup_in(bucket: &str) -> Value {
    json!({"sync": [{
        "backup_id": UNKNOWN, "backup_name": "from_there", "bucket_name": bucket, "image_path": "/",
        "resource_id": UNKNOWN, "resource_name": "web", "resource_type": "OS::Nova::Server",
        "created_at": 1_767_225_600
    }]})
}

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let compared = hybrid_vault(server, "compared").await;
    hybrid_vault(server, "imported_into").await;
    let ordinary = server.add_vault("ordinary").await;
    let sync = |vault: &str| json!({"sync": {"vault_id": vault, "auto_trigger": false}});
    vec![
        operation(
            "ImportCheckpoint",
            "cbr:vaults:sync",
            sending(sync(&compared)),
        )
        .refuses(sending(sync(&ordinary)), "7300 400")
        .refuses(sending(sync(UNKNOWN)), "6105 404"),
        operation(
            "ImportBackup",
            "cbr:backups:sync",
            sending(backup_in(UNITS[1])),
        )
        .refuses(sending(backup_in("nobodys")), "7300 400"),
    ]
}
