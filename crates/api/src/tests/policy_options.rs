//! What a policy chooses beside its definition, as clients write it and read it back.

use serde_json::{Value, json};

use super::golden::{assert_shape, golden};
use super::server::{TestServer, on_each_server};

const UNKNOWN: &str = "11111111-2222-4333-8444-555555555555";

/// Makes a policy, and answers it and the path of its options.
async fn policy(server: &TestServer, operation_type: &str, definition: Value) -> (Value, String) {
    let body = json!({"policy": {
        "name": "daily",
        "operation_type": operation_type,
        "operation_definition": definition,
        "trigger": {"properties": {"pattern": ["FREQ=DAILY;INTERVAL=1;BYHOUR=03;BYMINUTE=00"]}},
    }});
    let made = server.post("/v3/{project_id}/policies", body).await;
    let made = made.expect(200);
    let id = made["policy"]["id"].as_str().unwrap();
    let options = format!("/strongroom/v1/{{project_id}}/policies/{id}/options");
    (made, options)
}

#[tokio::test]
async fn options_have_a_place_of_their_own_and_are_changed_in_parts() {
    on_each_server(async |server| {
        let (made, options) = policy(&server, "backup", json!({"max_backups": 3})).await;
        let path = options.replace("/strongroom/v1/", "/v3/");
        let path = path.trim_end_matches("/options");
        let before = server.get(path).await.expect(200);
        let shown = server.get(&options).await.expect(200);
        let defaults = json!({"on_failed_freeze": "crash_consistent", "prove": null});
        assert_eq!(shown["options"], defaults);

        let change = async |change: Value| {
            let body = json!({ "options": change });
            server.put(&options, body).await
        };
        let changed = change(json!({"prove": {"every_days": 7}}))
            .await
            .expect(200);
        assert_shape(&changed, golden!("policy_options"));
        let changed = change(json!({"on_failed_freeze": "fail"}))
            .await
            .expect(200);
        let both = json!({"on_failed_freeze": "fail", "prove": {"every_days": 7}});
        assert_eq!(changed["options"], both);
        for bad in [
            json!({"on_failed_freeze": "retry"}),
            json!({"on_failed_freeze": "crash_consistent", "prove": {"every_days": 0}}),
            json!({"prove": {"every_days": 366}}),
            json!({"prove": {}}),
            json!({"prove": true}),
        ] {
            assert_eq!(change(bad).await.refusal(), "9900 400");
        }
        let nothing = server.put(&options, json!({})).await;
        assert_eq!(nothing.refusal(), "9900 400");
        assert_eq!(server.get(&options).await.expect(200)["options"], both);
        // What it answers can be sent back.
        assert_eq!(change(both.clone()).await.expect(200)["options"], both);
        let changed = change(json!({"prove": null})).await.expect(200);
        assert_eq!(changed["options"]["prove"], Value::Null);

        // CBR's own shape knows nothing of it.
        let after = server.get(path).await.expect(200);
        assert_eq!(after, before);
        assert_eq!(made["policy"]["operation_definition"]["max_backups"], 3);
    })
    .await;
}

#[tokio::test]
async fn only_policies_that_make_backups_have_something_to_choose() {
    on_each_server(async |server| {
        let away = json!({"destination_region": "far", "destination_project_id": "p"});
        let (_, options) = policy(&server, "replication", away).await;
        let body = json!({"options": {"prove": {"every_days": 7}}});
        let refused = server.put(&options, body.clone()).await;
        assert_eq!(refused.refusal(), "9900 400");
        let shown = server.get(&options).await.expect(200);
        assert_eq!(shown["options"]["prove"], Value::Null);
        let unknown = format!("/strongroom/v1/{{project_id}}/policies/{UNKNOWN}/options");
        assert_eq!(server.get(&unknown).await.refusal(), "6000 404");
        assert_eq!(server.put(&unknown, body).await.refusal(), "6000 404");
    })
    .await;
}
