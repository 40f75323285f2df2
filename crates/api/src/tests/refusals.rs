//! Bad requests and what they hear.

use axum::body::Body;
use serde_json::{Value, json};

use super::server::{TestServer, Who, on_each_server, vault_body};

const UNKNOWN: &str = "11111111-2222-4333-8444-555555555555";

/// A vault request with one field of `vault` replaced.
fn vault_with(field: &str, value: Value) -> Value {
    let mut body = vault_body("v");
    body["vault"][field] = value;
    body
}

fn billing_with(field: &str, value: Value) -> Value {
    let mut body = vault_body("v");
    body["vault"]["billing"][field] = value;
    body
}

fn vault_cases() -> Vec<(Value, &'static str)> {
    let tags: Vec<Value> = (0..101)
        .map(|i| json!({"key": format!("k{i}"), "value": ""}))
        .collect();
    vec![
        (json!({}), "9900 400"),
        (json!({"vault": {}}), "9900 400"),
        (json!([]), "9900 400"),
        (vault_with("name", json!("")), "9900 400"),
        (vault_with("name", json!("a b")), "9900 400"),
        (vault_with("name", json!("x".repeat(65))), "9900 400"),
        (vault_with("name", json!(7)), "9900 400"),
        (vault_with("description", json!("<b>")), "9900 400"),
        (vault_with("description", json!("a\u{0}b")), "9900 400"),
        (vault_with("resources", json!(null)), "9900 400"),
        (
            vault_with(
                "resources",
                json!([{"id": "x", "type": "OS::Nova::Server"}]),
            ),
            "9900 400",
        ),
        (
            vault_with(
                "resources",
                json!([{"id": UNKNOWN, "type": "OS::Nova::Toaster"}]),
            ),
            "9900 400",
        ),
        (
            vault_with(
                "resources",
                json!([{"id": UNKNOWN, "type": "OS::Nova::Server"}]),
            ),
            "6302 404",
        ),
        (
            vault_with(
                "resources",
                json!([{"id": UNKNOWN, "type": "OS::Cinder::Volume"}]),
            ),
            "6102 400",
        ),
        (vault_with("threshold", json!(101)), "9900 400"),
        (vault_with("tags", json!(tags)), "9900 400"),
        (
            vault_with(
                "tags",
                json!([{"key": "a", "value": ""}, {"key": "a", "value": "b"}]),
            ),
            "9900 400",
        ),
        (
            vault_with("tags", json!([{"key": "a b", "value": ""}])),
            "9900 400",
        ),
        (vault_with("backup_policy_id", json!("daily")), "9900 400"),
        (vault_with("backup_policy_id", json!(UNKNOWN)), "6000 404"),
        (billing_with("size", json!(9)), "9900 400"),
        (billing_with("size", json!(10_485_761)), "9900 400"),
        (billing_with("size", json!(1e300)), "9900 400"),
        (billing_with("size", json!("100")), "9900 400"),
        (billing_with("object_type", json!("toaster")), "9900 400"),
        (billing_with("object_type", json!("turbo")), "6116 400"),
        (billing_with("protect_type", json!("hybrid")), "6116 400"),
        (billing_with("charging_mode", json!("pre_paid")), "9900 400"),
    ]
}

#[tokio::test]
async fn vault_requests() {
    on_each_server(|server| async move {
        for (body, refusal) in vault_cases() {
            let answer = server.post("/v3/{project_id}/vaults", body.clone()).await;
            assert_eq!(answer.refusal(), refusal, "{body}: {}", answer.text);
        }
    })
    .await;
}

const NOWHERE: [(&str, &str, &str); 28] = [
    ("GET", "/v3/{project_id}/vaults/my_vault", "6105 404"),
    ("GET", "/v3/{project_id}/vaults/%ff", "9900 400"),
    ("GET", "/v3/{project_id}/vaults/%00", "6105 404"),
    ("GET", "/v3/{project_id}/vaults/{unknown}", "6105 404"),
    ("PUT", "/v3/{project_id}/vaults/{unknown}", "6105 404"),
    ("DELETE", "/v3/{project_id}/vaults/{unknown}", "6105 404"),
    (
        "POST",
        "/v3/{project_id}/vaults/{unknown}/addresources",
        "6105 404",
    ),
    (
        "POST",
        "/v3/{project_id}/vaults/{unknown}/removeresources",
        "6105 404",
    ),
    ("POST", "/v3/{project_id}/checkpoints", "6105 404"),
    ("GET", "/v3/{project_id}/checkpoints/{unknown}", "6217 404"),
    ("GET", "/v3/{project_id}/checkpoints/x", "6217 404"),
    ("GET", "/v3/{project_id}/backups/{unknown}", "6200 404"),
    ("PUT", "/v3/{project_id}/backups/{unknown}", "6200 404"),
    ("DELETE", "/v3/{project_id}/backups/{unknown}", "6200 404"),
    (
        "POST",
        "/v3/{project_id}/backups/{unknown}/restore",
        "6200 404",
    ),
    ("GET", "/v3/{project_id}/policies/daily", "6000 404"),
    ("PUT", "/v3/{project_id}/policies/{unknown}", "6000 404"),
    ("DELETE", "/v3/{project_id}/policies/{unknown}", "6000 404"),
    (
        "POST",
        "/v3/{project_id}/vaults/{unknown}/associatepolicy",
        "6105 404",
    ),
    (
        "POST",
        "/v3/{project_id}/vaults/{unknown}/dissociatepolicy",
        "6105 404",
    ),
    (
        "GET",
        "/v3/{project_id}/operation-logs/{unknown}",
        "6500 404",
    ),
    (
        "GET",
        "/v3/{project_id}/protectables/server/instances/{unknown}",
        "6302 404",
    ),
    (
        "GET",
        "/v3/{project_id}/protectables/toaster/instances",
        "9900 400",
    ),
    (
        "DELETE",
        "/strongroom/v1/{project_id}/volumes/{unknown}",
        "7000 404",
    ),
    (
        "DELETE",
        "/strongroom/v1/{project_id}/servers/{unknown}",
        "7100 404",
    ),
    (
        "POST",
        "/strongroom/v1/orders/{unknown}/approve",
        "Strongroom.1001 404",
    ),
    (
        "POST",
        "/strongroom/v1/orders/{unknown}/reject",
        "Strongroom.1001 404",
    ),
    (
        "POST",
        "/strongroom/v1/orders/NOT-A-UUID/reject",
        "Strongroom.1001 404",
    ),
];

