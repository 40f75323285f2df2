//! Query parameters as typed structs. Unknown ones are ignored, and of a repeated
//! one a list takes all values and everything else the first.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use strongroom_wire::Code;

use super::bad_field;
use super::parameters::{Values, read};
use crate::ApiError;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

pub(crate) fn parse<T: DeserializeOwned>(query: &str) -> Result<T, ApiError> {
    let mut parameters: Vec<(String, Values)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if value.contains('\0') {
            let message = "The query holds a NUL character.";
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        match parameters.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.0.push(value.into_owned()),
            None => parameters.push((name.into_owned(), Values(vec![value.into_owned()]))),
        }
    }
    read(parameters).map_err(|bad| bad_field(&bad.name, &bad.message))
}
