//! Extractors whose every refusal is an [`ApiError`].

mod body;
mod objects;
mod parameters;
mod path;
mod query;

pub(crate) use body::{Json, read as read_body};
pub(crate) use path::{NOT_TEXT, Path};
pub(crate) use query::Query;

#[cfg(test)]
pub(crate) use {
    body::parse as parse_body, body::read_within as read_body_within, query::parse as parse_query,
};

use crate::ApiError;
use strongroom_wire::Code;

/// The objects that requests are wrapped in; users know the fields, not the wrapping.
const WRAPPERS: [&str; 6] = [
    "vault.",
    "checkpoint.",
    "backup.",
    "restore.",
    "agent.",
    "attachment.",
];

/// Says which field a text could not be read for. Never repeats the value: it may be a secret.
///
/// `message` is serde's or one of `strongroom_wire::values`'.
fn bad_field(path: &str, message: &str) -> ApiError {
    let field = WRAPPERS
        .iter()
        .find_map(|wrapper| path.strip_prefix(wrapper))
        .unwrap_or(path);
    let field = if field == "." { "body" } else { field };
    let refusal = |reason: &str| {
        ApiError::new(
            Code::InvalidParameter,
            format!("Invalid {field} provided: {reason}."),
        )
    };
    if let Some(missing) = message.strip_prefix("missing field ") {
        let missing = missing.split('`').nth(1).unwrap_or("a field");
        return refusal(&format!("{missing} is missing"));
    }
    match message.split_once("expected ") {
        Some((_, expected)) if message.starts_with("invalid ") => {
            refusal(&format!("it must be {}", kind_of_json(expected)))
        }
        _ if message.starts_with("it must ") => refusal(message),
        _ => ApiError::invalid(field),
    }
}

/// What Rust calls a type, as a JSON user calls it.
fn kind_of_json(expected: &str) -> &str {
    match expected {
        "i64" | "u64" => "a whole number",
        "a sequence" => "a list",
        "a map" => "an object",
        _ if expected.starts_with("struct ") => "an object",
        other => other,
    }
}
