//! Copies in another region.

use serde_json::{Value, json};

use super::backups::backed_up;
use super::{Scenario, UNKNOWN, operation, plain, sending, with};
use crate::tests::peer::{PROJECT, REGION, VAULT};
use crate::tests::server::{TestServer, vault_body};

fn to(region: &str) -> Value {
    json!({"replicate": {"destination_project_id": PROJECT, "destination_region": region,
        "destination_vault_id": VAULT, "enable_acceleration": false}})
}

fn backup_to(region: &str) -> Value {
    let mut body = to(region);
    body["replicate"]["name"] = json!("copied");
    body["replicate"]["description"] = json!("from the contract");
    body
}

fn vault_to(region: &str, vault: &str) -> Value {
    let mut body = to(region);
    body["replicate"]["vault_id"] = json!(vault);
    body["replicate"]["auto_trigger"] = json!(false);
    body
}

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let copied = backed_up(server, "copied").await;
    let vault = backed_up(server, "copied_whole").await.vault;
    let mut body = vault_body("copied_disks");
    body["vault"]["billing"]["object_type"] = json!("disk");
    let of_disks = server.post("/v3/{project_id}/vaults", body).await;
    let of_disks = of_disks.expect(200)["vault"]["id"].clone();
    let of_disks = of_disks.as_str().unwrap();
    let copied = with("backup_id", &copied.backup);
    let external = plain().query("external_project_id", PROJECT);
    let another = plain().and("project_id", "0123456789abcdef0123456789abcdef");
    vec![
        operation(
            "CopyBackup",
            "cbr:backups:replicate",
            copied.clone().body(backup_to(REGION)),
        )
        .refuses(copied.body(backup_to("nowhere")), "1005 400")
        .refuses(
            with("backup_id", UNKNOWN).body(backup_to(REGION)),
            "6200 404",
        ),
        operation(
            "CopyCheckpoint",
            "cbr:vaults:replicate",
            sending(vault_to(REGION, &vault)),
        )
        .refuses(sending(vault_to("nowhere", &vault)), "1005 400")
        .refuses(sending(vault_to(REGION, of_disks)), "6122 400")
        .refuses(sending(vault_to(REGION, UNKNOWN)), "6105 404"),
        operation(
            "ShowReplicationCapabilities",
            "cbr:backups:queryReplicationCapability",
            plain(),
        )
        .refuses(another, "APIGW.0302 403"),
        operation(
            "ListExternalVault",
            "cbr:vaults:listExternalVaults",
            external.clone().query("region_id", REGION),
        )
        .refuses(external.clone().query("region_id", "nowhere"), "1005 400")
        .refuses(
            external.query("region_id", REGION).query("limit", "0"),
            "9900 400",
        ),
    ]
}
