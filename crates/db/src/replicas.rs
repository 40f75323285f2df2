//! Backups that come from other regions.

use strongroom_types::{
    BackupId, CheckpointId, OperationLogId, ProjectId, ReplicationId, Timestamp, VaultId,
};

use crate::page::stored;
use crate::tx::on;
use crate::{Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Replica {
    /// The server's backup here.
    pub backup_id: BackupId,
    pub source_region: String,
    pub source_project_id: ProjectId,
    pub source_checkpoint_id: CheckpointId,
    pub source_backup_id: BackupId,
    /// The source's name for the transfer.
    pub replication_id: ReplicationId,
    pub operation_log_id: OperationLogId,
    /// Keys the ids of blocks during the transfer; 64 hex digits.
    pub block_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct ReplicaDisk {
    /// The disk's backup here.
    pub backup_id: BackupId,
    pub replica_id: BackupId,
    pub source_backup_id: BackupId,
    /// The point of the same disk that the transfer is compared with.
    pub reference: Option<String>,
    /// Over what the disk must hold, 64 hex digits; known once all of it was sent.
    pub digest: Option<String>,
}

impl Tx {
    /// `Conflict` when the source has begun this transfer before.
    pub async fn insert_replica(&mut self, new: &Replica) -> Result<()> {
        const SQL: &str = "INSERT INTO replica (backup_id, source_region, source_project_id, source_checkpoint_id, source_backup_id, \
             replication_id, operation_log_id, block_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.backup_id).bind(&new.source_region).bind(&new.source_project_id).bind(&new.source_checkpoint_id)
            .bind(&new.source_backup_id).bind(&new.replication_id).bind(&new.operation_log_id).bind(&new.block_key)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn insert_replica_disk(&mut self, new: &ReplicaDisk) -> Result<()> {
        const SQL: &str = "INSERT INTO replica_disk (backup_id, replica_id, source_backup_id, reference, digest) VALUES ($1, $2, $3, $4, $5)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.backup_id).bind(&new.replica_id).bind(&new.source_backup_id).bind(&new.reference).bind(&new.digest)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_replica(&mut self, backup: &BackupId) -> Result<Option<Replica>> {
        const SQL: &str = "SELECT * FROM replica WHERE backup_id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Replica>(SQL).bind(backup).fetch_optional(c).await)?)
    }

    /// The replica of a backup that is in a vault, or on its way there.
    pub async fn find_replica_in(
        &mut self,
        vault: &VaultId,
        region: &str,
        source: &BackupId,
    ) -> Result<Option<Replica>> {
        const SQL: &str = "SELECT r.* FROM replica r JOIN backup b ON b.id = r.backup_id \
             WHERE r.source_backup_id = $1 AND r.source_region = $2 AND b.vault_id = $3 \
             AND b.status IN ('waiting_protect', 'protecting', 'available', 'waiting_restore', 'restoring') \
             ORDER BY b.created_at, b.id LIMIT 1";
        Ok(
            on!(self, c => sqlx::query_as::<_, Replica>(SQL).bind(source).bind(region).bind(vault).fetch_optional(c).await)?,
        )
    }

    /// Whether a transfer that goes on is compared with a disk of this backup.
    pub async fn is_compared_with(&mut self, backup: &BackupId) -> Result<bool> {
        const SQL: &str = "SELECT COUNT(*) FROM backup child JOIN replica_disk ON replica_disk.reference = child.point_id \
             JOIN backup replica ON replica.id = replica_disk.replica_id \
             WHERE child.parent_id = $1 AND replica.status IN ('waiting_protect', 'protecting')";
        let (count,) =
            on!(self, c => sqlx::query_as::<_, (i64,)>(SQL).bind(backup).fetch_one(c).await)?;
        Ok(count > 0)
    }

    /// The replica that a transfer of the source makes.
    pub async fn find_replica_of(
        &mut self,
        region: &str,
        replication: &ReplicationId,
    ) -> Result<Option<Replica>> {
        const SQL: &str = "SELECT * FROM replica WHERE source_region = $1 AND replication_id = $2";
        Ok(
            on!(self, c => sqlx::query_as::<_, Replica>(SQL).bind(region).bind(replication).fetch_optional(c).await)?,
        )
    }

    /// Transfers of which nothing came since `before`, and that were not said to be whole, the longest silent first.
    pub async fn silent_replicas(&mut self, before: Timestamp, limit: u64) -> Result<Vec<Replica>> {
        const SQL: &str = "SELECT r.* FROM replica r JOIN backup b ON b.id = r.backup_id \
             WHERE b.status = 'protecting' AND b.updated_at < $1 \
             AND NOT EXISTS (SELECT 1 FROM replica_disk d WHERE d.replica_id = r.backup_id AND d.digest IS NOT NULL) \
             ORDER BY b.updated_at, b.id LIMIT $2";
        Ok(
            on!(self, c => sqlx::query_as::<_, Replica>(SQL).bind(before).bind(stored(limit)).fetch_all(c).await)?,
        )
    }

    /// In the order of the source's ids.
    pub async fn disks_of_replica(&mut self, replica: &BackupId) -> Result<Vec<ReplicaDisk>> {
        const SQL: &str =
            "SELECT * FROM replica_disk WHERE replica_id = $1 ORDER BY source_backup_id";
        Ok(on!(self, c => sqlx::query_as::<_, ReplicaDisk>(SQL).bind(replica).fetch_all(c).await)?)
    }

    pub async fn find_replica_disk(&mut self, backup: &BackupId) -> Result<Option<ReplicaDisk>> {
        const SQL: &str = "SELECT * FROM replica_disk WHERE backup_id = $1";
        Ok(
            on!(self, c => sqlx::query_as::<_, ReplicaDisk>(SQL).bind(backup).fetch_optional(c).await)?,
        )
    }

    /// Says what a disk must hold; `false` when there is none of that id in the replica.
    pub async fn set_replica_digest(
        &mut self,
        replica: &BackupId,
        disk: &BackupId,
        digest: &str,
    ) -> Result<bool> {
        const SQL: &str =
            "UPDATE replica_disk SET digest = $3 WHERE backup_id = $2 AND replica_id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(replica).bind(disk).bind(digest)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
