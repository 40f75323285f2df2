//! How ids and words look in the API's description.

use utoipa::openapi::schema::{SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};

fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

pub(crate) fn words(words: &[&str]) -> RefOr<Schema> {
    text().enum_values(Some(words.iter().copied())).into()
}

pub(crate) fn uuid() -> RefOr<Schema> {
    text()
        .format(Some(SchemaFormat::Custom("uuid".to_owned())))
        .into()
}

pub(crate) fn hex32() -> RefOr<Schema> {
    pattern("^[0-9a-f]{32}$")
}

pub(crate) fn pattern(pattern: &str) -> RefOr<Schema> {
    text().pattern(Some(pattern)).into()
}
