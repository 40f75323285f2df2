//! Accounts and projects as CBR's own paths show them, and the migration from its predecessors.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use strongroom_types::{DomainId, ProjectId};
use utoipa::ToSchema;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainProjectList {
    pub projects: Vec<DomainProject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DomainProject {
    pub project_id: ProjectId,
    pub project_name: String,
}

/// The account that a project belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProjectDomain {
    pub domain_id: DomainId,
    pub domain_name: String,
    pub project_id: ProjectId,
    pub project_name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MigrateRequest {
    /// Default true; there is one region.
    pub all_regions: Option<bool>,
    /// By how much new vaults would be larger than what they take in; 0 to 1, default 0.2.
    #[schema(minimum = 0, maximum = 1)]
    pub reservation: Option<f64>,
}

/// Each region with what has become of the migration there.
pub type MigrateAnswer = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrateStatus {
    #[schema(example = "success")]
    pub status: String,
    /// No project has had anything to bring in.
    pub project_status: Vec<MigratedProject>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigratedProject {
    pub project_id: ProjectId,
    pub project_name: String,
    pub status: String,
}
