use std::sync::Arc;

use axum::Router;
use serde_json::{Value, json};

use super::contents::PlayedContents;
use super::server::{NoReplicas, TestServer, Who, on_each_server};
use crate::{ApiState, Limiter, Limits, router};

fn limited(server: &TestServer, limits: Limits) -> Router {
    router(ApiState {
        app: server.app.clone(),
        replicas: Arc::new(NoReplicas),
        contents: Arc::new(PlayedContents),
        public_url: None,
        render_metrics: Arc::new(String::new),
        trusted_proxies: Arc::default(),
        limiter: Arc::new(Limiter::new(limits)),
    })
}

#[tokio::test]
async fn a_project_that_asks_too_much_waits_and_the_others_do_not() {
    on_each_server(async |server| {
        let body = json!({"name": "other"});
        let other = server
            .post("/strongroom/v1/projects", body)
            .await
            .expect(201);
        let token = server
            .token_for(other["project"]["id"].as_str().unwrap())
            .await;
        let limits = Limits {
            requests_per_second: 1,
            burst: 2,
            requests_at_once: 9,
        };
        let limited = server.with_router(limited(&server, limits));
        let path = "/v3/{project_id}/vaults";
        let ask = async || limited.call(Who::Reader, "GET", path, &Value::Null).await;
        ask().await.expect(200);
        ask().await.expect(200);
        let refused = ask().await;
        assert_eq!(refused.refusal(), "APIGW.0308 429");
        assert_eq!(refused.headers["Retry-After"], "1");
        let id = refused.headers["X-Request-Id"].to_str().unwrap().to_owned();
        let body = refused.json();
        assert_eq!(body["request_id"], id.as_str());
        let said = body["error_msg"].as_str().unwrap();
        assert!(
            said.starts_with("The throttling threshold has been reached: policy"),
            "{said}"
        );
        let request = axum::http::Request::get("/v3/region-projects").header("X-Auth-Token", token);
        let request = request.body(axum::body::Body::empty()).unwrap();
        limited.send(request).await.expect(200);
        // Nor does what needs no credentials.
        limited
            .call(Who::Nobody, "GET", "/healthz", &Value::Null)
            .await
            .expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_refusal_for_asking_too_much_is_no_change_and_leaves_no_record() {
    on_each_server(async |server| {
        let limits = Limits {
            requests_per_second: 1,
            burst: 1,
            requests_at_once: 9,
        };
        let limited = server.with_router(limited(&server, limits));
        let change = async || {
            limited
                .call(Who::Reader, "POST", "/v3/{project_id}/vaults", &json!({}))
                .await
        };
        assert_eq!(change().await.status, 400);
        assert_eq!(change().await.status, 429);
        let records = server.get("/strongroom/v1/audit?action=createVault").await;
        assert_eq!(records.expect(200)["count"], 1);
    })
    .await;
}
