//! Every change leaves a record: what committed with the change, what was refused by itself.

use std::net::IpAddr;

use axum::body::Body;
use serde_json::{Value, json};
use strongroom_service::audit;

use super::installation::on_each_installation;
use super::schemas::operations;
use super::server::{PROXY, TestServer, Who, on_each_server, vault_body};
use crate::Peer;

/// All records that the filter finds, newest first.
async fn records(server: &TestServer, filter: &str) -> Vec<Value> {
    let listed = server.get(&format!("/strongroom/v1/audit?{filter}")).await;
    let listed = listed.expect(200);
    let records = listed["records"].as_array().unwrap().clone();
    assert!(listed["count"].as_u64().unwrap() >= records.len() as u64);
    records
}

/// `reader denied deleteVault vault APIGW.0302`.
fn line(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
    let parts = [
        "user_name",
        "outcome",
        "action",
        "resource_type",
        "error_code",
    ]
    .map(text);
    parts.join(" ").trim_end().to_owned()
}

#[tokio::test]
async fn a_change_is_recorded_with_who_what_and_from_where() {
    on_each_server(async |server| {
        let request = server.request(Who::Admin, "POST", "/v3/{project_id}/vaults");
        let mut request = request
            .body(Body::from(vault_body("audited").to_string()))
            .unwrap();
        let from: IpAddr = PROXY.parse().unwrap();
        request.extensions_mut().insert(Peer(from));
        let forwarded = "6.6.6.6, 192.0.2.7".parse().unwrap();
        request.headers_mut().insert("X-Forwarded-For", forwarded);
        let answer = server.send(request).await;
        let id = answer.headers["X-Request-Id"].to_str().unwrap().to_owned();
        let vault = answer.expect(200)["vault"]["id"].clone();

        let records = records(&server, &format!("request_id={id}")).await;
        assert_eq!(records.len(), 1);
        let record = &records[0];
        assert_eq!(line(record), "admin success createVault vault");
        assert_eq!(record["resource_id"], vault);
        assert_eq!(record["project_id"], server.project.as_str());
        assert_eq!(record["source"], "192.0.2.7");
        assert_eq!(record["access_key"], Value::Null);
        assert_eq!(record["happened_at"], "2026-01-01T00:00:00.000000");
        assert!(record["user_id"].is_string() && record["domain_id"].is_string());
    })
    .await;
}

#[tokio::test]
async fn refusals_are_recorded_too() {
    on_each_server(async |server| {
        let vault = server.add_vault("kept").await;
        let path = format!("/v3/{{project_id}}/vaults/{vault}");
        for who in [Who::Reader, Who::Nobody] {
            server.call(who, "DELETE", &path, &Value::Null).await;
        }
        server
            .put(&path, json!({"vault": {"billing": {"size": 0}}}))
            .await;
        server.get(&path).await.expect(200);
        let lines: Vec<_> = records(&server, &format!("resource_id={vault}")).await;
        let mut lines: Vec<_> = lines.iter().map(line).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                " denied deleteVault vault APIGW.0301",
                "admin failed updateVault vault BackupService.9900",
                "admin success createVault vault",
                "reader denied deleteVault vault APIGW.0302",
            ]
        );
        for (filter, count) in [
            ("outcome=denied", 2),
            ("outcome=failed&action=updateVault", 1),
            ("action=createVault&end_time=2025-01-01T00:00:00Z", 0),
            ("action=createVault&start_time=2025-01-01T00:00:00Z", 1),
            ("limit=1", 1),
        ] {
            assert_eq!(records(&server, filter).await.len(), count, "{filter}");
        }
        let all = records(&server, "").await;
        let marker = all[0]["id"].as_str().unwrap();
        let rest = records(&server, &format!("marker={marker}")).await;
        assert_eq!(rest, all[1..]);
        let reader = server
            .call(Who::Reader, "GET", "/strongroom/v1/audit", &Value::Null)
            .await;
        assert_eq!(reader.refusal(), "APIGW.0302 403");
    })
    .await;
}

#[tokio::test]
async fn strangers_cannot_fill_the_audit() {
    on_each_server(async |server| {
        for _ in 0..100 {
            server
                .call(Who::Nobody, "POST", "/v3/{project_id}/vaults", &json!({}))
                .await;
        }
        assert_eq!(records(&server, "outcome=denied").await.len(), 60);
    })
    .await;
}

#[tokio::test]
async fn sign_ins_and_access_keys_are_recorded_without_their_secrets() {
    on_each_installation(async |it| {
        let all = async || {
            it.as_admin("GET", "/strongroom/v1/audit", &Value::Null)
                .await
                .body
        };
        let signed_in = all().await["records"][0].clone();
        assert_eq!(line(&signed_in), "admin success createToken");

        let body = json!({"auth": {"identity": {"methods": ["password"], "password": {"user":
            {"name": "admin", "password": "wrong horse", "domain": {"name": "default"}}}}}});
        it.request("POST", "/v3/auth/tokens", &[], &body).await;
        let (key, _) = it.first_key();
        let target = "/strongroom/v1/projects";
        let body = json!({"name": "made"}).to_string();
        for (secret, expected) in [
            (
                it.first.secret_key.expose(),
                "admin success createProject project",
            ),
            ("guessed", " denied createProject  APIGW.0301"),
        ] {
            let signed = it.sign((key, secret), "POST", target, &[], &body);
            let headers = [
                ("X-Sdk-Date", signed.date.as_str()),
                ("Authorization", &signed.authorization),
            ];
            let value: Value = serde_json::from_str(&body).unwrap();
            it.request("POST", target, &headers, &value).await;
            let records = all().await["records"].as_array().unwrap().clone();
            let record = records.iter().find(|record| line(record) == expected);
            let record = record.unwrap_or_else(|| panic!("{expected} is not in {records:#?}"));
            assert_eq!(record["access_key"], key);
        }
        let text = all().await.to_string();
        assert!(text.contains("createToken") && text.contains("denied"));
        let secret = it.first.secret_key.expose();
        for secret in ["wrong horse", "guessed", secret, &it.admin] {
            assert!(!text.contains(secret), "{secret} is in the audit");
        }
    })
    .await;
}

#[tokio::test]
async fn old_records_are_forgotten() {
    on_each_installation(async |it| {
        let app = &it.app;
        assert_eq!(audit::prune(app).await.unwrap(), 0);
        it.clock.advance(app.settings.audit_retention);
        assert_eq!(audit::prune(app).await.unwrap(), 0, "as old as may be");
        it.clock.advance(std::time::Duration::from_secs(1));
        assert_eq!(audit::prune(app).await.unwrap(), 1, "the first sign-in");
    })
    .await;
}

/// Whoever adds a route need not think of the audit, but of the name under which it appears there.
#[tokio::test]
async fn every_change_of_the_document_is_recorded() {
    let changes = operations().into_iter().filter(|operation| {
        let asks = ["/agent/check", "/resource_instances/action"];
        operation.method != "GET" && !asks.iter().any(|part| operation.path.ends_with(part))
    });
    let changes: Vec<_> = changes.collect();
    on_each_server(async |server| {
        for operation in &changes {
            let path = super::access::filled(&operation.path);
            let answer = server
                .call(Who::Reader, &operation.method, &path, &Value::Null)
                .await;
            let id = answer.headers["X-Request-Id"].to_str().unwrap().to_owned();
            let records = records(&server, &format!("request_id={id}")).await;
            assert_eq!(records.len(), 1, "{operation:?}");
            assert_ne!(records[0]["outcome"], "success", "{operation:?}");
        }
    })
    .await;
}
