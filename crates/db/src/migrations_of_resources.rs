//! Moving a resource, its backups and what they need from one vault to another.

use strongroom_types::{BackupId, CheckpointId, ProtectStatus, ResourceId, VaultId};

use crate::tx::on;
use crate::{Result, Tx};

impl Tx {
    /// Moves a migrating resource; `false` when it is not migrating from that vault.
    pub async fn move_resource_to_vault(
        &mut self,
        id: &ResourceId,
        from: &VaultId,
        to: &VaultId,
        status: ProtectStatus,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE vault_resource SET vault_id = $1, protect_status = $2 \
             WHERE resource_id = $3 AND vault_id = $4 AND protect_status = 'migrating'";
        let changed = on!(self, c => sqlx::query(SQL).bind(to).bind(status).bind(id).bind(from)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Moves a top-level backup and its children to a checkpoint of another vault, and thereby to that vault.
    pub async fn move_backup_to_vault(
        &mut self,
        id: &BackupId,
        vault: &VaultId,
        checkpoint: &CheckpointId,
    ) -> Result<u64> {
        const SQL: &str =
            "UPDATE backup SET vault_id = $1, checkpoint_id = $2 WHERE id = $3 OR parent_id = $3";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(vault).bind(checkpoint).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?,
        )
    }

    /// `false` when there is no such checkpoint.
    pub async fn move_checkpoint_to_vault(
        &mut self,
        id: &CheckpointId,
        vault: &VaultId,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE checkpoint SET vault_id = $1 WHERE id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(vault).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
