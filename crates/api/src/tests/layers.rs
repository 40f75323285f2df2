//! What surrounds every handler: ids, limits, unknown routes, and what needs no credentials.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use serde_json::Value;
use strongroom_wire::Code;

use crate::extract::read_body_within;

use super::server::{Who, on_each_server};

#[tokio::test]
async fn every_answer_names_its_request() {
    on_each_server(async |server| {
        let mut seen = std::collections::HashSet::new();
        for path in [
            "/healthz",
            "/v3/{project_id}/vaults",
            "/nowhere",
            "/v3/x/vaults",
        ] {
            let answer = server.get(path).await;
            let id = answer.headers["X-Request-Id"].to_str().unwrap().to_owned();
            assert!(
                id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit()),
                "{id}"
            );
            assert!(seen.insert(id), "{path}");
        }
    })
    .await;
}

#[tokio::test]
async fn unknown_routes_and_methods_are_refused_as_a_gateway_does() {
    on_each_server(async |server| {
        let unknown = server.get("/v3/{project_id}/no-such-thing").await;
        assert_eq!(unknown.refusal(), "APIGW.0101 404");
        let id = unknown.headers["X-Request-Id"].to_str().unwrap();
        assert_eq!(unknown.json()["request_id"], id);
        let wrong = server
            .call(Who::Admin, "PATCH", "/v3/{project_id}/vaults", &Value::Null)
            .await;
        assert_eq!(wrong.refusal(), "APIGW.0101 405");
        assert!(wrong.headers["Allow"].to_str().unwrap().contains("POST"));
        assert_eq!(wrong.headers["Content-Type"], "application/json");
    })
    .await;
}

#[tokio::test]
async fn refusals_of_every_kind_name_their_request() {
    on_each_server(async |server| {
        let vaults = "/v3/{project_id}/vaults";
        let large = "x".repeat((1 << 20) + 1);
        for (who, method, path, body, status) in [
            (Who::Nobody, "GET", vaults, "", 401),
            (Who::Reader, "POST", vaults, "", 400),
            (Who::Reader, "GET", "/strongroom/v1/orders", "", 403),
            (Who::Admin, "GET", "/v3/{project_id}/nowhere", "", 404),
            (Who::Admin, "PATCH", vaults, "", 405),
            (Who::Admin, "POST", vaults, large.as_str(), 413),
            (Who::Nobody, "POST", "/v3/auth/tokens", "{}", 400),
        ] {
            let request = server.request(who, method, path);
            let body = Body::from(body.to_owned());
            let answer = server.send(request.body(body).unwrap()).await;
            assert_eq!(answer.status.as_u16(), status, "{method} {path}");
            let id = answer.headers["X-Request-Id"].to_str().unwrap();
            assert_eq!(id.len(), 32, "{method} {path}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_body_above_one_mebibyte_is_refused() {
    on_each_server(async |server| {
        let body = format!(r#"{{"vault": "{}"}}"#, "x".repeat(1 << 20));
        let request = server.request(Who::Admin, "POST", "/v3/{project_id}/vaults");
        let answer = server.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(answer.refusal(), "9900 413");
    })
    .await;
}

#[tokio::test]
async fn what_is_about_the_service_needs_no_credentials() {
    on_each_server(async |server| {
        let cases = [
            ("/", 300, r#""id":"v3""#),
            ("/cbr", 300, r#""status":"CURRENT""#),
            ("/healthz", 200, r#""status":"ok""#),
            ("/metrics", 200, "strongroom_up 1"),
            ("/openapi.json", 200, r#""openapi": "3"#),
        ];
        for (path, status, part) in cases {
            let answer = server.call(Who::Nobody, "GET", path, &Value::Null).await;
            assert_eq!(
                answer.status,
                StatusCode::from_u16(status).unwrap(),
                "{path}"
            );
            assert!(answer.text.contains(part), "{path}: {}", answer.text);
        }
    })
    .await;
}

#[tokio::test]
async fn a_panic_is_a_refusal_with_an_id() {
    on_each_server(async |server| {
        let panicking = crate::router::with_layers(
            axum::Router::new().route(
                "/",
                axum::routing::get(async || -> StatusCode { panic!("a defect") }),
            ),
            &crate::ApiState {
                app: server.app.clone(),
                public_url: None,
                render_metrics: std::sync::Arc::new(String::new),
                trusted_proxies: std::sync::Arc::default(),
                limiter: super::server::unlimited(),
                replicas: std::sync::Arc::new(super::server::NoReplicas),
                contents: std::sync::Arc::new(super::contents::PlayedContents),
            },
        );
        let request = server
            .request(Who::Nobody, "GET", "/")
            .body(Body::empty())
            .unwrap();
        let response = tower::ServiceExt::oneshot(panicking, request)
            .await
            .unwrap();
        assert_eq!(response.status(), 500);
        assert!(response.headers().contains_key("X-Request-Id"));
        let body = axum::body::to_bytes(response.into_body(), 1 << 16)
            .await
            .unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["error_code"], "BackupService.9910");
        assert!(!body["error_msg"].as_str().unwrap().contains("defect"));
    })
    .await;
}

#[tokio::test]
async fn a_body_that_never_ends_is_the_clients_failure() {
    let silence = futures::stream::pending::<Result<bytes::Bytes, std::convert::Infallible>>();
    let refusal = read_body_within(Body::from_stream(silence), Duration::from_millis(1)).await;
    assert_eq!(refusal.unwrap_err().code, Code::BodyTooSlow);
}
