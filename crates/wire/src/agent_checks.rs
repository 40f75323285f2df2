//! Whether the agents inside servers answer.

use serde::{Deserialize, Serialize};
use strongroom_types::{ResourceId, ResourceType};
use utoipa::ToSchema;

use crate::values::Label;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckAgentRequest {
    #[schema(max_items = 64)]
    pub agent_status: Vec<AskedAgent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AskedAgent {
    pub resource_id: ResourceId,
    pub resource_type: ResourceType,
    pub resource_name: Option<Label>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckAgentAnswer {
    pub agent_status: Vec<CheckedAgent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckedAgent {
    pub resource_id: ResourceId,
    /// It is configured and has just answered.
    pub installed: bool,
    /// Every version can be worked with.
    pub is_old: bool,
    /// As the agent says; empty when it does not answer.
    pub version: String,
    /// The clouds publish no numbers for this.
    #[schema(required)]
    pub code: Option<i64>,
    /// Why it does not answer.
    pub message: String,
}
