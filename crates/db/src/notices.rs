//! What somebody is to be told. A claim raises `attempt`, which fences what is written about it afterwards.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use strongroom_types::{
    BackupId, NoticeChannel, NoticeState, ProjectId, ProofId, ResourceId, Timestamp, VaultId,
    VolumeId,
};

use crate::tx::on;
use crate::{JsonText, Result, Tx};

/// One event on its way through one channel.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Notice {
    pub id: String,
    /// The same for all channels of an event, so that whoever hears of it twice can tell.
    pub event_id: String,
    pub channel: NoticeChannel,
    pub event: JsonText<NoticeEvent>,
    pub state: NoticeState,
    pub run_at: Timestamp,
    pub attempt: i64,
    pub last_error: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

/// What has happened. Receivers read these names and fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum NoticeEvent {
    /// A vault's use has reached the share of its size that is worth a notice.
    VaultThresholdReached {
        project_id: ProjectId,
        vault_id: VaultId,
        vault_name: String,
        threshold_percent: u64,
        used_bytes: u64,
        size_gb: u64,
    },
    /// An audit found bytes of a running server's disk changed that its bitmap did not mark. The disk was read whole.
    ChangesMissed {
        project_id: ProjectId,
        backup_id: BackupId,
        volume_id: VolumeId,
        /// In the disk, bytes.
        offset: u64,
    },
    /// A machine that was run from a backup did not come up.
    BackupDoesNotBoot {
        project_id: ProjectId,
        backup_id: BackupId,
        /// What it is a backup of.
        resource_id: ResourceId,
        resource_name: String,
        proof_id: ProofId,
        reason: String,
    },
}

impl Tx {
    pub async fn insert_notice(&mut self, notice: &Notice) -> Result<()> {
        const SQL: &str = "INSERT INTO notification (id, event_id, channel, event, state, run_at, attempt, last_error, created_at, finished_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        on!(self, c => sqlx::query(SQL)
            .bind(&notice.id).bind(&notice.event_id).bind(notice.channel).bind(&notice.event).bind(notice.state)
            .bind(notice.run_at).bind(notice.attempt).bind(&notice.last_error).bind(notice.created_at).bind(notice.finished_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Takes the notice that is due for longest, and starts its next attempt, which must end within `lease`.
    pub async fn claim_notice(
        &mut self,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Notice>> {
        let sql = format!(
            "UPDATE notification SET attempt = attempt + 1, run_at = $1 WHERE id = (SELECT id FROM notification \
             WHERE state = 'waiting' AND run_at <= $2 ORDER BY run_at, id LIMIT 1{}) RETURNING *",
            self.dialect().skip_locked()
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Notice>(AssertSqlSafe(sql))
            .bind(now.plus(lease)).bind(now).fetch_optional(c).await)?,
        )
    }

    /// Ends a claimed notice; `false` when a later attempt has taken it over.
    pub async fn end_notice(
        &mut self,
        notice: &Notice,
        state: NoticeState,
        error: Option<&str>,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE notification SET state = $1, last_error = $2, finished_at = $3 \
             WHERE id = $4 AND attempt = $5 AND state = 'waiting'";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(state).bind(error).bind(now).bind(&notice.id).bind(notice.attempt)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Gives a claimed notice back, to be tried again at `run_at`.
    pub async fn retry_notice(
        &mut self,
        notice: &Notice,
        error: &str,
        run_at: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE notification SET last_error = $1, run_at = $2 WHERE id = $3 AND attempt = $4 AND state = 'waiting'";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(error).bind(run_at).bind(&notice.id).bind(notice.attempt)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Forgets notices that ended before a moment; answers how many.
    pub async fn forget_notices(&mut self, before: Timestamp) -> Result<u64> {
        const SQL: &str = "DELETE FROM notification WHERE state <> 'waiting' AND finished_at < $1";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(before).execute(c).await.map(|done| done.rows_affected()))?,
        )
    }

    /// Every notice, the oldest first; at most `limit`.
    pub async fn list_notices(&mut self, limit: u64) -> Result<Vec<Notice>> {
        const SQL: &str = "SELECT * FROM notification ORDER BY created_at, id LIMIT $1";
        Ok(on!(self, c => sqlx::query_as::<_, Notice>(SQL)
            .bind(crate::page::stored(limit)).fetch_all(c).await)?)
    }
}
