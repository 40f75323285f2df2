//! Operation logs: what happened to one object, for its owner to read.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use strongroom_types::{
    BackupId, CheckpointId, OperationLogId, OperationStatus, OperationType, PolicyId, ProjectId,
    ProtectStatus, ResourceId, ResourceType, Timestamp, Trouble, VaultId, VolumeId,
};

use crate::backups::Quiesce;
use crate::conditions::{Conditions, Matching, OF_PROJECT, OF_PROJECT_TOO, number, text};
use crate::json_text::list_or_null;
use crate::page::{NEWEST, NewestExtent, stored};
use crate::tx::{Dialect, on};
use crate::{JsonText, Listed, Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct OperationLog {
    pub id: OperationLogId,
    pub project_id: ProjectId,
    pub operation_type: OperationType,
    pub status: OperationStatus,
    /// 0 to 100.
    #[sqlx(try_from = "i64")]
    pub progress: u64,
    pub vault_id: Option<VaultId>,
    pub vault_name: Option<String>,
    pub checkpoint_id: Option<CheckpointId>,
    pub policy_id: Option<PolicyId>,
    pub provider_id: Option<String>,
    pub resource_id: Option<ResourceId>,
    pub resource_type: Option<ResourceType>,
    pub resource_name: Option<String>,
    pub extra: JsonText<OperationExtra>,
    pub trouble: Option<Trouble>,
    /// Empty when all is well.
    pub error_message: String,
    pub request_id: String,
    pub created_at: Timestamp,
    pub started_at: Timestamp,
    pub updated_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// What was read of a disk for a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskReading {
    pub volume_id: VolumeId,
    /// From the disk; what is known to be zero is not read.
    pub read_bytes: u64,
    /// Continues "it was read whole, because"; absent where only changes were read.
    #[serde(default)]
    pub whole: Option<String>,
    /// Where in the disk something had changed that its bitmap did not mark; in bytes.
    #[serde(default)]
    pub wrong_at: Option<u64>,
}

/// What an operation log tells beyond its columns, by the operation's type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum OperationExtra {
    Backup {
        backup_id: BackupId,
        backup_name: String,
        incremental: bool,
        /// Set when the backup ends, where the guest was to hold still.
        #[serde(default)]
        quiesce: Option<Quiesce>,
        /// Those that were saved; set when the backup ends.
        #[serde(default)]
        disks: Vec<DiskReading>,
    },
    Delete {
        backup_id: BackupId,
        backup_name: String,
    },
    Restore {
        backup_id: BackupId,
        backup_name: String,
        target_resource_id: ResourceId,
        target_resource_name: String,
    },
    /// The counts are of backups; `fail_count` is set when the operation ends.
    RemoveResources {
        total_count: u64,
        fail_count: u64,
    },
    VaultDelete {
        total_count: u64,
        fail_count: u64,
    },
    /// A policy's start, due at that moment, that started nothing.
    NotStarted {
        operation_type: OperationType,
        due_at: Timestamp,
    },
    UpdateExpirationTime {
        affected_backups_count: u64,
        /// `YYYY-MM-DD`
        expiration_day: String,
    },
    MigrateResource {
        destination_vault_id: VaultId,
        destination_vault_name: String,
        /// What the resource's state was, and will be again.
        was: ProtectStatus,
    },
    /// The counts are of backups that were listed, forgotten, and could not be dealt with.
    Sync {
        sync_backup_num: u64,
        delete_backup_num: u64,
        err_sync_backup_num: u64,
        /// The one backup that was asked for; absent when it is about a whole vault.
        wanted: Option<WantedBackup>,
    },
    Replication(ReplicationTask),
}

/// A copy from region to region, as both of them tell it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationTask {
    pub source_region: String,
    pub source_project_id: ProjectId,
    pub source_checkpoint_id: CheckpointId,
    pub source_backup_id: BackupId,
    pub source_backup_name: String,
    pub destination_region: String,
    pub destination_project_id: ProjectId,
    pub destination_checkpoint_id: Option<CheckpointId>,
    pub destination_backup_id: Option<BackupId>,
    pub destination_backup_name: String,
}

/// A backup that a client knows to be in a storage unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedBackup {
    pub backup_id: BackupId,
    /// What it is to be called.
    pub backup_name: String,
    pub image_path: String,
    pub resource_id: ResourceId,
    pub resource_name: String,
    pub resource_type: ResourceType,
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct OperationLogFilter {
    pub operation_type: Option<OperationType>,
    pub statuses: Vec<OperationStatus>,
    pub provider_id: Option<String>,
    pub resource_id: Option<ResourceId>,
    pub resource_name: Option<String>,
    pub vault_id: Option<VaultId>,
    pub vault_name: Option<String>,
    /// Bounds of the creation time, both included.
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
    pub enterprise_project_id: Option<String>,
}

/// How an operation ended.
#[derive(Debug, Clone)]
pub struct OperationEnd {
    pub status: OperationStatus,
    pub trouble: Option<Trouble>,
    pub error_message: String,
    pub extra: OperationExtra,
}

/// Binds the project and a filter, `$1` to `$11`; see `matching_logs`.
macro_rules! bind_filter {
    ($query:expr, $project:expr, $filter:expr) => {
        $query
            .bind($project)
            .bind($filter.operation_type)
            .bind(list_or_null(&$filter.statuses))
            .bind(&$filter.provider_id)
            .bind(&$filter.resource_id)
            .bind(&$filter.resource_name)
            .bind(&$filter.vault_id)
            .bind(&$filter.vault_name)
            .bind($filter.start_time)
            .bind($filter.end_time)
            .bind(&$filter.enterprise_project_id)
    };
}

