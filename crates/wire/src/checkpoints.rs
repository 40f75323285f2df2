//! Restore points. Everything about a resource is a string here, numbers and objects included: strict clients
//! decode it so.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    CheckpointId, CheckpointStatus, ProjectId, ProtectStatus, ResourceId, ResourceType, VaultId,
};
use utoipa::ToSchema;

use crate::resources::ResourceRequest;
use crate::time::CbrTime;
use crate::values::{Description, Name, RetentionDays, ShortText};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CreateCheckpointRequest {
    pub checkpoint: CheckpointRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointRequest {
    pub vault_id: VaultId,
    pub parameters: Option<CheckpointParameters>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointParameters {
    /// Marks the backups as automatic.
    pub auto_trigger: Option<bool>,
    pub description: Option<Description>,
    /// `false` reads and stores everything again.
    pub incremental: Option<bool>,
    pub name: Option<Name>,
    /// Absent, like an absent `resource_details`: every resource of the vault.
    #[schema(max_items = 256)]
    pub resources: Option<Vec<ResourceId>>,
    #[schema(max_items = 256)]
    pub resource_details: Option<Vec<ResourceRequest>>,
    pub retention_duration_days: Option<RetentionDays>,
    /// Of automatic backups: one of the vault's backup policies. Empty or absent: the only one that the vault has, if so.
    pub policy_id: Option<ShortText>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointAnswer {
    pub checkpoint: Checkpoint,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Checkpoint {
    pub id: CheckpointId,
    pub project_id: ProjectId,
    pub status: CheckpointStatus,
    pub vault: CheckpointVault,
    pub created_at: CbrTime,
    pub extra_info: CheckpointExtra,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointVault {
    pub id: VaultId,
    pub name: String,
    pub resources: Vec<CheckpointResource>,
    pub skipped_resources: Vec<SkippedResource>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointResource {
    pub id: ResourceId,
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    pub name: String,
    /// JSON as text.
    #[schema(example = "{}")]
    pub extra_info: String,
    /// GB.
    #[schema(example = "40")]
    pub resource_size: String,
    /// MB.
    #[schema(example = "0")]
    pub backup_size: String,
    #[schema(example = "0")]
    pub backup_size_multiaz: String,
    #[schema(example = "0")]
    pub backup_count: String,
    pub protect_status: ProtectStatus,
    #[schema(example = "True")]
    pub auto_protect: String,
}

/// A resource that the restore point left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedResource {
    pub id: ResourceId,
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    pub name: String,
    #[schema(example = "BackupService.7101")]
    pub code: String,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointExtra {
    pub name: String,
    pub description: String,
    /// Days; -1 keeps the backups.
    pub retention_duration: i64,
}
