//! Reads the OpenAPI document as a source of requests.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::router::document_text;

#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names and schemas of its query parameters.
    pub(crate) query: Vec<(String, Value)>,
    /// The schema of its body, references replaced.
    pub(crate) body: Option<Value>,
}

pub(crate) fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&document_text()).unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if !["get", "post", "put", "delete"].contains(&method.as_str()) {
                continue;
            }
            let body = &operation["requestBody"]["content"]["application/json"]["schema"];
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                query: query_of(&document, operation),
                body: (!body.is_null()).then(|| resolved(&document, body)),
            });
        }
    }
    found
}

fn query_of(document: &Value, operation: &Value) -> Vec<(String, Value)> {
    let parameters = operation["parameters"].as_array();
    let of_query = parameters
        .into_iter()
        .flatten()
        .filter(|parameter| parameter["in"] == "query");
    of_query
        .map(|parameter| {
            let name = parameter["name"].as_str().unwrap().to_owned();
            (name, resolved(document, &parameter["schema"]))
        })
        .collect()
}

/// A schema whose references are replaced by what they refer to. Request schemas do not refer to themselves.
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

/// The smallest body that the schema allows.
pub(crate) fn minimal_body(operation: &Operation) -> Value {
    operation.body.as_ref().map_or(Value::Null, minimal)
}

fn minimal(schema: &Value) -> Value {
    if let Some(options) = options_of(schema) {
        return minimal(options.last().unwrap());
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match type_of(schema) {
        "object" => {
            let required = schema["required"].as_array().into_iter().flatten();
            let fields = required.map(|name| {
                let name = name.as_str().unwrap();
                (name.to_owned(), minimal(&schema["properties"][name]))
            });
            Value::Object(fields.collect())
        }
        "array" => {
            let items = usize::try_from(schema["minItems"].as_u64().unwrap_or(0)).unwrap();
            Value::Array(vec![minimal(&schema["items"]); items])
        }
        "string" => json!(minimal_text(schema)),
        "integer" => json!(schema["minimum"].as_i64().unwrap_or(0)),
        "boolean" => json!(false),
        "number" => json!(0.5),
        other => panic!("a schema of type {other}: {schema}"),
    }
}

fn minimal_text(schema: &Value) -> String {
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("uuid"), _) => "11111111-2222-4333-8444-555555555555".to_owned(),
        (_, Some("^[0-9a-f]{32}$")) => "0".repeat(32),
        _ => "a".repeat(usize::try_from(schema["minLength"].as_u64().unwrap_or(1).max(1)).unwrap()),
    }
}

fn options_of(schema: &Value) -> Option<&Vec<Value>> {
    schema["oneOf"]
        .as_array()
        .or_else(|| schema["anyOf"].as_array())
}

/// `["string", "null"]` is a string that may be absent.
fn type_of(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(name) => name,
        Value::Array(names) => names.iter().find_map(Value::as_str).unwrap_or("null"),
        _ if schema["properties"].is_object() => "object",
        _ => "null",
    }
}

/// Values of the schema, and here and there something else.
pub(crate) fn values(schema: &Value) -> BoxedStrategy<Value> {
    prop_oneof![15 => fitting(schema), 1 => junk()].boxed()
}

fn fitting(schema: &Value) -> BoxedStrategy<Value> {
    if let Some(options) = options_of(schema) {
        let options: Vec<_> = options.iter().map(values).collect();
        return proptest::strategy::Union::new(options).boxed();
    }
    if let Some(words) = schema["enum"].as_array() {
        return proptest::sample::select(words.clone()).boxed();
    }
    match type_of(schema) {
        "object" => objects(schema),
        "array" => proptest::collection::vec(values(&schema["items"]), 0..4)
            .prop_map(Value::Array)
            .boxed(),
        "string" => texts(schema),
        "integer" => integers(schema),
        "number" => prop_oneof![Just(json!(0)), Just(json!(0.2)), Just(json!(7.5))].boxed(),
        "boolean" => any::<bool>().prop_map(Value::Bool).boxed(),
        _ => Just(Value::Null).boxed(),
    }
}

fn objects(schema: &Value) -> BoxedStrategy<Value> {
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let fields: Vec<BoxedStrategy<Option<(String, Value)>>> = properties
        .iter()
        .map(|(name, schema)| {
            let name = name.clone();
            let present = if required.contains(&json!(name)) {
                0.97
            } else {
                0.3
            };
            let value = values(schema).prop_map(move |value| (name.clone(), value));
            proptest::option::weighted(present, value).boxed()
        })
        .collect();
    fields
        .prop_map(|fields| Value::Object(fields.into_iter().flatten().collect()))
        .boxed()
}

fn texts(schema: &Value) -> BoxedStrategy<Value> {
    match (schema["format"].as_str(), schema["pattern"].as_str()) {
        (Some("uuid"), _) => Just(json!(minimal_text(schema))).boxed(),
        (_, Some(pattern)) => proptest::string::string_regex(&pattern.replace(['^', '$'], ""))
            .map_or_else(
                |_| "[a-z]{1,9}".prop_map(Value::String).boxed(),
                |text| text.prop_map(Value::String).boxed(),
            ),
        _ => "\\PC{0,70}".prop_map(Value::String).boxed(),
    }
}

fn integers(schema: &Value) -> BoxedStrategy<Value> {
    let min = schema["minimum"].as_i64().unwrap_or(i64::MIN);
    let max = schema["maximum"].as_i64().unwrap_or(i64::MAX);
    prop_oneof![Just(min), Just(max), min..=max]
        .prop_map(|number| json!(number))
        .boxed()
}

fn junk() -> BoxedStrategy<Value> {
    prop_oneof![
        Just(Value::Null),
        Just(json!(-1)),
        Just(json!(u64::MAX)),
        Just(json!(1e308)),
        Just(json!(0.5)),
        Just(json!("")),
        Just(json!("a\u{0}b")),
        Just(json!("' OR 1=1; --")),
        Just(json!("\u{202e}\u{1f512}\u{fffd}")),
        Just(json!("x".repeat(5000))),
        Just(json!([[[[[]]]]])),
        Just(json!({"a": {"b": {}}})),
        any::<i64>().prop_map(|number| json!(number)),
    ]
    .boxed()
}
