use serde::{Deserialize, Serialize};
use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, ImageType, MemberStatus, OperationLogId, PolicyId,
    ProjectId, ResourceId, ResourceType, ServerId, VaultId, VolumeId,
};
use utoipa::{IntoParams, ToSchema};

use crate::replications::ReplicationRecord;
use crate::time::CbrTime;
use crate::values::{Label, Name, Offset, PageLimit, ShortText, Threshold};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupAnswer {
    pub backup: Backup,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupList {
    pub backups: Vec<Backup>,
    /// How many backups pass the filters, on all pages.
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Backup {
    pub id: BackupId,
    pub name: String,
    pub description: String,
    pub checkpoint_id: CheckpointId,
    #[schema(required)]
    pub parent_id: Option<BackupId>,
    /// The owner's, also of a shared backup.
    pub project_id: ProjectId,
    /// The vault of the asking project that holds it; null while a shared backup is not accepted.
    #[schema(required)]
    pub vault_id: Option<VaultId>,
    pub provider_id: String,
    pub resource_id: ResourceId,
    pub resource_name: String,
    pub resource_type: ResourceType,
    /// GB.
    pub resource_size: u64,
    pub resource_az: String,
    pub status: BackupStatus,
    pub image_type: ImageType,
    pub incremental: bool,
    pub created_at: CbrTime,
    pub updated_at: CbrTime,
    /// The instant whose data this is.
    #[schema(required)]
    pub protected_at: Option<CbrTime>,
    /// Null: kept until somebody deletes it.
    #[schema(required)]
    pub expired_at: Option<CbrTime>,
    pub enterprise_project_id: String,
    #[schema(required)]
    pub scheduled_operation_id: Option<PolicyId>,
    pub version: u64,
    pub extend_info: BackupExtra,
    /// The disks of a server's backup; empty in lists.
    #[schema(no_recursion)]
    pub children: Vec<Backup>,
    /// Present when asked for with `show_replication=true`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication_records: Option<Vec<ReplicationRecord>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupExtra {
    pub auto_trigger: bool,
    /// Of a disk's backup: whether it is a system disk.
    #[schema(required)]
    pub bootable: Option<bool>,
    /// Of a server's backup: whether its system disk is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contain_system_disk: Option<bool>,
    pub system_disk: bool,
    #[schema(required)]
    pub os_images_data: Option<Vec<ImageData>>,
    /// Percent while the backup is made.
    #[schema(required)]
    pub progress: Option<u64>,
    #[schema(required)]
    pub snapshot_id: Option<String>,
    pub support_lld: bool,
    #[schema(required, example = "backup")]
    pub supported_restore_mode: Option<String>,
    pub is_multi_az: bool,
    pub encrypted: bool,
    #[schema(required)]
    pub encrypted_algorithm: Option<String>,
    pub is_dec: bool,
    #[schema(required)]
    pub app_consistency: Option<AppConsistency>,
}

/// Whether the guest froze its applications for this backup. The clouds write these numbers as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppConsistency {
    #[schema(example = "0")]
    pub app_consistency: String,
    #[schema(example = "0")]
    pub app_consistency_status: String,
    #[schema(example = "0")]
    pub app_consistency_error_code: String,
    pub app_consistency_error_message: String,
}

/// An image registered from a backup. None can be yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageData {
    pub image_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UpdateBackupRequest {
    pub backup: BackupChangeRequest,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupChangeRequest {
    pub name: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreBackupRequest {
    pub restore: RestoreRequest,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreRequest {
    /// The server to write a server's backup onto.
    pub server_id: Option<ServerId>,
    /// The disk to write a disk's backup onto.
    pub volume_id: Option<VolumeId>,
    /// Which disk of the backup goes onto which disk of the server.
    #[schema(max_items = 256)]
    pub mappings: Option<Vec<RestoreMapping>>,
    /// Start the server afterwards; default true.
    pub power_on: Option<bool>,
    /// Of file backups, which are not offered.
    pub resource_id: Option<ResourceId>,
    /// Of file backups, which are not offered.
    pub details: Option<RestoreDetails>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreMapping {
    pub backup_id: BackupId,
    pub volume_id: VolumeId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreDetails {
    pub destination_path: Label,
}

/// The published schema has no body here, but Terraform waits for the task it names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreAnswer {
    pub job_id: OperationLogId,
}

/// Whose backups to list: the project's own (the default), those shared with it, or both. Of the last, shared ones count
/// once they are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnType {
    AllGranted,
    Private,
    Shared,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListBackupsQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last backup of the page before.
    pub marker: Option<BackupId>,
    /// One of `created_at`, `updated_at`, `name`, `status`, `protected_at`, `id`, then `:asc` or `:desc` (the default).
    #[param(value_type = Option<String>,
        pattern = "^(created_at|updated_at|name|status|protected_at|id)(:(asc|desc))?$")]
    pub sort: Option<Label>,
    pub checkpoint_id: Option<CheckpointId>,
    pub vault_id: Option<VaultId>,
    pub resource_id: Option<ResourceId>,
    pub resource_name: Option<Label>,
    pub resource_type: Option<ResourceType>,
    pub resource_az: Option<Label>,
    pub image_type: Option<ImageType>,
    /// The whole name.
    pub name: Option<Label>,
    /// May be repeated.
    #[serde(default)]
    #[param(value_type = Option<Vec<BackupStatus>>)]
    pub status: Vec<BackupStatus>,
    /// Lists the disks of this server's backup.
    pub parent_id: Option<BackupId>,
    /// Created at or after.
    pub start_time: Option<CbrTime>,
    /// Created at or before.
    pub end_time: Option<CbrTime>,
    pub incremental: Option<bool>,
    pub show_replication: Option<bool>,
    /// Backups of vaults that are at least so full, in percent.
    pub used_percent: Option<Threshold>,
    pub own_type: Option<OwnType>,
    /// What the project has answered; of shared backups.
    pub member_status: Option<MemberStatus>,
    pub enterprise_project_id: Option<ShortText>,
    /// Only automatic backups that no date ends, which `update-backup-expiration-time` leaves alone.
    pub existed_quantity_based_retention_backups: Option<bool>,
    /// Of dedicated clouds; has no effect here.
    pub dec: Option<bool>,
}
