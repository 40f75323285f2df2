//! Resources in their vaults.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use strongroom_types::{ProtectStatus, ResourceId, ResourceType, Timestamp, VaultId, VolumeId};

use crate::page::stored;
use crate::tx::on;
use crate::{JsonText, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultResource {
    pub resource_id: ResourceId,
    pub vault_id: VaultId,
    pub resource_type: ResourceType,
    pub name: String,
    #[sqlx(try_from = "i64")]
    pub size_gb: u64,
    pub protect_status: ProtectStatus,
    pub auto_protect: bool,
    /// Disks of a server that its backups leave out.
    pub exclude_volumes: Option<JsonText<Vec<VolumeId>>>,
    /// When given, exactly these disks of a server are backed up.
    pub include_volumes: Option<JsonText<Vec<IncludedVolume>>>,
    #[sqlx(try_from = "i64")]
    pub backup_bytes: u64,
    #[sqlx(try_from = "i64")]
    pub backup_count: u64,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncludedVolume {
    pub id: VolumeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

impl Tx {
    /// `Conflict` when a vault protects the resource already.
    pub async fn insert_vault_resource(&mut self, resource: &VaultResource) -> Result<()> {
        const SQL: &str = "INSERT INTO vault_resource (resource_id, vault_id, resource_type, name, size_gb, protect_status, \
             auto_protect, exclude_volumes, include_volumes, backup_bytes, backup_count, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
        on!(self, c => sqlx::query(SQL)
            .bind(&resource.resource_id).bind(&resource.vault_id).bind(resource.resource_type).bind(&resource.name)
            .bind(stored(resource.size_gb)).bind(resource.protect_status).bind(resource.auto_protect)
            .bind(&resource.exclude_volumes).bind(&resource.include_volumes)
            .bind(stored(resource.backup_bytes)).bind(stored(resource.backup_count)).bind(resource.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_vault_resource(&mut self, id: &ResourceId) -> Result<Option<VaultResource>> {
        const SQL: &str = "SELECT * FROM vault_resource WHERE resource_id = $1";
        Ok(
            on!(self, c => sqlx::query_as::<_, VaultResource>(SQL).bind(id).fetch_optional(c).await)?,
        )
    }

    /// By vault, in the order they were added.
    pub async fn resources_of_vaults(&mut self, ids: &[VaultId]) -> Result<Vec<VaultResource>> {
        let sql = format!(
            "SELECT * FROM vault_resource WHERE vault_id IN ({}) ORDER BY vault_id, created_at, resource_id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, VaultResource>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// The rows of those of these resources that a vault protects.
    pub async fn vault_resources_by_id(
        &mut self,
        ids: &[ResourceId],
    ) -> Result<Vec<VaultResource>> {
        let sql = format!(
            "SELECT * FROM vault_resource WHERE resource_id IN ({}) ORDER BY resource_id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, VaultResource>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// Writes the name, the size and the choice of disks.
    pub async fn update_vault_resource(&mut self, resource: &VaultResource) -> Result<bool> {
        const SQL: &str = "UPDATE vault_resource SET name = $3, size_gb = $4, exclude_volumes = $5, include_volumes = $6 \
             WHERE resource_id = $1 AND vault_id = $2";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&resource.resource_id).bind(&resource.vault_id).bind(&resource.name).bind(stored(resource.size_gb))
            .bind(&resource.exclude_volumes).bind(&resource.include_volumes)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Writes the size that a resource allocates in its vault.
    pub async fn update_vault_resource_size(
        &mut self,
        id: &ResourceId,
        size_gb: u64,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE vault_resource SET size_gb = $1 WHERE resource_id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(stored(size_gb)).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Moves a resource from one of the states `from` to `to`; `false` when it is in none of them.
    pub async fn move_vault_resource(
        &mut self,
        id: &ResourceId,
        from: &[ProtectStatus],
        to: ProtectStatus,
    ) -> Result<bool> {
        let sql = format!(
            "UPDATE vault_resource SET protect_status = $1 WHERE resource_id = $2 AND protect_status IN ({})",
            self.dialect().values_of("$3")
        );
        let changed = on!(self, c => sqlx::query(AssertSqlSafe(sql)).bind(to).bind(id).bind(JsonText(from))
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Has automatic backups take the resource in or leave it out; `false` when the vault does not protect it.
    pub async fn update_vault_resource_auto_protect(
        &mut self,
        vault: &VaultId,
        id: &ResourceId,
        auto_protect: bool,
    ) -> Result<bool> {
        const SQL: &str =
            "UPDATE vault_resource SET auto_protect = $1 WHERE resource_id = $2 AND vault_id = $3";
        let changed = on!(self, c => sqlx::query(SQL).bind(auto_protect).bind(id).bind(vault)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Writes what the resource's backups in its vault take, and counts those that are finished.
    pub async fn update_vault_resource_usage(
        &mut self,
        id: &ResourceId,
        backup_bytes: u64,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE vault_resource SET backup_bytes = $1, backup_count = \
             (SELECT COUNT(*) FROM backup WHERE backup.resource_id = vault_resource.resource_id \
              AND backup.vault_id = vault_resource.vault_id AND parent_id IS NULL \
              AND status IN ('available', 'waiting_restore', 'restoring')) WHERE resource_id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(stored(backup_bytes)).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Notes that the backup of a resource that was made at `made_at` is the one to prove; `false` when one was that was made
    /// at `not_since` or later, but for one more than a day after `made_at`: then a clock stood ahead.
    pub async fn take_up_proof(
        &mut self,
        id: &ResourceId,
        made_at: Timestamp,
        not_since: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE vault_resource SET last_proven_backup_at = $1 WHERE resource_id = $2 \
             AND (last_proven_backup_at IS NULL OR last_proven_backup_at < $3 OR last_proven_backup_at > $4)";
        let ahead = made_at.plus(Duration::from_hours(24));
        let changed = on!(self, c => sqlx::query(SQL).bind(made_at).bind(id).bind(not_since).bind(ahead)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    pub async fn delete_vault_resource(&mut self, id: &ResourceId) -> Result<bool> {
        const SQL: &str = "DELETE FROM vault_resource WHERE resource_id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Every resource leaves the vault; their backups must be gone.
    pub async fn delete_resources_of_vault(&mut self, id: &VaultId) -> Result<u64> {
        const SQL: &str = "DELETE FROM vault_resource WHERE vault_id = $1";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?,
        )
    }
}
