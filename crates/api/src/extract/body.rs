use std::time::Duration;

use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use strongroom_wire::Code;

use super::bad_field;
use super::objects::Objects;
use crate::ApiError;

/// Far above any request of the API: 256 resources with 60 excluded disks each fit.
const MAX_BODY_BYTES: usize = 1 << 20;
/// A body is small; one that takes longer is the client's failure, and must be told before ours is assumed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A JSON body, in and out. Reads it whatever its content type says, as clients differ there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        parse(&read(request.into_body()).await?).map(Self)
    }
}

/// The whole body of a request, within bounds of size and time.
pub(crate) async fn read(body: Body) -> Result<Bytes, ApiError> {
    read_within(body, PATIENCE).await
}

pub(crate) async fn read_within(body: Body, patience: Duration) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > MAX_BODY_BYTES as u64 {
        return Err(ApiError::of(Code::BodyTooLarge));
    }
    match tokio::time::timeout(patience, to_bytes(body, MAX_BODY_BYTES)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) if is_too_large(&error) => Err(ApiError::of(Code::BodyTooLarge)),
        Ok(Err(_)) => Err(ApiError::new(
            Code::InvalidParameter,
            "The request body broke off.",
        )),
        Err(_) => Err(ApiError::of(Code::BodyTooSlow)),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error)
        .is_some_and(<dyn std::error::Error>::is::<http_body_util::LengthLimitError>)
}

pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let value: Value = serde_json::from_slice(bytes).map_err(|_| {
        ApiError::new(
            Code::InvalidParameter,
            "The request body is not valid JSON.",
        )
    })?;
    if holds_nul(&value) {
        let message = "The request body holds a NUL character.";
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    serde_path_to_error::deserialize(Objects(value))
        .map_err(|error| bad_field(&error.path().to_string(), &error.inner().to_string()))
}

/// No text of the API may hold a NUL: PostgreSQL cannot keep it. Depth is bounded by the parser.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(values) => values.iter().any(holds_nul),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}
