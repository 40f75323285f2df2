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

/// The ids in an answer under what pages call them: `{"vault": {"id": …, "name": "daily"}}` tells VAULT and VAULT_DAILY,
/// and so does the first of `{"vaults": […]}`. Access keys have ids of their own.
pub(crate) fn ids(answer: &Value) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (kind, value) in answer.as_object().into_iter().flatten() {
        let (one, kind) = match value {
            Value::Array(list) => (list.first(), singular(kind)),
            _ => (Some(value), kind.clone()),
        };
        let field = |name: &str| one.and_then(|one| one.get(name)?.as_str());
        if let Some(id) = field("id").or_else(|| field("orderId")) {
            let full = field("name").map(|name| format!("{kind}_{name}"));
            let words = [Some(kind), full].into_iter().flatten();
            found.extend(words.map(|word| (word.to_uppercase(), id.to_owned())));
        }
        for name in ["access_key", "secret_key"] {
            found.extend(field(name).map(|key| (name.to_uppercase(), key.to_owned())));
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
    let lists = serde_json::json!({ "policies": [{ "id": "1", "name": "nightly" }], "size": 2 });
    let expected = [("POLICY", "1"), ("POLICY_NIGHTLY", "1")];
    assert_eq!(
        ids(&lists),
        expected.map(|(word, id)| (word.to_owned(), id.to_owned()))
    );
}
