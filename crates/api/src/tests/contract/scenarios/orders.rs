//! Orders of vaults for a term.

use serde_json::{Value, json};

use super::{Scenario, UNKNOWN, operation, sending, with};
use crate::tests::server::TestServer;

fn charge(vault: &str) -> Value {
    json!({"vault_ids": [vault], "charging_mode": "pre_paid", "period_type": "year", "period_num": 1,
        "is_auto_pay": true, "is_auto_renew": false})
}

fn resize(vault: &str) -> Value {
    json!({"resource_id": vault, "is_auto_pay": true, "product_info": {"product_id": "p", "resource_size": 300,
        "resource_size_measure_id": 17, "resource_spec_code": "vault.backup.server.normal"}})
}

fn carried_out(vault: &str) -> Value {
    json!({"resourceId": vault, "productInfo": {"productId": "p", "resourceSize": 300,
        "resourceSizeMeasureId": 17, "resourceSpecCode": "vault.backup.server.normal"}})
}

/// A vault that was ordered for a year; its id.
async fn ordered(server: &TestServer, name: &str) -> String {
    let vault = server.add_vault(name).await;
    let path = "/v3/{project_id}/vaults/change-charge-mode";
    server.post(path, charge(&vault)).await.expect(200);
    vault
}

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let becomes = server.add_vault("becomes_prepaid").await;
    let grows = ordered(server, "grows").await;
    let grown = ordered(server, "grown").await;
    let path = "/v3/{project_id}/orders/change";
    let order = server.post(path, resize(&grown)).await.expect(200);
    let order = order["orderId"].as_str().unwrap();
    let pay_per_use = server.add_vault("pay_per_use").await;
    vec![
        operation(
            "CreatePostPaidVault",
            "cbr:vaults:create",
            sending(new_order(server).await),
        )
        .refuses(sending(json!({"vault": {}})), "9900 400"),
        operation(
            "ChangeVaultChargeMode",
            "cbr:vaults:changeChargeMode",
            sending(charge(&becomes)),
        )
        .refuses(sending(charge(UNKNOWN)), "6105 404"),
        operation(
            "ChangeOrder",
            "cbr:vaults:changeOrder",
            sending(resize(&grows)),
        )
        .refuses(sending(resize(&pay_per_use)), "6110 400")
        .refuses(sending(resize(UNKNOWN)), "6105 404"),
        operation(
            "UpdateOrder",
            "cbr:vaults:changeOrder",
            with("order_id", order).body(carried_out(&grown)),
        )
        .refuses(
            with("order_id", UNKNOWN).body(carried_out(&grown)),
            "6109 400",
        ),
    ]
}

/// Every field of an order. It waits, so that the server in it stays free.
async fn new_order(server: &TestServer) -> Value {
    let resource = server.add_server("for_a_term").await;
    json!({"vault": {
        "name": "for_a_term", "description": "from the contract", "auto_bind": false, "auto_expand": false,
        "bind_rules": {"tags": [{"key": "team", "value": "blue"}]}, "enterprise_project_id": "0",
        "locked": false, "smn_notify": true, "threshold": 80,
        "tags": [{"key": "team", "value": "blue"}],
        "resources": [{"id": resource, "type": "OS::Nova::Server", "name": "for_a_term",
            "extra_info": {"exclude_volumes": []}}],
        "billing": {
            "charging_mode": "pre_paid", "cloud_type": "public", "consistent_level": "crash_consistent",
            "console_url": "https://localhost/pay", "is_auto_pay": false, "is_auto_renew": false,
            "is_multi_az": false, "object_type": "server", "period_num": 1, "period_type": "month",
            "protect_type": "backup", "size": 100
        }
    }})
}
