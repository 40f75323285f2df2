//! The published description: one Swagger file for each operation, in the sources of a crate that collects them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const CRATE: &str = "huawei-cloud-api-definitions-CBR";

#[derive(Debug)]
pub(super) struct Published {
    pub(super) id: String,
    /// `POST`.
    pub(super) method: String,
    pub(super) path: String,
    /// What goes into the path and the query, but for the project.
    pub(super) parameters: Vec<Parameter>,
    /// The schema of the body, references replaced.
    pub(super) body: Option<Value>,
    /// The status of success.
    pub(super) success: u16,
    /// The rules of its body unless that is empty.
    pub(super) answer: Option<jsonschema::Validator>,
}

#[derive(Debug, Clone)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) is_query: bool,
    pub(super) is_required: bool,
    /// Type and limits, as in a body.
    pub(super) schema: Value,
}

/// Every published operation, by name.
pub(super) fn published() -> Vec<Published> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

/// Where cargo keeps the crate's sources: it is never built, so only cargo knows.
fn folder() -> PathBuf {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args([
            "--manifest-path",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ])
        .output()
        .unwrap();
    assert!(
        told.status.success(),
        "{}",
        String::from_utf8_lossy(&told.stderr)
    );
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let packages = told["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == CRATE);
    let manifest = package.unwrap()["manifest_path"].as_str().unwrap();
    Path::new(manifest).with_file_name("src")
}

fn read(file: &Path) -> Published {
    let mut document: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let definitions = document["definitions"].as_object_mut();
    definitions
        .into_iter()
        .flat_map(|all| all.values_mut())
        .for_each(say_objects);
    let (path, item) = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    let method = document["method"].as_str().unwrap();
    let operation = &item[method];
    let parameters = operation["parameters"].as_array().unwrap();
    let body = parameters
        .iter()
        .find(|parameter| parameter["in"] == "body");
    let (success, answer) = success(&document, &operation["responses"]);
    Published {
        success,
        answer,
        id: document["name"].as_str().unwrap().to_owned(),
        method: method.to_uppercase(),
        path: path.clone(),
        parameters: parameters.iter().filter_map(parameter).collect(),
        body: body.map(|body| resolved(&document, &body["schema"])),
    }
}

fn parameter(described: &Value) -> Option<Parameter> {
    let name = described["name"].as_str().unwrap();
    let place = described["in"].as_str().unwrap();
    (["query", "path"].contains(&place) && name != "project_id").then(|| Parameter {
        name: name.to_owned(),
        is_query: place == "query",
        is_required: described["required"] == true,
        schema: described.clone(),
    })
}

/// The first status, and the rules of the body that comes with it.
fn success(document: &Value, responses: &Value) -> (u16, Option<jsonschema::Validator>) {
    let by_status: BTreeMap<u16, &Value> = responses
        .as_object()
        .unwrap()
        .iter()
        .map(|(status, answer)| (status.parse().unwrap(), answer))
        .collect();
    let (status, answer) = by_status.into_iter().next().unwrap();
    assert!((200..300).contains(&status));
    let schema = json!({"definitions": document["definitions"], "allOf": [answer["schema"]]});
    let rules = answer["schema"].is_object();
    let rules = rules.then(|| jsonschema::draft4::new(&schema).unwrap());
    (status, rules)
}

/// Says of what has fields that it is an object: the description means it, and half of the time says so.
fn say_objects(schema: &mut Value) {
    if let Some(fields) = schema.get_mut("properties") {
        fields
            .as_object_mut()
            .unwrap()
            .values_mut()
            .for_each(say_objects);
        schema["type"] = json!("object");
    }
    if let Some(items) = schema.get_mut("items") {
        say_objects(items);
    }
}

/// A schema whose references are replaced by what they refer to. Requests do not refer to themselves.
fn resolved(document: &Value, schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            if let Some(target) = fields.get("$ref").and_then(Value::as_str) {
                let target = document.pointer(target.strip_prefix('#').unwrap()).unwrap();
                return resolved(document, target);
            }
            let fields = fields
                .iter()
                .map(|(name, value)| (name.clone(), resolved(document, value)));
            Value::Object(fields.collect())
        }
        Value::Array(values) => values
            .iter()
            .map(|value| resolved(document, value))
            .collect(),
        other => other.clone(),
    }
}
