use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use strongroom_wire::Code;

use super::parameters::{Values, read};
use crate::ApiError;

pub(crate) const NOT_TEXT: &str = "The path is not UTF-8.";

/// Parameters of the path, as a struct of ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let raw = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| ApiError::new(Code::InvalidParameter, NOT_TEXT))?;
        let of_project = raw.iter().any(|(name, _)| name == "project_id");
        let refuse = |name: &str| match name {
            // A tenant's order, and not the operator's view of it.
            "order_id" if of_project => ApiError::of(Code::BillNotFound),
            name => bad_id(name),
        };
        if let Some((name, _)) = raw.iter().find(|(_, value)| value.contains('\0')) {
            return Err(refuse(name));
        }
        let parameters = raw
            .iter()
            .map(|(name, value)| (name.to_owned(), Values(vec![value.to_owned()])))
            .collect();
        read(parameters).map(Self).map_err(|bad| refuse(&bad.name))
    }
}

/// Clients put names where ids belong and go on to search by name when they hear 404.
fn bad_id(parameter: &str) -> ApiError {
    match parameter {
        "vault_id" => ApiError::of(Code::VaultNotFound),
        "checkpoint_id" => ApiError::of(Code::CheckpointNotFound),
        "backup_id" => ApiError::of(Code::BackupNotFound),
        "attachment_id" => ApiError::of(Code::AttachmentNotFound),
        "agent_id" => ApiError::of(Code::BadAgentId),
        "member_id" => ApiError::of(Code::MemberNotFound),
        "policy_id" | "organization_policy_id" => ApiError::of(Code::PolicyNotFound),
        "operation_log_id" => ApiError::of(Code::OperationLogNotFound),
        "instance_id" | "resource_id" => ApiError::of(Code::ResourceNotFound),
        "volume_id" => ApiError::of(Code::DiskNotFound),
        "server_id" => ApiError::of(Code::ServerNotFound),
        "order_id" => ApiError::of(Code::OrderNotFound),
        "access_key" => ApiError::of(Code::AccessKeyNotFound),
        "user_id" => ApiError::of(Code::UserNotFound),
        _ => ApiError::invalid(parameter),
    }
}
