//! Operation logs: what happened to one object, for its owner to read.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    BackupId, CheckpointId, OperationLogId, OperationStatus, OperationType, PolicyId, ProjectId,
    ResourceId, ResourceType, Timestamp, Trouble, VaultId,
};

use crate::JsonText;

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OperationLog {
    pub id: OperationLogId,
    pub project_id: ProjectId,
    pub operation_type: OperationType,
    pub status: OperationStatus,
    /// 0 to 100.
    #[sqlx(try_from = "i64")]
    pub progress: u64,
    pub vault_id: Option<VaultId>,
    pub vault_name: Option<String>,
    pub checkpoint_id: Option<CheckpointId>,
    pub policy_id: Option<PolicyId>,
    pub provider_id: Option<String>,
    pub resource_id: Option<ResourceId>,
    pub resource_type: Option<ResourceType>,
    pub resource_name: Option<String>,
    pub extra: JsonText<OperationExtra>,
    pub trouble: Option<Trouble>,
    /// Empty when all is well.
    pub error_message: String,
    pub request_id: String,
    pub created_at: Timestamp,
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What an operation log tells beyond its columns, by the operation's type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum OperationExtra {
    Backup {
        backup_id: BackupId,
        backup_name: String,
        incremental: bool,
    },
    Delete {
        backup_id: BackupId,
        backup_name: String,
    },
    Restore {
        backup_id: BackupId,
        backup_name: String,
        target_resource_id: ResourceId,
        target_resource_name: String,
    },
    /// The counts are of backups; `fail_count` is set when the operation ends.
    RemoveResources {
        total_count: u64,
        fail_count: u64,
    },
    VaultDelete {
        total_count: u64,
        fail_count: u64,
    },
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct OperationLogFilter {
    pub operation_type: Option<OperationType>,
    pub statuses: Vec<OperationStatus>,
    pub provider_id: Option<String>,
    pub resource_id: Option<ResourceId>,
    pub resource_name: Option<String>,
    pub vault_id: Option<VaultId>,
    pub vault_name: Option<String>,
    /// Bounds of the creation time, both included.
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
    pub enterprise_project_id: Option<String>,
}
