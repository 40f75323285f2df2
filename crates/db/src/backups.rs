//! Backups: one row per resource of a checkpoint, and under a server's row one per disk.

mod changes;
mod live;

pub use live::{LastSaved, Quiesce};

use sqlx::AssertSqlSafe;
use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, ImageType, MemberStatus, PolicyId, ProjectId, ResourceId,
    ResourceType, Retention, Timestamp, Trouble, VaultId,
};

use crate::page::stored;
use crate::tx::on;
use crate::{JsonText, Result, Tx};

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
    /// The policy of an automatic backup; it may be gone by now.
    pub policy_id: Option<PolicyId>,
    /// The rules of that policy when the backup was made.
    pub retention: Option<JsonText<Retention>>,
    /// Of a server's row, where its guest was to hold still.
    pub quiesce: Option<JsonText<Quiesce>>,
}

/// Whose backups to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ownership {
    /// The project's own.
    #[default]
    Own,
    /// What other projects share with it, by what it answered; every answer when empty.
    Shared(Vec<MemberStatus>),
    /// Its own, and what is shared with it by what it answered.
    All(Vec<MemberStatus>),
}

/// Absent or empty fields do not filter. Without `parent_id` only top-level backups are listed.
#[derive(Debug, Clone, Default)]
pub struct BackupFilter {
    pub ownership: Ownership,
    pub checkpoint_id: Option<CheckpointId>,
    /// Of a shared backup, also the vault that took it.
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
    /// This and the next find own backups alone.
    pub used_percent: Option<u64>,
    pub enterprise_project_id: Option<String>,
    pub retention: RetentionFilter,
}

/// Which backups pass, by what ends their time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RetentionFilter {
    #[default]
    Any,
    /// Automatic ones that no date ends: how many there may be decides.
    ByQuantity,
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

/// A finished disk's backup, and the resource of the vault that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultPoint {
    pub point_id: String,
    pub backup_id: BackupId,
    /// The server, where the disk is a server's.
    pub resource_id: ResourceId,
}

