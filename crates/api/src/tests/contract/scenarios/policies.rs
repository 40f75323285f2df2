//! Policies, and what they are applied to.

use serde_json::{Value, json};

use super::{Scenario, UNKNOWN, operation, plain, sending, with};
use crate::tests::server::TestServer;

pub(super) async fn scenarios(server: &TestServer) -> Vec<Scenario> {
    let mut all = of_policies(server).await;
    all.extend(of_vaults(server).await);
    all
}

/// Every rule that a backup policy can have at once.
pub(super) fn policy_body(name: &str) -> Value {
    json!({"policy": {
        "name": name, "enabled": true, "operation_type": "backup",
        "operation_definition": {
            "max_backups": 10, "day_backups": 7, "week_backups": 4, "month_backups": 12, "year_backups": 3,
            "timezone": "UTC+08:00", "full_backup_interval": 10, "enable_acceleration": false,
            "advanced_retention_rules": {
                "weekly_retention_rules": {"days_of_week": ["MO"], "retention_duration_periods": 4},
                "monthly_retention_rules": {"retention_type": "MONTHLY", "days_of_month": [1],
                    "days_of_week": ["MO"], "retention_weeks": ["FIRST"], "retention_duration_periods": 12},
                "yearly_retention_rules": {"retention_type": "MONTHLY", "retention_months": ["JANUARY"],
                    "days_of_month": [1], "days_of_week": ["MO"], "retention_weeks": ["FIRST"],
                    "retention_duration_periods": 3}
            }
        },
        "trigger": {"properties": {
            "pattern": ["FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=06;BYMINUTE=00"], "start_window_minutes": 60}}
    }})
}

/// What only a replication policy has, and days instead of numbers.
fn replication_body() -> Value {
    json!({"policy": {
        "name": "away", "operation_type": "replication",
        "operation_definition": {
            "destination_region": "region-2", "destination_project_id": "0123456789abcdef0123456789abcdef",
            "enable_acceleration": false, "retention_duration_days": 30
        },
        "trigger": {"properties": {"pattern": ["FREQ=DAILY;INTERVAL=1;BYHOUR=21;BYMINUTE=00"]}}
    }})
}

/// A new policy; its id.
pub(super) async fn add_policy(server: &TestServer, name: &str) -> String {
    let made = server
        .post("/v3/{project_id}/policies", policy_body(name))
        .await
        .expect(200);
    made["policy"]["id"].as_str().unwrap().to_owned()
}

async fn of_policies(server: &TestServer) -> Vec<Scenario> {
    let shown = add_policy(server, "shown").await;
    let updated = add_policy(server, "updated").await;
    let deleted = add_policy(server, "deleted").await;
    let mut change = policy_body("changed");
    change["policy"]
        .as_object_mut()
        .unwrap()
        .remove("operation_type");
    let mut unknown_kind = policy_body("odd");
    unknown_kind["policy"]["operation_type"] = json!("tidying");
    vec![
        operation(
            "CreatePolicy",
            "cbr:policies:create",
            sending(policy_body("made")),
        )
        .and_again(sending(replication_body()))
        .refuses(sending(unknown_kind), "6117 400"),
        operation("ListPolicies", "cbr:policies:list", plain())
            .refuses(plain().query("operation_type", "tidying"), "9900 400"),
        operation("ShowPolicy", "cbr:policies:get", with("policy_id", &shown))
            .refuses(with("policy_id", UNKNOWN), "6000 404"),
        operation(
            "UpdatePolicy",
            "cbr:policies:update",
            with("policy_id", &updated).body(change.clone()),
        )
        .refuses(with("policy_id", UNKNOWN).body(change), "6000 404"),
        operation(
            "DeletePolicy",
            "cbr:policies:delete",
            with("policy_id", &deleted),
        )
        .refuses(with("policy_id", UNKNOWN), "6000 404"),
    ]
}

async fn of_vaults(server: &TestServer) -> Vec<Scenario> {
    let policy = json!({"policy_id": add_policy(server, "applied").await});
    let unknown = json!({"policy_id": UNKNOWN});
    let takes = server.add_vault("takes_policy").await;
    let loses = server.add_vault("loses_policy").await;
    let path = format!("/v3/{{project_id}}/vaults/{loses}/associatepolicy");
    server.post(&path, policy.clone()).await.expect(200);
    vec![
        operation(
            "AssociateVaultPolicy",
            "cbr:vaults:associatePolicy",
            with("vault_id", &takes).body(policy.clone()),
        )
        .refuses(with("vault_id", &takes).body(unknown.clone()), "6000 404")
        .refuses(with("vault_id", UNKNOWN).body(policy.clone()), "6105 404"),
        operation(
            "DisassociateVaultPolicy",
            "cbr:vaults:dissociatePolicy",
            with("vault_id", &loses).body(policy),
        )
        .refuses(with("vault_id", &loses).body(unknown), "6002 404"),
    ]
}
