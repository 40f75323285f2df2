use serde::{Deserialize, Serialize};
use strongroom_types::{
    CheckpointId, CheckpointStatus, ProjectId, ResourceId, ResourceType, Timestamp, Trouble,
    VaultId,
};

use crate::tx::on;
use crate::{JsonText, Result, Tx};

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

impl Tx {
    pub async fn insert_checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        const SQL: &str = "INSERT INTO checkpoint (id, project_id, vault_id, name, description, status, retention_days, \
             skipped_resources, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        on!(self, c => sqlx::query(SQL)
            .bind(&checkpoint.id).bind(&checkpoint.project_id).bind(&checkpoint.vault_id).bind(&checkpoint.name)
            .bind(&checkpoint.description).bind(checkpoint.status).bind(checkpoint.retention_days)
            .bind(&checkpoint.skipped_resources).bind(checkpoint.created_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_checkpoint(&mut self, id: &CheckpointId) -> Result<Option<Checkpoint>> {
        const SQL: &str = "SELECT * FROM checkpoint WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Checkpoint>(SQL).bind(id).fetch_optional(c).await)?)
    }

    pub async fn update_checkpoint_status(
        &mut self,
        id: &CheckpointId,
        status: CheckpointStatus,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE checkpoint SET status = $1 WHERE id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(status).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// The checkpoint's backups must be gone.
    pub async fn delete_checkpoint(&mut self, id: &CheckpointId) -> Result<bool> {
        const SQL: &str = "DELETE FROM checkpoint WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Deletes every checkpoint of a vault; their backups must be gone.
    pub async fn delete_checkpoints_of_vault(&mut self, id: &VaultId) -> Result<u64> {
        const SQL: &str = "DELETE FROM checkpoint WHERE vault_id = $1";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?,
        )
    }
}
