//! What machines that ran from backups have shown.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    Accelerator, BackupId, FileSystemState, ProjectId, ProofId, ProofState, ProofVerdict,
    ResourceId, Timestamp,
};

use crate::page::stored;
use crate::tx::on;
use crate::{JsonText, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Proof {
    pub id: ProofId,
    pub project_id: ProjectId,
    /// Of a server or of a disk.
    pub backup_id: BackupId,
    pub state: ProofState,
    /// Of one that is done.
    pub verdict: Option<ProofVerdict>,
    /// What the verdict rests on, or why there is none; empty until it has ended.
    pub reason: String,
    /// Known once it is done.
    pub accelerator: Option<Accelerator>,
    /// Those of its disks that were looked through.
    pub file_systems: JsonText<Vec<FileSystemCheck>>,
    /// The end of what the machine said on its serial port.
    pub console: String,
    /// A picture of its last screen is kept.
    pub has_screen: bool,
    pub created_at: Timestamp,
    /// Of the last attempt.
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

/// What was found in a file system before a machine had touched it. Kept as JSON, so fields are only ever added, with a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystemCheck {
    /// Of the machine, counted from 0, which is the system disk.
    pub disk: u64,
    /// Where on the disk it lies.
    pub offset_bytes: u64,
    pub size_bytes: u64,
    pub state: FileSystemState,
    /// What the check said, or why there was none.
    pub message: String,
}

/// How a proof ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofEnd {
    /// Done or failed.
    pub state: ProofState,
    pub verdict: Option<ProofVerdict>,
    pub reason: String,
    pub accelerator: Option<Accelerator>,
    pub file_systems: Vec<FileSystemCheck>,
    pub console: String,
    /// A PNG.
    pub screen: Option<Vec<u8>>,
}

impl Tx {
    /// Adds one that waits. `Conflict` when one of the same backup has not ended.
    pub async fn insert_proof(
        &mut self,
        id: &ProofId,
        project: &ProjectId,
        backup: &BackupId,
        now: Timestamp,
    ) -> Result<()> {
        const SQL: &str = "INSERT INTO proof (id, project_id, backup_id, state, reason, file_systems, console, created_at) \
             VALUES ($1, $2, $3, 'waiting', '', '[]', '', $4)";
        on!(self, c => sqlx::query(SQL).bind(id).bind(project).bind(backup).bind(now)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_proof(&mut self, id: &ProofId) -> Result<Option<Proof>> {
        const SQL: &str =
            "SELECT proof.*, screen IS NOT NULL AS has_screen FROM proof WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Proof>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Newest first.
    pub async fn proofs_of_backup(&mut self, backup: &BackupId) -> Result<Vec<Proof>> {
        const SQL: &str = "SELECT proof.*, screen IS NOT NULL AS has_screen FROM proof WHERE backup_id = $1 \
             ORDER BY created_at DESC, id DESC";
        Ok(on!(self, c => sqlx::query_as::<_, Proof>(SQL).bind(backup).fetch_all(c).await)?)
    }

    /// A PNG; none when there is no such proof, or no picture of it.
    pub async fn screen_of_proof(&mut self, id: &ProofId) -> Result<Option<Vec<u8>>> {
        const SQL: &str = "SELECT screen FROM proof WHERE id = $1";
        let row = on!(self, c => sqlx::query_as::<_, (Option<Vec<u8>>,)>(SQL).bind(id).fetch_optional(c).await)?;
        Ok(row.and_then(|(screen,)| screen))
    }

    /// The one under way, or the one that has waited longest.
    pub async fn next_proof(&mut self) -> Result<Option<Proof>> {
        const SQL: &str = "SELECT proof.*, screen IS NOT NULL AS has_screen FROM proof \
             WHERE state IN ('waiting', 'running') ORDER BY state, created_at, id LIMIT 1";
        Ok(on!(self, c => sqlx::query_as::<_, Proof>(SQL).fetch_optional(c).await)?)
    }

    /// `false` when it has ended, or is gone.
    pub async fn start_proof(&mut self, id: &ProofId, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE proof SET state = 'running', started_at = $2 \
             WHERE id = $1 AND state IN ('waiting', 'running')";
        let changed = on!(self, c => sqlx::query(SQL).bind(id).bind(now)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// `false` when it has ended, or is gone.
    pub async fn end_proof(
        &mut self,
        id: &ProofId,
        end: &ProofEnd,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE proof SET state = $2, verdict = $3, reason = $4, accelerator = $5, console = $6, screen = $7, \
             ended_at = $8, file_systems = $9 WHERE id = $1 AND state IN ('waiting', 'running')";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(id).bind(end.state).bind(end.verdict).bind(&end.reason).bind(end.accelerator).bind(&end.console)
            .bind(&end.screen).bind(now).bind(JsonText(&end.file_systems))
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Forgets all that have ended but the newest.
    pub async fn prune_proofs(&mut self, backup: &BackupId, kept: u64) -> Result<u64> {
        const SQL: &str = "DELETE FROM proof WHERE backup_id = $1 AND state IN ('done', 'failed') AND id NOT IN \
             (SELECT id FROM proof WHERE backup_id = $1 AND state IN ('done', 'failed') ORDER BY created_at DESC, id DESC LIMIT $2)";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(backup).bind(stored(kept))
            .execute(c).await.map(|done| done.rows_affected()))?,
        )
    }

    /// When each resource of a project was last seen to boot from a backup of it.
    pub async fn proven_resources(
        &mut self,
        project: &ProjectId,
    ) -> Result<Vec<(ResourceId, Timestamp)>> {
        const SQL: &str = "SELECT b.resource_id, MAX(p.ended_at) FROM proof p JOIN backup b ON b.id = p.backup_id \
             WHERE p.project_id = $1 AND p.verdict = 'boots' GROUP BY b.resource_id";
        Ok(
            on!(self, c => sqlx::query_as::<_, (ResourceId, Timestamp)>(SQL).bind(project).fetch_all(c).await)?,
        )
    }
}
