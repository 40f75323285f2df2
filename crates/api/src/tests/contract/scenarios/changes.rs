//! What becomes of vaults and their resources, and their totals.

use serde_json::json;

use super::backups::backed_up;
use super::{Scenario, UNKNOWN, filled_vault, operation, plain, sending, with};
use crate::tests::server::TestServer;

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let mut all = of_resources(server).await;
    all.extend(of_vaults(server).await);
    all
}

async fn of_resources(server: &TestServer) -> Vec<Scenario> {
    let (vault, resource) = filled_vault(server, "suspended").await;
    let suspend = json!({"action": "suspend", "resource_ids": [resource]});
    let not_there = json!({"action": "suspend", "resource_ids": [UNKNOWN]});
    let (from, moved) = filled_vault(server, "moved").await;
    let to = server.add_vault("moved_to").await;
    let migrate = json!({"destination_vault_id": to, "resource_ids": [moved]});
    let nowhere = json!({"destination_vault_id": UNKNOWN, "resource_ids": [moved]});
    vec![
        operation(
            "SetVaultResource",
            "cbr:vaults:setResources",
            with("vault_id", &vault).body(suspend.clone()),
        )
        .refuses(with("vault_id", &vault).body(not_there), "6135 400")
        .refuses(with("vault_id", UNKNOWN).body(suspend), "6105 404"),
        operation(
            "MigrateVaultResource",
            "cbr:vaults:migrateResources",
            with("vault_id", &from).body(migrate),
        )
        .refuses(with("vault_id", &from).body(nowhere), "6105 404"),
    ]
}

async fn of_vaults(server: &TestServer) -> Vec<Scenario> {
    let expiring = backed_up(server, "expiring").await;
    let end = json!({"expect_expiration_date": "2027-01-01", "time_zone": "UTC+08:00"});
    let past = json!({"expect_expiration_date": "2025-01-01", "time_zone": "UTC+08:00"});
    let notices = json!({"vault": {"smn_notify": false, "threshold": 70}});
    let another = plain().and("project_id", "0123456789abcdef0123456789abcdef");
    vec![
        operation(
            "UpdateExpirationTime",
            "cbr:vaults:updateBackupExpirationTime",
            with("vault_id", &expiring.vault).body(end.clone()),
        )
        .refuses(with("vault_id", &expiring.vault).body(past), "9900 400")
        .refuses(with("vault_id", UNKNOWN).body(end), "6105 404"),
        operation(
            "BatchUpdateVault",
            "cbr:vaults:batchUpdate",
            sending(notices),
        )
        .refuses(sending(json!({})), "9900 400"),
        operation("ShowSummary", "cbr:vaults:showSummary", plain())
            .refuses(another, "APIGW.0302 403"),
        operation("ShowStorageUsage", "cbr:backups:listStorageUsage", plain())
            .refuses(plain().query("limit", "0"), "9900 400"),
    ]
}
