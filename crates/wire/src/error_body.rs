use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The body of every refusal on CBR's paths and ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErrorBody {
    #[schema(example = "BackupService.9900")]
    pub error_code: String,
    #[schema(example = "Invalid vault_id provided.")]
    pub error_msg: String,
    /// Present on the refusals that a gateway answers in the public clouds (`APIGW.*`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}
