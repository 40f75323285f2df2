//! Restores that have not ended.

use serde::{Deserialize, Serialize};
use strongroom_types::{BackupId, MemberId, OperationLogId, ResourceId, VolumeId};

use sqlx::AssertSqlSafe;

use crate::tx::on;
use crate::{JsonText, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Restore {
    pub operation_log_id: OperationLogId,
    /// The backup that was asked for: a server's, a disk's, or one disk's of a server's.
    pub backup_id: BackupId,
    /// What a vault would protect of the target: a server, or a volume that is protected by itself.
    pub resource_id: ResourceId,
    pub mappings: JsonText<Vec<RestoreMapping>>,
    pub power_on: bool,
    /// Set where another project's backup is restored: by whose right.
    pub member_id: Option<MemberId>,
    /// Set where the target is a server that is made for it.
    pub new_server: Option<JsonText<NewServer>>,
}

/// What a restore makes besides filling disks. Kept as JSON, so fields are only ever added, with a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewServer {
    /// Where its images and the definitions of its machine shall lie; absolute.
    pub folder: String,
    /// The libvirt that shall know it.
    pub libvirt_uri: Option<String>,
}

/// One disk's backup and the volume that it overwrites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreMapping {
    pub backup_id: BackupId,
    pub volume_id: VolumeId,
}

/// A volume that a restore is about to overwrite.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RestoreTarget {
    pub volume_id: VolumeId,
    pub operation_log_id: OperationLogId,
}

impl Tx {
    pub async fn insert_restore(&mut self, restore: &Restore) -> Result<()> {
        const SQL: &str = "INSERT INTO restore (operation_log_id, backup_id, resource_id, mappings, power_on, member_id, new_server) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)";
        on!(self, c => sqlx::query(SQL)
            .bind(&restore.operation_log_id).bind(&restore.backup_id).bind(&restore.resource_id).bind(&restore.mappings).bind(restore.power_on)
            .bind(&restore.member_id).bind(&restore.new_server)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// `Conflict` when another restore overwrites the volume.
    pub async fn insert_restore_target(&mut self, target: &RestoreTarget) -> Result<()> {
        const SQL: &str =
            "INSERT INTO restore_target (volume_id, operation_log_id) VALUES ($1, $2)";
        on!(self, c => sqlx::query(SQL).bind(&target.volume_id).bind(&target.operation_log_id)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_restore(&mut self, id: &OperationLogId) -> Result<Option<Restore>> {
        const SQL: &str = "SELECT * FROM restore WHERE operation_log_id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Restore>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Those of these volumes that a restore is about to overwrite.
    pub async fn restore_targets_of(&mut self, volumes: &[VolumeId]) -> Result<Vec<RestoreTarget>> {
        let sql = format!(
            "SELECT * FROM restore_target WHERE volume_id IN ({}) ORDER BY volume_id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, RestoreTarget>(AssertSqlSafe(sql)).bind(JsonText(volumes)).fetch_all(c).await)?,
        )
    }

    /// Forgets a restore that has ended, and frees its targets.
    pub async fn delete_restore(&mut self, id: &OperationLogId) -> Result<bool> {
        const TARGETS: &str = "DELETE FROM restore_target WHERE operation_log_id = $1";
        const SQL: &str = "DELETE FROM restore WHERE operation_log_id = $1";
        on!(self, c => sqlx::query(TARGETS).bind(id).execute(c).await.map(|_| ()))?;
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
