//! The OpenAPI document is what reviewers, clients and our own tests of every route read.

use serde_json::Value;

use crate::router::document_text as describe;

const SNAPSHOT: &str = "openapi.json";
const UPDATE: &str = "STRONGROOM_UPDATE_SNAPSHOTS";

#[test]
fn the_document_is_the_reviewed_one() {
    let path = format!("{}/{SNAPSHOT}", env!("CARGO_MANIFEST_DIR"));
    let text = describe() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        reviewed == text,
        "the API's description changed: run the test again with {UPDATE}=1 and review {SNAPSHOT}"
    );
}

#[test]
fn every_reference_leads_somewhere() {
    let document: Value = serde_json::from_str(&describe()).unwrap();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some(),
            "{reference} is missing"
        );
    }
}

fn collect_references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(target) if name == "$ref" => found.push(target),
                    _ => collect_references(value, found),
                }
            }
        }
        Value::Array(values) => values
            .iter()
            .for_each(|value| collect_references(value, found)),
        _ => {}
    }
}
