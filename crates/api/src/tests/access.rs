//! Every operation of the document refuses strangers, and every change refuses readers.

use serde_json::Value;

use super::schemas::{Operation, minimal_body, operations};
use super::server::{Who, on_each_server};

/// What needs no credentials; everything else must.
fn is_open(operation: &Operation) -> bool {
    match operation.path.as_str() {
        "/" | "/cbr" | "/healthz" | "/metrics" | "/openapi.json" | "/v3" | "/v3/" => true,
        "/v3/auth/tokens" => operation.method == "POST",
        _ => false,
    }
}

/// The paths of CBR and of our own extension, whose refusals have the form of CBR.
fn is_ours(operation: &Operation) -> bool {
    operation.path.starts_with("/v3/{project_id}/") || operation.path.starts_with("/strongroom/")
}

/// What other regions ask, with a secret of their own; no user is anybody there.
fn is_for_peers(operation: &Operation) -> bool {
    operation.path.starts_with("/strongroom/v1/replication/")
}

/// What a project does with its own backups and policies, beside CBR.
fn is_of_project(operation: &Operation) -> bool {
    let parts = ["/attachments", "/proofs", "/machine", "/policies/"];
    parts.iter().any(|part| operation.path.contains(part))
}

/// A path with ids of the right form that name nothing, and with what its query needs.
pub(super) fn filled(path: &str) -> String {
    let needed = match path {
        "/v3/{project_id}/vaults/external" => {
            "?region_id=region-2&external_project_id=0123456789abcdef0123456789abcdef"
        }
        // A list that cannot be asked for without saying of what.
        "/v3/{project_id}/organization-policies" => "?operation_type=backup",
        _ => "",
    };
    let parts: Vec<_> = path
        .split('/')
        .map(|part| match part {
            "{project_id}" => part,
            "{protectable_type}" => "server",
            "{feature_key}" => "replication.enable",
            "{user_id}" | "{member_id}" => "0123456789abcdef0123456789abcdef",
            part if part.starts_with('{') => "11111111-2222-4333-8444-555555555555",
            part => part,
        })
        .collect();
    parts.join("/") + needed
}

#[tokio::test]
async fn strangers_are_refused_everywhere() {
    let operations = operations();
    assert!(operations.len() > 25);
    on_each_server(|server| {
        let operations = operations.clone();
        async move {
            for operation in operations.iter().filter(|operation| !is_open(operation)) {
                let path = filled(&operation.path);
                let answer = server
                    .call(Who::Nobody, &operation.method, &path, &Value::Null)
                    .await;
                assert_eq!(answer.status, 401, "{operation:?}: {}", answer.text);
                if is_ours(operation) {
                    assert_eq!(answer.refusal(), "APIGW.0301 401", "{operation:?}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn readers_change_nothing_and_run_no_installation() {
    let operations = operations();
    on_each_server(|server| {
        let operations = operations.clone();
        async move {
            for operation in operations.iter().filter(|operation| is_ours(operation)) {
                let path = filled(&operation.path);
                let body = minimal_body(operation);
                let answer = server
                    .call(Who::Reader, &operation.method, &path, &body)
                    .await;
                let searches = operation.path.ends_with("/resource_instances/action");
                let changes = operation.method != "GET" && !searches;
                // What an account pushes to all its projects is no single project's to see.
                let of_account = operation.path.contains("/organization-policies");
                let of_installation =
                    operation.path.starts_with("/strongroom/") && !is_of_project(operation);
                if is_for_peers(operation) {
                    assert_eq!(answer.refusal(), "APIGW.0301 401", "{operation:?}");
                } else if changes || of_account || of_installation {
                    assert_eq!(
                        answer.refusal(),
                        "APIGW.0302 403",
                        "{operation:?}: {}",
                        answer.text
                    );
                } else {
                    assert!(
                        [200, 404].contains(&answer.status.as_u16()),
                        "{operation:?}: {}",
                        answer.text
                    );
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn another_project_is_out_of_reach() {
    on_each_server(|server| async move {
        let path = "/v3/0123456789abcdef0123456789abcdef/vaults";
        let answer = server.call(Who::Reader, "GET", path, &Value::Null).await;
        assert_eq!(answer.refusal(), "APIGW.0302 403");
    })
    .await;
}
