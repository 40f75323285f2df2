//! Backups that are served as disks.

use sqlx::AssertSqlSafe;
use strongroom_types::{
    AttachmentId, AttachmentStatus, AttachmentTransport, BackupId, ProjectId, ResourceId,
    Timestamp, VaultId,
};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{JsonText, Listed, Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct BackupAttachment {
    pub id: AttachmentId,
    pub project_id: ProjectId,
    /// A server's, whose disks are served together, or a disk's.
    pub backup_id: BackupId,
    pub read_only: bool,
    pub transport: AttachmentTransport,
    /// Holds a socket for each disk, if they are reached so, and, unless it is read-only, what is written over each; absolute.
    pub folder: String,
    pub status: AttachmentStatus,
    /// Why it is in error; empty otherwise.
    pub reason: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Tx {
    pub async fn insert_backup_attachment(&mut self, new: &BackupAttachment) -> Result<()> {
        const SQL: &str = "INSERT INTO backup_attachment (id, project_id, backup_id, read_only, folder, status, reason, created_at, \
             updated_at, transport) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(&new.project_id).bind(&new.backup_id).bind(new.read_only).bind(&new.folder)
            .bind(new.status).bind(&new.reason).bind(new.created_at).bind(new.updated_at)
            .bind(new.transport)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_backup_attachment(
        &mut self,
        id: &AttachmentId,
    ) -> Result<Option<BackupAttachment>> {
        const SQL: &str = "SELECT * FROM backup_attachment WHERE id = $1";
        Ok(
            on!(self, c => sqlx::query_as::<_, BackupAttachment>(SQL).bind(id).fetch_optional(c).await)?,
        )
    }

    /// Newest first; of one backup when it is given.
    pub async fn list_backup_attachments(
        &mut self,
        project: &ProjectId,
        backup: Option<&BackupId>,
        page: &Page,
    ) -> Result<Listed<BackupAttachment>> {
        const MATCHING: &str = "FROM backup_attachment WHERE project_id = $1 AND (CAST($2 AS TEXT) IS NULL OR backup_id = $2)";
        const ORDER: &str = "created_at DESC, id DESC";
        let extent = page.extent_sql(MATCHING, ORDER, "$3");
        let extent = on!(self, c => sqlx::query_as::<_, Extent>(AssertSqlSafe(extent))
            .bind(project).bind(backup).bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $3 OFFSET $4");
        let rows = on!(self, c => sqlx::query_as::<_, BackupAttachment>(AssertSqlSafe(sql))
            .bind(project).bind(backup).bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Of all projects, the oldest first.
    pub async fn all_backup_attachments(&mut self) -> Result<Vec<BackupAttachment>> {
        const SQL: &str = "SELECT * FROM backup_attachment ORDER BY created_at, id";
        Ok(on!(self, c => sqlx::query_as::<_, BackupAttachment>(SQL).fetch_all(c).await)?)
    }

    /// Attachments of a vault's backups and of their disks; of one resource's, or of one backup's, where it is given.
    pub async fn count_backup_attachments(
        &mut self,
        vault: &VaultId,
        resource: Option<&ResourceId>,
        backup: Option<&BackupId>,
    ) -> Result<u64> {
        const SQL: &str = "SELECT COUNT(*) FROM backup_attachment a JOIN backup b ON b.id = a.backup_id \
             LEFT JOIN backup top ON top.id = b.parent_id WHERE b.vault_id = $1 \
             AND (CAST($2 AS TEXT) IS NULL OR COALESCE(top.resource_id, b.resource_id) = $2) \
             AND (CAST($3 AS TEXT) IS NULL OR b.id = $3 OR b.parent_id = $3)";
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(SQL)
            .bind(vault).bind(resource).bind(backup).fetch_one(c).await)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Disks of all attachments together.
    pub async fn count_attached_disks(&mut self) -> Result<u64> {
        const SQL: &str = "SELECT COUNT(*) FROM backup_attachment a JOIN backup b ON b.id = a.backup_id OR b.parent_id = a.backup_id \
             WHERE b.resource_type = 'OS::Cinder::Volume'";
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(SQL).fetch_one(c).await)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// `false` when it was in none of the states `from`.
    pub async fn move_backup_attachment(
        &mut self,
        id: &AttachmentId,
        from: &[AttachmentStatus],
        to: AttachmentStatus,
        reason: &str,
        now: Timestamp,
    ) -> Result<bool> {
        let sql = format!(
            "UPDATE backup_attachment SET status = $2, reason = $3, updated_at = $4 WHERE id = $1 AND status IN ({})",
            self.dialect().values_of("$5")
        );
        let changed = on!(self, c => sqlx::query(AssertSqlSafe(sql))
            .bind(id).bind(to).bind(reason).bind(now).bind(JsonText(from))
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// `false` when it was gone already.
    pub async fn delete_backup_attachment(&mut self, id: &AttachmentId) -> Result<bool> {
        const SQL: &str = "DELETE FROM backup_attachment WHERE id = $1";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
