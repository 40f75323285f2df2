use axum::extract::FromRequestParts;
use axum::extract::path::{ErrorKind, Path as AxumPath};
use axum::extract::rejection::PathRejection;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use strongroom_wire::Code;

use crate::ApiError;

/// Parameters of the path, as a struct of ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match AxumPath::<T>::from_request_parts(parts, state).await {
            Ok(AxumPath(value)) => Ok(Self(value)),
            Err(PathRejection::FailedToDeserializePathParams(failure)) => {
                Err(bad_parameter(&failure.into_kind()))
            }
            Err(rejection) => Err(ApiError::internal(rejection)),
        }
    }
}

fn bad_parameter(kind: &ErrorKind) -> ApiError {
    match kind {
        ErrorKind::DeserializeError { key, .. }
        | ErrorKind::ParseErrorAtKey { key, .. }
        | ErrorKind::InvalidUtf8InPathParam { key } => bad_id(key),
        other => ApiError::internal(other),
    }
}

/// Clients put names where ids belong and go on to search by name when they hear 404.
fn bad_id(parameter: &str) -> ApiError {
    match parameter {
        "vault_id" => ApiError::of(Code::VaultNotFound),
        "checkpoint_id" => ApiError::of(Code::CheckpointNotFound),
        "backup_id" => ApiError::of(Code::BackupNotFound),
        "operation_log_id" => ApiError::of(Code::OperationLogNotFound),
        "instance_id" => ApiError::of(Code::ResourceNotFound),
        "volume_id" => ApiError::of(Code::DiskNotFound),
        "server_id" => ApiError::of(Code::ServerNotFound),
        "order_id" => ApiError::of(Code::OrderNotFound),
        _ => ApiError::invalid(parameter),
    }
}
