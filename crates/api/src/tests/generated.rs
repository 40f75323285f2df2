//! Requests made from the API's own description, with faults thrown in: none may break the service.

use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};

use super::schemas::{Operation, operations, values};
use super::server::{Answer, TestServer, Who, on_each_server};

/// Enough that every operation gets dozens, in a few seconds.
const CASES: u32 = 1200;

/// Objects that exist, so that requests get past the look-up.
#[derive(Debug, Clone)]
struct Known {
    vault: String,
    server: String,
}

#[derive(Debug, Clone)]
struct Call {
    method: String,
    path: String,
    body: Value,
}

fn calls(operation: &Operation, known: &Known) -> BoxedStrategy<Call> {
    let Operation { method, path, .. } = operation.clone();
    let query: Vec<_> = operation
        .query
        .iter()
        .map(|(name, schema)| {
            let name = name.clone();
            let parameter =
                values(schema).prop_map(move |value| format!("{name}={}", escaped(&value)));
            proptest::option::weighted(0.3, parameter).boxed()
        })
        .collect();
    let body = operation
        .body
        .as_ref()
        .map_or(Just(Value::Null).boxed(), values);
    let known = known.clone();
    (paths(&path, &known), query, body)
        .prop_map(move |(path, query, body)| {
            let query: Vec<_> = query.into_iter().flatten().collect();
            Call {
                method: method.clone(),
                path: format!("{path}?{}", query.join("&")),
                body: with_known(body, &known),
            }
        })
        .boxed()
}

fn escaped(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Array(values) => values.first().map(ToString::to_string).unwrap_or_default(),
        other => other.to_string(),
    };
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// Ids that exist, ids that do not, and texts that are no ids.
fn paths(path: &str, known: &Known) -> BoxedStrategy<String> {
    let parts: Vec<BoxedStrategy<String>> = path
        .split('/')
        .map(|part| {
            let existing = match part {
                "{project_id}" => return Just(part.to_owned()).boxed(),
                "{protectable_type}" => {
                    prop_oneof![Just("server".to_owned()), Just("disk".to_owned())].boxed()
                }
                "{vault_id}" => Just(known.vault.clone()).boxed(),
                "{instance_id}" | "{server_id}" => Just(known.server.clone()).boxed(),
                part if part.starts_with('{') => Just("0".repeat(32)).boxed(),
                part => return Just(part.to_owned()).boxed(),
            };
            let unknown = Just("11111111-2222-4333-8444-555555555555".to_owned());
            let name = prop_oneof![
                Just("a%20b".to_owned()),
                Just("%00".to_owned()),
                Just("%ff".to_owned()),
                Just("..".to_owned())
            ];
            prop_oneof![6 => existing, 1 => unknown, 1 => name].boxed()
        })
        .collect();
    parts.prop_map(|parts| parts.join("/")).boxed()
}

/// Puts ids that exist where the body names a vault or a resource, half of the time.
fn with_known(mut body: Value, known: &Known) -> Value {
    if let Some(vault) = body.pointer_mut("/checkpoint/vault_id") {
        *vault = json!(known.vault);
    }
    for pointer in [
        "/resources/0/id",
        "/vault/resources/0/id",
        "/resource_ids/0",
    ] {
        if let Some(id) = body.pointer_mut(pointer) {
            *id = json!(known.server);
        }
    }
    body
}

fn check(call: &Call, answer: &Answer) -> Result<(), TestCaseError> {
    let status = answer.status.as_u16();
    prop_assert!(status < 500, "{status} {}: {call:?}", answer.text);
    prop_assert!(answer.headers.contains_key("X-Request-Id"));
    if status >= 400 {
        let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
        let ours = body["error_code"].is_string() && body["error_msg"].is_string();
        let keystone = body["error"]["code"] == status;
        prop_assert!(ours || keystone, "{status} {}: {call:?}", answer.text);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_breaks_the_service() {
    on_each_server(|server| async move {
        let kept = Known {
            server: server.add_server("kept").await,
            vault: server.add_vault("kept").await,
        };
        let victims = Known {
            server: server.add_server("victim").await,
            vault: server.add_vault("victim").await,
        };
        let runtime = tokio::runtime::Handle::current();
        tokio::task::spawn_blocking(move || run(&server, &kept, &victims, &runtime))
            .await
            .unwrap();
    })
    .await;
}

/// The same requests each time, unless somebody goes looking with `PROPTEST_CASES=20000`.
fn runner() -> TestRunner {
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_some() {
        return TestRunner::new(config);
    }
    let repeatable = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config {
        cases: CASES,
        ..config
    };
    TestRunner::new_with_rng(config, repeatable)
}

/// Deletions get objects of their own, so that everything else keeps something to work on.
fn run(server: &Arc<TestServer>, kept: &Known, victims: &Known, runtime: &tokio::runtime::Handle) {
    let of_operations: Vec<_> = operations()
        .iter()
        .map(|operation| match operation.method.as_str() {
            "DELETE" => calls(operation, victims),
            _ => calls(operation, kept),
        })
        .collect();
    let calls = proptest::strategy::Union::new(of_operations);
    let outcome = runner().run(&calls, |call| {
        let answer =
            runtime.block_on(server.call(Who::Admin, &call.method, &call.path, &call.body));
        check(&call, &answer)
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