pub(crate) fn matching_logs(filter: &OperationLogFilter, dialect: Dialect) -> Matching {
    let is_narrow = filter.vault_id.is_some() || filter.resource_id.is_some();
    let owned = if is_narrow {
        OF_PROJECT_TOO
    } else {
        OF_PROJECT
    };
    // One state has its rows in the order of the list in an index. Those of several would have to be sorted, all of them,
    // and SQLite would not see that.
    let of_status = match filter.statuses.len() {
        1 => format!("status = {}", dialect.first_value_of("$3")),
        _ => format!("status || '' IN ({})", dialect.values_of("$3")),
    };
    let mut sql = Conditions::new(format_args!("FROM operation_log WHERE {owned}"));
    sql.given(filter.operation_type, text(2), "operation_type = $2");
    sql.given(filter.statuses.first(), text(3), of_status);
    sql.given(filter.provider_id.as_ref(), text(4), "provider_id = $4");
    sql.given(filter.resource_id.as_ref(), text(5), "resource_id = $5");
    sql.given(filter.resource_name.as_ref(), text(6), "resource_name = $6");
    sql.given(filter.vault_id.as_ref(), text(7), "vault_id = $7");
    sql.given(filter.vault_name.as_ref(), text(8), "vault_name = $8");
    sql.given(filter.start_time, number(9), "created_at >= $9");
    sql.given(filter.end_time, number(10), "created_at <= $10");
    sql.given(
        filter.enterprise_project_id.as_ref(),
        text(11),
        "vault_id IN (SELECT id FROM vault WHERE enterprise_project_id = $11)",
    );
    sql.into_matching()
}

impl Tx {
    pub async fn insert_operation_log(&mut self, log: &OperationLog) -> Result<()> {
        const SQL: &str = "INSERT INTO operation_log (id, project_id, operation_type, status, progress, vault_id, vault_name, \
             checkpoint_id, policy_id, provider_id, resource_id, resource_type, resource_name, extra, trouble, error_message, \
             request_id, created_at, started_at, updated_at, ended_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)";
        on!(self, c => sqlx::query(SQL)
            .bind(&log.id).bind(&log.project_id).bind(log.operation_type).bind(log.status).bind(stored(log.progress))
            .bind(&log.vault_id).bind(&log.vault_name).bind(&log.checkpoint_id).bind(&log.policy_id).bind(&log.provider_id)
            .bind(&log.resource_id).bind(log.resource_type).bind(&log.resource_name).bind(&log.extra).bind(log.trouble)
            .bind(&log.error_message).bind(&log.request_id).bind(log.created_at).bind(log.started_at).bind(log.updated_at)
            .bind(log.ended_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_operation_log(
        &mut self,
        id: &OperationLogId,
    ) -> Result<Option<OperationLog>> {
        const SQL: &str = "SELECT * FROM operation_log WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, OperationLog>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Newest first.
    pub async fn list_operation_logs(
        &mut self,
        project: &ProjectId,
        filter: &OperationLogFilter,
        page: &Page,
    ) -> Result<Listed<OperationLog>> {
        let matching = matching_logs(filter, self.dialect());
        let extent = Page::newest_extent_sql(&matching, "operation_log", "$12");
        let extent = on!(self, c => bind_filter!(sqlx::query_as::<_, NewestExtent>(AssertSqlSafe(extent)), project, filter)
            .bind(&page.marker).fetch_one(c).await)?;
        let after = page.after_sql(&extent, "$14", "$15")?;
        let matching = matching.sql;
        let sql = format!("SELECT * {matching} {after} ORDER BY {NEWEST} LIMIT $12 OFFSET $13");
        let rows = on!(self, c => bind_filter!(sqlx::query_as::<_, OperationLog>(AssertSqlSafe(sql)), project, filter)
            .bind(stored(page.limit)).bind(stored(page.offset)).bind(extent.place).bind(&page.marker).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Marks an operation as running; its start is that of the first attempt.
    pub async fn start_operation_log(
        &mut self,
        id: &OperationLogId,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE operation_log SET started_at = CASE WHEN status = 'waiting' THEN $1 ELSE started_at END, \
             status = 'running', progress = 0, updated_at = $1 WHERE id = $2 AND status IN ('waiting', 'running')";
        let changed = on!(self, c => sqlx::query(SQL).bind(now).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    pub async fn update_operation_progress(
        &mut self,
        id: &OperationLogId,
        percent: u64,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE operation_log SET progress = $1, updated_at = $2 WHERE id = $3 AND status = 'running'";
        let changed = on!(self, c => sqlx::query(SQL).bind(stored(percent)).bind(now).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Rewrites what an operation tells while it runs.
    pub async fn update_operation_extra(
        &mut self,
        id: &OperationLogId,
        extra: &OperationExtra,
    ) -> Result<bool> {
        const SQL: &str =
            "UPDATE operation_log SET extra = $1 WHERE id = $2 AND status = 'running'";
        let changed = on!(self, c => sqlx::query(SQL).bind(JsonText(extra)).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Ends an operation; `false` when it has ended already. Only a success shows full progress.
    pub async fn end_operation_log(
        &mut self,
        id: &OperationLogId,
        end: &OperationEnd,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE operation_log SET status = $1, progress = CASE WHEN $1 = 'success' THEN 100 ELSE progress END, \
             trouble = $2, error_message = $3, extra = $4, updated_at = $5, ended_at = $5 \
             WHERE id = $6 AND status IN ('waiting', 'running')";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(end.status).bind(end.trouble).bind(&end.error_message).bind(JsonText(&end.extra)).bind(now).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
