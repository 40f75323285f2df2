//! Vaults, their resources and the inventory.

use serde_json::{Value, json};

use super::{Scenario, UNKNOWN, filled_vault, operation, plain, sending, with};
use crate::tests::server::TestServer;

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let mut all = of_vaults(server).await;
    all.extend(of_resources(server).await);
    all.extend(of_protectables(server).await);
    all
}

async fn of_vaults(server: &TestServer) -> Vec<Scenario> {
    let with_server = new_vault(server).await;
    let mut empty = with_server.clone();
    empty["vault"]["resources"] = json!([]);
    let shown = server.add_vault("shown").await;
    let (updated, _) = filled_vault(server, "updated").await;
    let deleted = server.add_vault("deleted").await;
    let change = json!({"vault": {
        "name": "renamed", "auto_bind": true, "auto_expand": false, "smn_notify": false, "threshold": 70,
        "bind_rules": {"tags": [{"key": "team", "value": "blue"}]},
        "billing": {"size": 300}
    }});
    vec![
        operation("CreateVault", "cbr:vaults:create", sending(with_server))
            .and_again(sending(empty))
            .refuses(sending(small_vault("turbo")), "6116 400")
            .refuses(sending(json!({"vault": {}})), "9900 400"),
        operation("ListVault", "cbr:vaults:list", plain())
            .refuses(plain().query("limit", "0"), "9900 400"),
        operation("ShowVault", "cbr:vaults:get", with("vault_id", &shown))
            .refuses(with("vault_id", UNKNOWN), "6105 404"),
        operation(
            "UpdateVault",
            "cbr:vaults:update",
            with("vault_id", &updated).body(change.clone()),
        )
        .refuses(with("vault_id", UNKNOWN).body(change), "6105 404"),
        operation(
            "DeleteVault",
            "cbr:vaults:delete",
            with("vault_id", &deleted),
        )
        .refuses(with("vault_id", UNKNOWN), "6105 404"),
    ]
}

/// Every field of a new vault.
async fn new_vault(server: &TestServer) -> Value {
    let resource = server.add_server("bought").await;
    json!({"vault": {
        "name": "made", "description": "from the contract", "auto_bind": false, "auto_expand": false,
        "backup_name_prefix": "auto", "bind_rules": {"tags": [{"key": "team", "value": "blue"}]},
        "demand_billing": false, "enterprise_project_id": "0", "locked": false, "smn_notify": true,
        "sys_lock_source_service": "", "tags": [{"key": "team", "value": "blue"}], "threshold": 80,
        "resources": [{"id": resource, "type": "OS::Nova::Server", "name": "bought",
            "extra_info": {"exclude_volumes": []}}],
        "billing": {
            "charging_mode": "post_paid", "cloud_type": "public", "consistent_level": "crash_consistent",
            "console_url": "https://localhost/pay", "is_auto_pay": true, "is_auto_renew": true,
            "is_multi_az": false, "object_type": "server", "period_num": 1, "period_type": "month",
            "protect_type": "backup", "size": 100
        }
    }})
}

fn small_vault(object_type: &str) -> Value {
    json!({"vault": {"name": "small", "resources": [], "billing": {
        "consistent_level": "crash_consistent", "object_type": object_type, "protect_type": "backup", "size": 10}}})
}

async fn of_resources(server: &TestServer) -> Vec<Scenario> {
    let taken = server.add_server("taken").await;
    let takes = server.add_vault("takes").await;
    let (loses, lost) = filled_vault(server, "loses").await;
    let add = json!({"resources": [{"id": taken, "type": "OS::Nova::Server", "name": "taken",
        "extra_info": {"exclude_volumes": []}}]});
    let of_other = json!({"resources": [{"id": lost, "type": "OS::Nova::Server"}]});
    let remove = json!({"resource_ids": [lost]});
    let not_there = json!({"resource_ids": [UNKNOWN]});
    vec![
        operation(
            "AddVaultResource",
            "cbr:vaults:addResources",
            with("vault_id", &takes).body(add.clone()),
        )
        .refuses(with("vault_id", &takes).body(of_other), "6103 400")
        .refuses(with("vault_id", UNKNOWN).body(add), "6105 404"),
        operation(
            "RemoveVaultResource",
            "cbr:vaults:removeResources",
            with("vault_id", &loses).body(remove.clone()),
        )
        .refuses(with("vault_id", &loses).body(not_there), "6135 400")
        .refuses(with("vault_id", UNKNOWN).body(remove), "6105 404"),
    ]
}

async fn of_protectables(server: &TestServer) -> Vec<Scenario> {
    let shown = server.add_server("protectable").await;
    let servers = with("protectable_type", "server");
    vec![
        operation(
            "ListProtectable",
            "cbr:vaults:listProtectables",
            servers.clone(),
        )
        .refuses(with("protectable_type", "toaster"), "9900 400"),
        operation(
            "ShowProtectable",
            "cbr:vaults:getProtectables",
            servers.clone().and("instance_id", &shown),
        )
        .refuses(servers.and("instance_id", UNKNOWN), "6302 404"),
    ]
}
