use serde::{Deserialize, Serialize};
use strongroom_types::{
    CheckpointId, CheckpointStatus, ProjectId, ResourceId, ResourceType, Timestamp, Trouble,
    VaultId,
};

use crate::JsonText;

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Checkpoint {
    pub id: CheckpointId,
    pub project_id: ProjectId,
    pub vault_id: VaultId,
    pub name: String,
    pub description: String,
    pub status: CheckpointStatus,
    /// -1 keeps the backups until somebody deletes them.
    pub retention_days: i64,
    pub skipped_resources: JsonText<Vec<SkippedResource>>,
    pub created_at: Timestamp,
}

/// A resource that a checkpoint left out, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedResource {
    pub id: ResourceId,
    pub resource_type: ResourceType,
    pub name: String,
    pub trouble: Trouble,
    pub reason: String,
}
