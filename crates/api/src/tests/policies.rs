//! Policies as clients write them and read them back.

use serde_json::{Value, json};

use super::golden::{assert_shape, golden};
use super::server::{TestServer, on_each_server, vault_body};

const UNKNOWN: &str = "11111111-2222-4333-8444-555555555555";
const MORNING: &str = "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=06;BYMINUTE=00";
const EVENING: &str = "FREQ=WEEKLY;BYDAY=MO,TU;BYHOUR=18;BYMINUTE=00";

fn policy_body(definition: &Value) -> Value {
    json!({"policy": {
        "name": "daily",
        "enabled": true,
        "operation_type": "backup",
        "operation_definition": definition,
        "trigger": {"properties": {"pattern": [MORNING, EVENING]}},
    }})
}

/// A policy request with one member of `policy` replaced.
fn policy_with(pointer: &str, value: Value) -> Value {
    let mut body = policy_body(&json!({}));
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    body["policy"].pointer_mut(parent).unwrap()[field] = value;
    body
}

async fn created(server: &TestServer, body: Value) -> Value {
    server
        .post("/v3/{project_id}/policies", body)
        .await
        .expect(200)
}

fn path_of(answer: &Value) -> String {
    let id = answer["policy"]["id"].as_str().unwrap();
    format!("/v3/{{project_id}}/policies/{id}")
}

#[tokio::test]
async fn a_policy_is_made_applied_listed_and_taken_off() {
    on_each_server(|server| async move {
        let definition = json!({"retention_duration_days": 20, "max_backups": -1});
        let policy = created(&server, policy_body(&definition)).await;
        assert_shape(&policy, golden!("policy_created"));
        let properties = &policy["policy"]["trigger"]["properties"];
        assert_eq!(properties["pattern"], json!([MORNING, EVENING]));
        assert_eq!(properties["start_time"], "2026-01-01 00:00:00");

        let vault = server.add_vault("v").await;
        let body = json!({"policy_id": policy["policy"]["id"]});
        let path = |verb: &str| format!("/v3/{{project_id}}/vaults/{vault}/{verb}");
        let applied = server.post(&path("associatepolicy"), body.clone()).await;
        assert_shape(&applied.expect(200), golden!("policy_applied"));

        for query in ["", "?operation_type=backup", &format!("?vault_id={vault}")] {
            let list = server
                .get(&format!("/v3/{{project_id}}/policies{query}"))
                .await;
            assert_shape(&list.expect(200), golden!("policy_list"));
        }
        for query in [
            "?operation_type=replication",
            "?offset=1",
            &format!("?vault_id={UNKNOWN}"),
        ] {
            let list = server
                .get(&format!("/v3/{{project_id}}/policies{query}"))
                .await;
            assert_eq!(list.expect(200)["policies"], json!([]), "{query}");
        }
        let taken = server.post(&path("dissociatepolicy"), body.clone()).await;
        assert_eq!(taken.expect(200)["dissociate_policy"]["vault_id"], *vault);
        let again = server.post(&path("dissociatepolicy"), body).await;
        assert_eq!(again.refusal(), "6002 404");

        let gone = server.delete(&path_of(&policy)).await;
        assert_eq!((gone.status.as_u16(), gone.text.as_str()), (204, ""));
        assert_eq!(server.get(&path_of(&policy)).await.refusal(), "6000 404");
    })
    .await;
}

#[tokio::test]
async fn a_definition_is_echoed_as_it_was_sent_and_replaced_as_a_whole() {
    let sent = json!({
        "max_backups": 5, "day_backups": 10, "week_backups": 0, "timezone": "UTC+08:00",
        "full_backup_interval": -1,
        "advanced_retention_rules": {
            "weekly_retention_rules": {"days_of_week": ["MO"], "retention_duration_periods": 4},
            "monthly_retention_rules": {"retention_type": "MONTHLY", "days_of_month": [1, -1],
                "retention_duration_periods": -1},
            "yearly_retention_rules": {"retention_type": "WEEKLY", "retention_months": ["JANUARY"],
                "retention_weeks": ["FIRST", "LAST"], "days_of_week": ["SU"], "retention_duration_periods": 7},
        },
    });
    on_each_server(|server| {
        let sent = sent.clone();
        async move {
            let policy = created(&server, policy_body(&sent)).await;
            let mut echo = sent;
            echo["created_by"] = json!("customer");
            assert_eq!(policy["policy"]["operation_definition"], echo);

            let body =
                json!({"policy": {"operation_definition": {"max_backups": 7}, "enabled": false}});
            let changed = server.put(&path_of(&policy), body).await.expect(200);
            let definition = &changed["policy"]["operation_definition"];
            assert_eq!(
                *definition,
                json!({"max_backups": 7, "created_by": "customer"})
            );
            assert_eq!(changed["policy"]["enabled"], false);
            assert_eq!(changed["policy"]["name"], "daily");
            assert_eq!(changed["policy"]["associated_vaults"], json!([]));
            let shown = server.get(&path_of(&policy)).await.expect(200);
            assert_eq!(shown, changed);
        }
    })
    .await;
}