impl Tx {
    /// `Conflict` when a backup of the same resource has not ended.
    pub async fn insert_backup(&mut self, backup: &Backup) -> Result<()> {
        const SQL: &str = "INSERT INTO backup (id, project_id, vault_id, checkpoint_id, parent_id, resource_id, resource_type, \
             resource_name, resource_size_gb, name, description, status, image_type, incremental, auto_trigger, system_disk, \
             progress, point_id, size_bytes, stored_bytes, trouble, trouble_message, created_at, updated_at, protected_at, expired_at, \
             policy_id, retention, quiesce) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
             $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29)";
        on!(self, c => sqlx::query(SQL)
            .bind(&backup.id).bind(&backup.project_id).bind(&backup.vault_id).bind(&backup.checkpoint_id).bind(&backup.parent_id)
            .bind(&backup.resource_id).bind(backup.resource_type).bind(&backup.resource_name).bind(stored(backup.resource_size_gb))
            .bind(&backup.name).bind(&backup.description).bind(backup.status).bind(backup.image_type).bind(backup.incremental)
            .bind(backup.auto_trigger).bind(backup.system_disk).bind(stored(backup.progress)).bind(&backup.point_id)
            .bind(stored(backup.size_bytes)).bind(stored(backup.stored_bytes)).bind(backup.trouble).bind(&backup.trouble_message)
            .bind(backup.created_at).bind(backup.updated_at).bind(backup.protected_at).bind(backup.expired_at)
            .bind(&backup.policy_id).bind(&backup.retention).bind(&backup.quiesce)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_backup(&mut self, id: &BackupId) -> Result<Option<Backup>> {
        const SQL: &str = "SELECT * FROM backup WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Backup>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// The disks of a server's backup, the system disk first.
    pub async fn children_of_backup(&mut self, id: &BackupId) -> Result<Vec<Backup>> {
        const SQL: &str = "SELECT * FROM backup WHERE parent_id = $1 ORDER BY system_disk DESC, resource_name, id";
        Ok(on!(self, c => sqlx::query_as::<_, Backup>(SQL).bind(id).fetch_all(c).await)?)
    }

    /// The rows that hold its points: the disks of a server's backup, the system disk first, or a disk's backup itself.
    pub async fn disks_of_backup(&mut self, backup: &BackupId) -> Result<Vec<Backup>> {
        const SQL: &str = "SELECT * FROM backup WHERE (parent_id = $1 OR id = $1) AND resource_type = 'OS::Cinder::Volume' \
             ORDER BY system_disk DESC, resource_name, id";
        Ok(on!(self, c => sqlx::query_as::<_, Backup>(SQL).bind(backup).fetch_all(c).await)?)
    }

    /// The resources' backups of one checkpoint.
    pub async fn backups_of_checkpoint(&mut self, id: &CheckpointId) -> Result<Vec<Backup>> {
        const SQL: &str = "SELECT * FROM backup WHERE checkpoint_id = $1 AND parent_id IS NULL ORDER BY created_at, resource_name, id";
        Ok(on!(self, c => sqlx::query_as::<_, Backup>(SQL).bind(id).fetch_all(c).await)?)
    }

    /// Every row of a vault, children included; of one resource (with its disks' rows) when it is given.
    pub async fn backups_of_vault(
        &mut self,
        vault: &VaultId,
        resource: Option<&ResourceId>,
    ) -> Result<Vec<Backup>> {
        const SQL: &str = "SELECT b.* FROM backup b LEFT JOIN backup top ON top.id = b.parent_id WHERE b.vault_id = $1 \
             AND (CAST($2 AS TEXT) IS NULL OR COALESCE(top.resource_id, b.resource_id) = $2) ORDER BY b.created_at, b.id";
        Ok(
            on!(self, c => sqlx::query_as::<_, Backup>(SQL).bind(vault).bind(resource).fetch_all(c).await)?,
        )
    }

    /// The points that a vault's use counts, by id: not those that are being deleted, whose data may be half gone.
    pub async fn points_of_vault(&mut self, vault: &VaultId) -> Result<Vec<VaultPoint>> {
        const SQL: &str = "SELECT b.point_id, b.id AS backup_id, COALESCE(top.resource_id, b.resource_id) AS resource_id \
             FROM backup b LEFT JOIN backup top ON top.id = b.parent_id \
             WHERE b.vault_id = $1 AND b.point_id IS NOT NULL \
             AND b.status IN ('available', 'waiting_restore', 'restoring', 'waiting_delete') ORDER BY b.point_id";
        Ok(on!(self, c => sqlx::query_as::<_, VaultPoint>(SQL).bind(vault).fetch_all(c).await)?)
    }

    /// The point of the newest finished backup of a volume, in whatever vault of the project but those of storage units.
    pub async fn newest_point_of(
        &mut self,
        project: &ProjectId,
        volume: &ResourceId,
    ) -> Result<Option<String>> {
        const SQL: &str = "SELECT point_id FROM backup WHERE project_id = $1 AND resource_id = $2 AND point_id IS NOT NULL \
             AND status IN ('available', 'waiting_restore', 'restoring') \
             AND vault_id NOT IN (SELECT vault_id FROM storage_unit) ORDER BY protected_at DESC, id DESC LIMIT 1";
        let found = on!(self, c => sqlx::query_as::<_, (String,)>(SQL).bind(project).bind(volume).fetch_optional(c).await)?;
        Ok(found.map(|(point,)| point))
    }

    /// The newest finished backup of a resource in a vault.
    pub async fn newest_backup_of(
        &mut self,
        vault: &VaultId,
        resource: &ResourceId,
    ) -> Result<Option<BackupId>> {
        const SQL: &str = "SELECT id FROM backup WHERE vault_id = $1 AND resource_id = $2 AND parent_id IS NULL \
             AND status IN ('available', 'waiting_restore', 'restoring') ORDER BY created_at DESC, id DESC LIMIT 1";
        let found = on!(self, c => sqlx::query_as::<_, (BackupId,)>(SQL).bind(vault).bind(resource).fetch_optional(c).await)?;
        Ok(found.map(|(id,)| id))
    }

    /// Those of these resources, servers and volumes alike, that are being backed up.
    pub async fn resources_being_backed_up(
        &mut self,
        resources: &[ResourceId],
    ) -> Result<Vec<ResourceId>> {
        let sql = format!(
            "SELECT DISTINCT resource_id FROM backup WHERE status IN ('waiting_protect', 'protecting') \
             AND resource_id IN ({}) ORDER BY resource_id",
            self.dialect().values_of("$1")
        );
        let found = on!(self, c => sqlx::query_as::<_, (ResourceId,)>(AssertSqlSafe(sql))
            .bind(JsonText(resources)).fetch_all(c).await)?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// How many rows of a vault, children included, are in one of these states.
    pub async fn count_backups_of_vault(
        &mut self,
        vault: &VaultId,
        statuses: &[BackupStatus],
    ) -> Result<u64> {
        let sql = format!(
            "SELECT COUNT(*) FROM backup WHERE vault_id = $1 AND status IN ({})",
            self.dialect().values_of("$2")
        );
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(AssertSqlSafe(sql))
            .bind(vault).bind(JsonText(statuses)).fetch_one(c).await)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
