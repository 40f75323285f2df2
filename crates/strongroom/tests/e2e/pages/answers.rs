//! What a page shows of an answer, beside the answer.

use serde_json::Value;

/// Stands for any value, as `<words>` do; as the last element of a list, for any others.
const ANYTHING: &str = "…";

/// Panics with the path of the first value that is not as shown. Fields that are not shown may be there.
pub(crate) fn assert_shown(shown: &Value, real: &Value, place: &str) {
    match (shown, real) {
        (Value::String(text), _) if text == ANYTHING || text.starts_with('<') => {}
        (Value::Object(fields), Value::Object(_)) => {
            for (name, shown) in fields {
                let real = real
                    .get(name)
                    .unwrap_or_else(|| panic!("{place}.{name} is not in the answer {real}"));
                assert_shown(shown, real, &format!("{place}.{name}"));
            }
        }
        (Value::Array(shown), Value::Array(real)) => {
            let has_more = shown.last().is_some_and(|last| last == ANYTHING);
            let shown = &shown[..shown.len() - usize::from(has_more)];
            assert!(
                real.len() == shown.len() || has_more && real.len() > shown.len(),
                "{place} has {} elements",
                real.len()
            );
            for (n, (shown, real)) in shown.iter().zip(real).enumerate() {
                assert_shown(shown, real, &format!("{place}[{n}]"));
            }
        }
        _ => assert_eq!(shown, real, "{place}"),
    }
}

/// The ids in an answer under the names that pages have for them: `{"vault": {"id": …}}` is VAULT,
/// and so is the first of `{"vaults": […]}`.
pub(crate) fn ids(answer: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (name, value) in answer.as_object().into_iter().flatten() {
        let (one, name) = match value {
            Value::Array(list) => (list.first(), singular(name)),
            _ => (Some(value), name.clone()),
        };
        let id = one.and_then(|one| one.get("id").or_else(|| one.get("orderId")));
        if let Some(id) = id.and_then(Value::as_str) {
            found.push((name.to_uppercase(), id.to_owned()));
        }
    }
    found
}

fn singular(name: &str) -> String {
    match name.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => name.trim_end_matches('s').to_owned(),
    }
}

#[test]
fn what_is_not_shown_may_be_there_and_what_is_shown_must() {
    let shown = serde_json::json!({ "a": ["…"], "b": { "c": "…" } });
    let real = serde_json::json!({ "a": [1, 2], "b": { "c": 3, "d": 4 }, "e": 5 });
    assert_shown(&shown, &real, "answer");
    let lists = serde_json::json!({ "policies": [{ "id": "1" }], "backup": { "id": "2" } });
    let expected = [("BACKUP", "2"), ("POLICY", "1")];
    assert_eq!(
        ids(&lists),
        expected.map(|(name, id)| (name.to_owned(), id.to_owned()))
    );
}
