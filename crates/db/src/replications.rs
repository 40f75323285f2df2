//! Copies of backups that go to other regions.

use sqlx::AssertSqlSafe;
use strongroom_types::{
    BackupId, CheckpointId, PolicyId, ProjectId, ReplicationId, ReplicationStatus, Retention,
    Timestamp, Trouble, VaultId,
};

use crate::page::stored;
use crate::tx::on;
use crate::{Backup, JsonText, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Replication {
    pub id: ReplicationId,
    pub project_id: ProjectId,
    pub vault_id: VaultId,
    pub checkpoint_id: CheckpointId,
    /// The server's backup that is copied.
    pub backup_id: BackupId,
    pub destination_region: String,
    pub destination_project_id: ProjectId,
    pub destination_vault_id: VaultId,
    /// Known once the destination has answered.
    pub destination_checkpoint_id: Option<CheckpointId>,
    pub destination_backup_id: Option<BackupId>,
    /// What the copy is called.
    pub name: String,
    pub description: String,
    pub auto_trigger: bool,
    pub status: ReplicationStatus,
    /// 0 to 100.
    #[sqlx(try_from = "i64")]
    pub progress: u64,
    pub trouble: Option<Trouble>,
    pub trouble_message: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The policy that sends it, which may be gone by now.
    pub policy_id: Option<PolicyId>,
    /// The rules of that policy when the copy was begun.
    pub retention: Option<JsonText<Retention>>,
}

impl Tx {
    /// `Conflict` when the backup is in that region, or on its way there.
    pub async fn insert_replication(&mut self, new: &Replication) -> Result<()> {
        const SQL: &str = "INSERT INTO replication (id, project_id, vault_id, checkpoint_id, backup_id, destination_region, \
             destination_project_id, destination_vault_id, destination_checkpoint_id, destination_backup_id, name, description, \
             auto_trigger, status, progress, trouble, trouble_message, created_at, updated_at, policy_id, retention) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(&new.project_id).bind(&new.vault_id).bind(&new.checkpoint_id).bind(&new.backup_id)
            .bind(&new.destination_region).bind(&new.destination_project_id).bind(&new.destination_vault_id)
            .bind(&new.destination_checkpoint_id).bind(&new.destination_backup_id).bind(&new.name).bind(&new.description)
            .bind(new.auto_trigger).bind(new.status).bind(stored(new.progress)).bind(new.trouble).bind(&new.trouble_message)
            .bind(new.created_at).bind(new.updated_at).bind(&new.policy_id).bind(&new.retention)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_replication(&mut self, id: &ReplicationId) -> Result<Option<Replication>> {
        const SQL: &str = "SELECT * FROM replication WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Replication>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// By backup, the oldest first.
    pub async fn replications_of_backups(&mut self, ids: &[BackupId]) -> Result<Vec<Replication>> {
        let sql = format!(
            "SELECT * FROM replication WHERE backup_id IN ({}) ORDER BY backup_id, created_at, id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Replication>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// Copies of a vault's backups that have not ended; of one backup when it is given.
    pub async fn count_active_replications(
        &mut self,
        vault: &VaultId,
        backup: Option<&BackupId>,
    ) -> Result<u64> {
        const SQL: &str = "SELECT COUNT(*) FROM replication WHERE vault_id = $1 AND (CAST($2 AS TEXT) IS NULL OR backup_id = $2) \
             AND status IN ('waiting_replicate', 'replicating')";
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(SQL).bind(vault).bind(backup).fetch_one(c).await)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Finished backups of servers in a vault that are not in that region and not on their way, the oldest first.
    pub async fn unreplicated_backups(
        &mut self,
        vault: &VaultId,
        region: &str,
        limit: u64,
    ) -> Result<Vec<Backup>> {
        const SQL: &str = "SELECT b.* FROM backup b WHERE b.vault_id = $1 AND b.parent_id IS NULL AND b.status = 'available' \
             AND b.image_type = 'backup' AND b.resource_type = 'OS::Nova::Server' AND b.system_disk = $4 \
             AND NOT EXISTS (SELECT 1 FROM replication r WHERE r.backup_id = b.id AND r.destination_region = $2 \
                             AND r.status IN ('waiting_replicate', 'replicating', 'success')) \
             ORDER BY b.created_at, b.id LIMIT $3";
        Ok(on!(self, c => sqlx::query_as::<_, Backup>(SQL)
            .bind(vault).bind(region).bind(stored(limit)).bind(true).fetch_all(c).await)?)
    }

    /// Whether an older backup of the same server is on its way to the same region: what it brings need not be sent again.
    pub async fn is_behind_another(&mut self, replication: &Replication) -> Result<bool> {
        const SQL: &str = "SELECT COUNT(*) FROM replication r JOIN backup b ON b.id = r.backup_id \
             JOIN backup mine ON mine.id = $1 AND mine.resource_id = b.resource_id AND mine.project_id = b.project_id \
             WHERE r.id <> $2 AND r.destination_region = $3 AND r.status IN ('waiting_replicate', 'replicating') \
             AND (b.created_at < mine.created_at OR (b.created_at = mine.created_at AND b.id < mine.id))";
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(SQL)
            .bind(&replication.backup_id).bind(&replication.id).bind(&replication.destination_region).fetch_one(c).await)?;
        Ok(count > 0)
    }

    /// `false` when it has ended.
    pub async fn start_replication(&mut self, id: &ReplicationId, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE replication SET status = 'replicating', updated_at = $2 \
             WHERE id = $1 AND status IN ('waiting_replicate', 'replicating')";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).bind(now)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Writes where the copy goes and how far it is; `false` when it is not under way.
    pub async fn update_replication(
        &mut self,
        replication: &Replication,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE replication SET destination_checkpoint_id = $2, destination_backup_id = $3, progress = $4, \
             updated_at = $5 WHERE id = $1 AND status = 'replicating'";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&replication.id).bind(&replication.destination_checkpoint_id).bind(&replication.destination_backup_id)
            .bind(stored(replication.progress)).bind(now)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Writes how a copy ended; `false` when it has ended already.
    pub async fn end_replication(
        &mut self,
        replication: &Replication,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE replication SET status = $2, progress = $3, trouble = $4, trouble_message = $5, updated_at = $6 \
             WHERE id = $1 AND status IN ('waiting_replicate', 'replicating')";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&replication.id).bind(replication.status).bind(stored(replication.progress)).bind(replication.trouble)
            .bind(&replication.trouble_message).bind(now)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
