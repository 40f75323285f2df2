//! Agents that back up files of machines outside the inventory.

use serde::{Deserialize, Serialize};
use strongroom_types::{AgentId, AgentPathId, AgentStatus};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Label, Offset, PageLimit, ShortText};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterAgentRequest {
    pub agent: AgentRegistration,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentRegistration {
    /// A UUID that the agent keeps.
    pub agent_id: ShortText,
    pub host_ip: ShortText,
    pub host_name: Label,
    pub host_os: Label,
    pub host_nickname: Option<Label>,
    pub agent_type: Option<ShortText>,
    pub agent_version: Option<ShortText>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentAnswer {
    pub agent: Agent,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentList {
    pub agents: Vec<Agent>,
    /// How many agents pass the filters, on all pages.
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Agent {
    pub agent_id: AgentId,
    pub agent_type: String,
    pub agent_version: String,
    pub host_ip: String,
    pub host_name: String,
    pub host_nickname: String,
    pub host_os: String,
    pub status: AgentStatus,
    /// When it registered last.
    pub last_active_time: CbrTime,
    pub created_at: CbrTime,
    pub updated_at: CbrTime,
    pub paths: Vec<AgentPath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentPath {
    pub id: AgentPathId,
    pub agent_id: AgentId,
    pub dir_path: String,
    /// Joined by commas.
    pub exclude_paths: String,
    #[schema(example = "available")]
    pub status: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateAgentRequest {
    pub agent: AgentChange,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AgentChange {
    pub status: AgentChangeStatus,
}

/// The one thing that can be said to an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentChangeStatus {
    Uninstall,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddAgentPathRequest {
    /// Absolute: `/directory`, `C:\directory` or `\\host\share`.
    pub add_path: Vec<String>,
    pub exclude_path: Option<Vec<ExcludePath>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExcludePath {
    /// A directory that is backed up.
    pub path_name: String,
    /// What is left out below it.
    pub exclude_path_name: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddAgentPathAnswer {
    pub added: Vec<String>,
    pub existed: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoveAgentPathRequest {
    pub remove_path: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoveAgentPathAnswer {
    pub removed: Vec<String>,
    pub not_existed: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListAgentsQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last agent of the page before.
    pub marker: Option<AgentId>,
    pub status: Option<AgentStatus>,
    /// May be repeated.
    #[serde(default)]
    #[param(value_type = Option<Vec<AgentId>>)]
    pub agent_id: Vec<AgentId>,
}
