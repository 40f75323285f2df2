use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::Value;
use strongroom_service::Db;
use strongroom_testkit::test_databases;

use super::server::{TestServer, Who};

/// Labels must be bounded: a route, not what a client put into it.
#[test]
fn requests_are_counted_by_route_and_status() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // A local recorder holds for this thread, so the requests run on it.
    metrics::with_local_recorder(&recorder, || runtime.block_on(send_some()));
    let text = handle.render();
    let counted = |operation: &str, status: u16, count: u64| {
        let line = format!(
            "strongroom_http_requests_total{{operation=\"{operation}\",status=\"{status}\"}} {count}\n"
        );
        assert!(text.contains(&line), "{line}{text}");
    };
    counted("GET /v3/{project_id}/vaults", 200, 2);
    counted("GET /v3/{project_id}/vaults/{vault_id}", 404, 2);
    counted("GET unknown", 404, 2);
    counted("OTHER /healthz", 405, 1);
    assert!(text.contains("strongroom_http_request_seconds_count{operation=\"GET unknown\"} 2"));
    assert!(!text.contains("nowhere"), "{text}");
}

async fn send_some() {
    let database = test_databases().await.remove(0);
    let server = TestServer::new(Db::open(&database.address).await.unwrap()).await;
    for path in [
        "/v3/{project_id}/vaults",
        "/v3/{project_id}/vaults?limit=5",
        "/v3/{project_id}/vaults/a",
        "/v3/{project_id}/vaults/b",
        "/nowhere/1",
        "/nowhere/2",
    ] {
        server.get(path).await;
    }
    server
        .call(Who::Nobody, "BREW", "/healthz", &Value::Null)
        .await;
}
