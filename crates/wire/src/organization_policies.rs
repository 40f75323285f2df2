//! Policies that an account pushes to its projects.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    DeploymentStatus, DomainId, OrganizationPolicyId, PolicyOperation, ProjectId,
};
use utoipa::{IntoParams, ToSchema};

use crate::policies::{OperationDefinition, TriggerChangeRequest, TriggerRequest};
use crate::values::{Description, Label, Name, Offset, PageLimit};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateOrganizationPolicyRequest {
    pub policy: OrganizationPolicyRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationPolicyRequest {
    pub name: Name,
    pub description: Option<Description>,
    pub operation_type: PolicyOperation,
    /// Empty or `all`: every project of the account, also later ones; else ids of projects, separated by commas.
    pub effective_scope: Option<Label>,
    /// Of the policy that every project gets.
    pub policy_name: Name,
    pub policy_enabled: bool,
    pub policy_operation_definition: OperationDefinition,
    pub policy_trigger: TriggerRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateOrganizationPolicyRequest {
    pub policy: OrganizationPolicyChangeRequest,
}

/// What is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationPolicyChangeRequest {
    pub name: Option<Name>,
    pub description: Option<Description>,
    pub effective_scope: Option<Label>,
    pub policy_name: Option<Name>,
    pub policy_enabled: Option<bool>,
    pub policy_operation_definition: Option<OperationDefinition>,
    pub policy_trigger: Option<TriggerChangeRequest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationPolicyAnswer {
    pub policy: OrganizationPolicy,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationPolicyList {
    pub policies: Vec<OrganizationPolicy>,
    /// How many policies pass the filter, on all pages.
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationPolicy {
    pub id: OrganizationPolicyId,
    pub name: String,
    pub description: String,
    pub domain_id: DomainId,
    pub domain_name: String,
    pub effective_scope: String,
    pub operation_type: PolicyOperation,
    pub policy_name: String,
    pub policy_enabled: bool,
    pub policy_operation_definition: OperationDefinition,
    pub policy_trigger: OrganizationTrigger,
    /// Of all projects together.
    pub status: DeploymentStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationTrigger {
    pub properties: OrganizationTriggerProperties,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrganizationTriggerProperties {
    pub pattern: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_window_minutes: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentList {
    pub policies: Vec<Deployment>,
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

/// How far one project is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    pub domain_id: DomainId,
    pub project_id: ProjectId,
    /// The project's own copy; empty while there is none.
    pub policy_id: String,
    pub status: DeploymentStatus,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListOrganizationPoliciesQuery {
    pub operation_type: PolicyOperation,
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
}
