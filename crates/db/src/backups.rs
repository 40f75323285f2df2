//! Backups: one row per resource of a checkpoint, and under a server's row one per disk.

use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, ImageType, ProjectId, ResourceId, ResourceType,
    Timestamp, Trouble, VaultId,
};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Backup {
    pub id: BackupId,
    pub project_id: ProjectId,
    pub vault_id: VaultId,
    pub checkpoint_id: CheckpointId,
    /// The server's backup that this disk's backup is a part of.
    pub parent_id: Option<BackupId>,
    pub resource_id: ResourceId,
    pub resource_type: ResourceType,
    pub resource_name: String,
    #[sqlx(try_from = "i64")]
    pub resource_size_gb: u64,
    pub name: String,
    pub description: String,
    pub status: BackupStatus,
    pub image_type: ImageType,
    pub incremental: bool,
    pub auto_trigger: bool,
    /// Holds (server) or is (disk) the system disk.
    pub system_disk: bool,
    /// 0 to 100.
    #[sqlx(try_from = "i64")]
    pub progress: u64,
    /// Where the data lies in the repository; set on disks' rows once it is durable.
    pub point_id: Option<String>,
    #[sqlx(try_from = "i64")]
    pub size_bytes: u64,
    /// What this backup added to the storage.
    #[sqlx(try_from = "i64")]
    pub stored_bytes: u64,
    pub trouble: Option<Trouble>,
    pub trouble_message: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The instant whose data this is.
    pub protected_at: Option<Timestamp>,
    pub expired_at: Option<Timestamp>,
}

/// Absent or empty fields do not filter. Without `parent_id` only top-level backups are listed.
#[derive(Debug, Clone, Default)]
pub struct BackupFilter {
    pub checkpoint_id: Option<CheckpointId>,
    pub vault_id: Option<VaultId>,
    pub resource_id: Option<ResourceId>,
    pub resource_type: Option<ResourceType>,
    pub resource_name: Option<String>,
    /// The whole name.
    pub name: Option<String>,
    pub image_type: Option<ImageType>,
    pub statuses: Vec<BackupStatus>,
    pub parent_id: Option<BackupId>,
    /// Bounds of the creation time, both included.
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
    pub incremental: Option<bool>,
    /// Backups in vaults that are at least this full, 1 to 100.
    pub used_percent: Option<u64>,
    pub enterprise_project_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackupSortKey {
    CreatedAt,
    UpdatedAt,
    ProtectedAt,
    Name,
    Status,
    Id,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Ascending,
    Descending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupSort {
    pub key: BackupSortKey,
    pub direction: Direction,
}