#[tokio::test]
async fn a_window_is_removed_by_null_and_kept_where_it_is_absent() {
    on_each_server(|server| async move {
        let window = |answer: &Value| {
            answer["policy"]["trigger"]["properties"]["start_window_minutes"].clone()
        };
        let body = policy_with("/trigger/properties/start_window_minutes", json!(120));
        let policy = created(&server, body).await;
        assert_eq!(window(&policy), 120);
        let change = |properties: Value| json!({"policy": {"trigger": {"properties": properties}}});
        let body = change(json!({"pattern": [EVENING]}));
        let kept = server.put(&path_of(&policy), body).await.expect(200);
        assert_eq!(window(&kept), 120);
        let body = change(json!({"pattern": [EVENING], "start_window_minutes": null}));
        let removed = server.put(&path_of(&policy), body).await.expect(200);
        assert_eq!(window(&removed), Value::Null);
        assert_eq!(
            removed["policy"]["trigger"]["id"],
            policy["policy"]["trigger"]["id"]
        );
    })
    .await;
}

fn trigger_cases() -> Vec<(Value, &'static str)> {
    let pattern = |patterns: Value| policy_with("/trigger/properties/pattern", patterns);
    let window = "/trigger/properties/start_window_minutes";
    vec![
        (json!({}), "9900 400"),
        (json!({"policy": {}}), "9900 400"),
        (policy_with("/name", json!("")), "9900 400"),
        (policy_with("/operation_type", json!("copy")), "6117 400"),
        (policy_with("/trigger", json!({})), "9900 400"),
        (pattern(json!([])), "9900 400"),
        (pattern(json!(["FREQ=HOURLY"])), "9900 400"),
        (pattern(json!([MORNING, MORNING])), "9900 400"),
        (pattern(json!(vec![MORNING; 25])), "9900 400"),
        (policy_with(window, json!(59)), "9900 400"),
    ]
}

fn definition_cases() -> Vec<Value> {
    let definition = |definition: Value| policy_with("/operation_definition", definition);
    let advanced = |rules: Value| definition(json!({"advanced_retention_rules": rules}));
    vec![
        policy_with("/operation_type", json!("replication")),
        definition(json!(null)),
        definition(json!({"max_backups": 100_000})),
        definition(json!({"max_backups": "5"})),
        definition(json!({"day_backups": 1})),
        definition(json!({"timezone": "Europe/Berlin"})),
        definition(json!({"full_backup_interval": 101})),
        definition(json!({"destination_region": "far"})),
        definition(json!({"max_backups": 1, "retention_duration_days": 1})),
        advanced(json!({"monthly_retention_rules": {"retention_duration_periods": 1}})),
        advanced(json!({"yearly_retention_rules": {"days_of_month": [0]}})),
        advanced(json!({"weekly_retention_rules": {"days_of_week": vec!["MO"; 8]}})),
        advanced(json!({"weekly_retention_rules": {"retention_duration_periods": 1}})),
        advanced(json!({"monthly_retention_rules":
            {"retention_type": "WEEKLY", "days_of_week": ["MO"], "retention_duration_periods": 1}})),
        advanced(json!({"yearly_retention_rules":
            {"retention_type": "MONTHLY", "days_of_month": [1], "retention_duration_periods": 1}})),
    ]
}

#[tokio::test]
async fn policy_requests() {
    on_each_server(|server| async move {
        let definitions = definition_cases().into_iter();
        let definitions = definitions.map(|body| (body, "9900 400"));
        for (body, refusal) in trigger_cases().into_iter().chain(definitions) {
            let answer = server.post("/v3/{project_id}/policies", body.clone()).await;
            assert_eq!(answer.refusal(), refusal, "{body}: {}", answer.text);
        }
    })
    .await;
}

#[tokio::test]
async fn applications_of_policies() {
    on_each_server(|server| async move {
        let policy = created(&server, policy_body(&json!({}))).await;
        let id = &policy["policy"]["id"];
        let vault = server.add_vault("v").await;
        let path = format!("/v3/{{project_id}}/vaults/{vault}/associatepolicy");
        let cases = [
            (json!({}), "9900 400"),
            (json!({"policy_id": "daily"}), "9900 400"),
            (json!({"policy_id": UNKNOWN}), "6000 404"),
            (json!({"policy_id": id, "add_policy_ids": [id]}), "9900 400"),
            (json!({"add_policy_ids": []}), "9900 400"),
            (
                json!({"policy_id": id, "destination_vault_id": UNKNOWN}),
                "9900 400",
            ),
        ];
        for (body, refusal) in cases {
            let answer = server.post(&path, body.clone()).await;
            assert_eq!(answer.refusal(), refusal, "{body}: {}", answer.text);
        }
        let both = server.post(&path, json!({"add_policy_ids": [id]})).await;
        assert_eq!(both.expect(200)["associate_policy"]["policy_id"], *id);

        let mut body = vault_body("born");
        body["vault"]["backup_policy_id"] = id.clone();
        let born = server
            .post("/v3/{project_id}/vaults", body)
            .await
            .expect(200);
        let query = format!(
            "/v3/{{project_id}}/vaults?policy_id={}",
            id.as_str().unwrap()
        );
        let listed = server.get(&query).await.expect(200);
        assert_eq!(listed["count"], 2);
        let vaults = listed["vaults"].as_array().unwrap();
        let is_born = |vault: &Value| vault["id"] == born["vault"]["id"];
        assert!(vaults.iter().any(is_born), "{vaults:?}");
    })
    .await;
}
