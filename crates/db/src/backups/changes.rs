//! What becomes of a backup's row.

use sqlx::AssertSqlSafe;
use strongroom_types::{BackupId, BackupStatus, ResourceId, Timestamp, VaultId};

use super::Backup;
use crate::page::stored;
use crate::tx::on;
use crate::{JsonText, Result, Tx};

impl Tx {
    pub async fn rename_backup(
        &mut self,
        id: &BackupId,
        name: &str,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE backup SET name = $1, updated_at = $2 WHERE id = $3";
        let changed = on!(self, c => sqlx::query(SQL).bind(name).bind(now).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Moves one row from one of the states `from` to `to`; `false` when it is in none of them.
    pub async fn move_backup(
        &mut self,
        id: &BackupId,
        from: &[BackupStatus],
        to: BackupStatus,
        now: Timestamp,
    ) -> Result<bool> {
        let sql = format!(
            "UPDATE backup SET status = $1, updated_at = $2 WHERE id = $3 AND status IN ({})",
            self.dialect().values_of("$4")
        );
        let changed = on!(self, c => sqlx::query(AssertSqlSafe(sql)).bind(to).bind(now).bind(id).bind(JsonText(from))
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Moves every child of a server's backup, whatever its state.
    pub async fn move_children(
        &mut self,
        parent: &BackupId,
        to: BackupStatus,
        now: Timestamp,
    ) -> Result<u64> {
        const SQL: &str = "UPDATE backup SET status = $1, updated_at = $2 WHERE parent_id = $3";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(to).bind(now).bind(parent)
            .execute(c).await.map(|done| done.rows_affected()))?,
        )
    }

    /// Moves when a backup expires, and with it its children.
    pub async fn update_backup_end(
        &mut self,
        id: &BackupId,
        end: Timestamp,
        now: Timestamp,
    ) -> Result<u64> {
        const SQL: &str = "UPDATE backup SET expired_at = $1, updated_at = $2 WHERE (id = $3 OR parent_id = $3) \
             AND status NOT IN ('waiting_delete', 'deleting')";
        Ok(on!(self, c => sqlx::query(SQL).bind(end).bind(now).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?)
    }

    pub async fn update_backup_progress(
        &mut self,
        id: &BackupId,
        percent: u64,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE backup SET progress = $1, updated_at = $2 WHERE id = $3 AND status = 'protecting'";
        let changed = on!(self, c => sqlx::query(SQL).bind(stored(percent)).bind(now).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Publishes how a row's backup ended; `false` when it is not being made.
    pub async fn end_backup(&mut self, backup: &Backup) -> Result<bool> {
        const SQL: &str = "UPDATE backup SET status = $2, progress = $3, point_id = $4, size_bytes = $5, stored_bytes = $6, \
             trouble = $7, trouble_message = $8, updated_at = $9, protected_at = $10, quiesce = $11 \
             WHERE id = $1 AND status IN ('waiting_protect', 'protecting')";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&backup.id).bind(backup.status).bind(stored(backup.progress)).bind(&backup.point_id)
            .bind(stored(backup.size_bytes)).bind(stored(backup.stored_bytes)).bind(backup.trouble).bind(&backup.trouble_message)
            .bind(backup.updated_at).bind(backup.protected_at).bind(&backup.quiesce)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// What was listed as damaged is sound again; `false` when the row says something else.
    pub async fn mend_backup(&mut self, id: &BackupId, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE backup SET status = 'available', progress = 100, trouble = NULL, trouble_message = '', \
             updated_at = $2 WHERE id = $1 AND status = 'error' AND trouble = 'data_damaged'";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).bind(now)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Deletes a top-level row and its children.
    pub async fn delete_backup(&mut self, id: &BackupId) -> Result<bool> {
        const CHILDREN: &str = "DELETE FROM backup WHERE parent_id = $1";
        const SQL: &str = "DELETE FROM backup WHERE id = $1";
        on!(self, c => sqlx::query(CHILDREN).bind(id).execute(c).await.map(|_| ()))?;
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Moves every row of a vault, children included, whatever its state; of one resource when it is given.
    pub async fn move_backups_of_vault(
        &mut self,
        vault: &VaultId,
        resource: Option<&ResourceId>,
        to: BackupStatus,
        now: Timestamp,
    ) -> Result<u64> {
        const SQL: &str = "UPDATE backup SET status = $1, updated_at = $2 WHERE vault_id = $3 AND (CAST($4 AS TEXT) IS NULL \
             OR COALESCE(parent_id, id) IN (SELECT id FROM backup WHERE resource_id = $4 AND parent_id IS NULL))";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(to).bind(now).bind(vault).bind(resource)
            .execute(c).await.map(|done| done.rows_affected()))?,
        )
    }

    /// Deletes every row of a vault, children included; of one resource when it is given.
    pub async fn delete_backups_of_vault(
        &mut self,
        vault: &VaultId,
        resource: Option<&ResourceId>,
    ) -> Result<u64> {
        const CHILDREN: &str = "DELETE FROM backup WHERE vault_id = $1 AND parent_id IS NOT NULL AND (CAST($2 AS TEXT) IS NULL \
             OR parent_id IN (SELECT id FROM backup WHERE resource_id = $2 AND parent_id IS NULL))";
        const SQL: &str = "DELETE FROM backup WHERE vault_id = $1 AND parent_id IS NULL AND (CAST($2 AS TEXT) IS NULL OR resource_id = $2)";
        on!(self, c => sqlx::query(CHILDREN).bind(vault).bind(resource).execute(c).await.map(|_| ()))?;
        Ok(
            on!(self, c => sqlx::query(SQL).bind(vault).bind(resource).execute(c).await.map(|done| done.rows_affected()))?,
        )
    }
}
