//! Operation logs, the users' "tasks".

use serde::{Deserialize, Serialize};
use strongroom_types::{
    BackupId, CheckpointId, OperationLogId, OperationStatus, OperationType, PolicyId, ProjectId,
    ResourceId, ResourceType, VaultId, VolumeId,
};
use utoipa::{IntoParams, ToSchema};

use crate::resources::ResourceExtra;
use crate::time::CbrTime;
use crate::values::{Label, Offset, PageLimit, ShortText};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationLogAnswer {
    pub operation_log: OperationLog,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationLogList {
    pub operation_logs: Vec<OperationLog>,
    /// How many logs pass the filters, on all pages.
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationLog {
    pub id: OperationLogId,
    pub operation_type: OperationType,
    pub status: OperationStatus,
    pub project_id: ProjectId,
    #[schema(required)]
    pub provider_id: Option<String>,
    #[schema(required)]
    pub vault_id: Option<VaultId>,
    #[schema(required)]
    pub vault_name: Option<String>,
    #[schema(required)]
    pub checkpoint_id: Option<CheckpointId>,
    #[schema(required)]
    pub policy_id: Option<PolicyId>,
    pub created_at: CbrTime,
    pub started_at: CbrTime,
    pub updated_at: CbrTime,
    /// Null while it runs.
    #[schema(required)]
    pub ended_at: Option<CbrTime>,
    pub error_info: OperationError,
    pub extra_info: OperationExtra,
}

/// Empty strings when all is well.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationError {
    #[schema(example = "")]
    pub code: String,
    #[schema(example = "")]
    pub message: String,
}

/// Of the optional parts, the one that fits the operation is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationExtra {
    pub common: CommonExtra,
    /// Null for a whole vault's task.
    #[schema(required)]
    pub resource: Option<OperationResource>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<DeleteTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_resources: Option<RemoveResourcesTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vault_delete: Option<VaultDeleteTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_expiration_time: Option<UpdateExpirationTask>,
    /// In no published list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrate_resource: Option<MigrateResourceTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncTask>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<ReplicationTask>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommonExtra {
    /// 0 to 100.
    pub progress: u64,
    /// The request that began it.
    pub request_id: String,
    pub task_id: OperationLogId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperationResource {
    pub id: ResourceId,
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    pub name: String,
    pub extra_info: ResourceExtra,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupTask {
    pub backup_id: BackupId,
    pub backup_name: String,
    /// "true" or "false", as text.
    #[schema(example = "true")]
    pub incremental: String,
    /// "1" when the guest froze its applications, else "0".
    #[schema(example = "0")]
    pub app_consistency_status: String,
    pub app_consistency_error_code: String,
    pub app_consistency_error_message: String,
    /// What was read of the disks, once the backup has ended. In no published list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<DiskReading>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskReading {
    pub volume_id: VolumeId,
    /// From the disk; what is known to be zero is not read.
    pub read_bytes: u64,
    /// Why all of it was read; absent where only changes were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_because: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeleteTask {
    pub backup_id: BackupId,
    pub backup_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreTask {
    pub backup_id: BackupId,
    pub backup_name: String,
    pub target_resource_id: ResourceId,
    pub target_resource_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoveResourcesTask {
    pub total_count: u64,
    pub fail_count: u64,
    pub resources: Vec<OperationResource>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultDeleteTask {
    pub total_count: u64,
    pub fail_count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateExpirationTask {
    pub affected_backups_count: u64,
    /// `YYYY-MM-DD`.
    pub expiration_day: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrateResourceTask {
    pub destination_vault_id: VaultId,
    pub destination_vault_name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncTask {
    /// Listed.
    pub sync_backup_num: u64,
    /// Taken off the list, because the storage unit has them no more.
    pub delete_backup_num: u64,
    /// Broken, or known to another vault.
    pub err_sync_backup_num: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicationTask {
    pub source_region: String,
    pub source_project_id: ProjectId,
    pub source_checkpoint_id: CheckpointId,
    pub source_backup_id: BackupId,
    pub source_backup_name: String,
    pub destination_region: String,
    pub destination_project_id: ProjectId,
    #[schema(required)]
    pub destination_checkpoint_id: Option<CheckpointId>,
    #[schema(required)]
    pub destination_backup_id: Option<BackupId>,
    pub destination_backup_name: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListOperationLogsQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last log of the page before.
    pub marker: Option<OperationLogId>,
    pub operation_type: Option<OperationType>,
    /// May be repeated.
    #[serde(default)]
    #[param(value_type = Option<Vec<OperationStatus>>)]
    pub status: Vec<OperationStatus>,
    pub provider_id: Option<ShortText>,
    pub resource_id: Option<ResourceId>,
    pub resource_name: Option<Label>,
    pub vault_id: Option<VaultId>,
    pub vault_name: Option<Label>,
    /// Created at or after.
    pub start_time: Option<CbrTime>,
    /// Created at or before.
    pub end_time: Option<CbrTime>,
    pub enterprise_project_id: Option<ShortText>,
    /// Of replication tasks, of which there are none.
    pub destination_region: Option<Label>,
    /// Of replication tasks, of which there are none.
    pub destination_project_id: Option<ShortText>,
}