#[tokio::test]
async fn ids_and_names_that_lead_nowhere() {
    on_each_server(|server| async move {
        for (method, path, refusal) in NOWHERE {
            let body = body_for(method, path);
            let path = path.replace("{unknown}", UNKNOWN);
            let answer = server.call(Who::Admin, method, &path, &body).await;
            assert_eq!(
                answer.refusal(),
                refusal,
                "{method} {path}: {}",
                answer.text
            );
        }
    })
    .await;
}

/// A body that has nothing wrong by itself.
fn body_for(method: &str, path: &str) -> Value {
    let end = path.rsplit('/').next().unwrap_or_default();
    match (method, end) {
        ("PUT", _) if path.contains("/vaults/") => json!({"vault": {"name": "v"}}),
        ("PUT", _) if path.contains("/policies/") => json!({"policy": {"name": "p"}}),
        (_, "associatepolicy" | "dissociatepolicy") => json!({"policy_id": UNKNOWN}),
        ("PUT", _) => json!({"backup": {"name": "b"}}),
        (_, "addresources") => json!({"resources": [{"id": UNKNOWN, "type": "OS::Nova::Server"}]}),
        (_, "removeresources") => json!({"resource_ids": [UNKNOWN]}),
        (_, "checkpoints") => json!({"checkpoint": {"vault_id": UNKNOWN}}),
        (_, "restore") => json!({"restore": {"volume_id": UNKNOWN}}),
        _ => Value::Null,
    }
}

#[tokio::test]
async fn query_parameters() {
    let lists = [
        "vaults",
        "backups",
        "policies",
        "operation-logs",
        "protectables/server/instances",
    ];
    let bad = [
        "limit=0",
        "limit=1001",
        "limit=",
        "limit=x",
        "limit=1e3",
        "offset=-1",
        "offset=9999999999999999999999",
        "marker=x",
    ];
    let good = [
        "limit=1",
        "limit=1000",
        "offset=9223372036854775807",
        "color=red",
        "limit=5&limit=x",
    ];
    on_each_server(|server| async move {
        for list in lists {
            for query in bad {
                let answer = server
                    .get(&format!("/v3/{{project_id}}/{list}?{query}"))
                    .await;
                assert_eq!(
                    answer.refusal(),
                    "9900 400",
                    "{list}?{query}: {}",
                    answer.text
                );
            }
            for query in good {
                let answer = server
                    .get(&format!("/v3/{{project_id}}/{list}?{query}"))
                    .await;
                assert_eq!(answer.status, 200, "{list}?{query}: {}", answer.text);
                assert_eq!(answer.json()["count"], 0, "{list}?{query}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn bodies_that_are_not_json() {
    on_each_server(|server| async move {
        let deep = "[".repeat(1000) + &"]".repeat(1000);
        let bodies: [&[u8]; 7] = [
            b"",
            b"null",
            b"{",
            b"{\"vault\": \xff}",
            b"\"\\ud800\"",
            b"{\"vault\": {\"name\": \"v\x00\"}}",
            deep.as_bytes(),
        ];
        for body in bodies {
            let answer = send_raw(&server, body).await;
            assert_eq!(answer, "9900 400", "{}", body.escape_ascii());
        }
    })
    .await;
}

async fn send_raw(server: &TestServer, body: &[u8]) -> String {
    let request = server
        .request(Who::Admin, "POST", "/v3/{project_id}/vaults")
        .header("Content-Type", "text/plain");
    let request = request.body(Body::from(body.to_vec())).unwrap();
    server.send(request).await.refusal()
}

#[tokio::test]
async fn a_locked_vault_stays_locked() {
    on_each_server(|server| async move {
        let id = server.add_vault("v").await;
        let path = format!("/v3/{{project_id}}/vaults/{id}");
        server
            .put(&path, json!({"vault": {"locked": true}}))
            .await
            .expect(200);
        let answer = server.put(&path, json!({"vault": {"locked": false}})).await;
        assert_eq!(answer.refusal(), "9900 400");
        let expected = "vault not support to modify locked attribute from true to false.";
        assert_eq!(answer.json()["error_msg"], expected);
    })
    .await;
}
