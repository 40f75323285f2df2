//! The audit: who changed what, or tried to.
//!
//! Whoever serves a request that changes something follows it with a [`Trail`]. The first transaction of the request that
//! commits writes the trail's record with it, so that no change is without one and no code in between needs to know.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::AssertSqlSafe;
use strongroom_types::{AuditId, AuditOutcome, DomainId, ProjectId, Timestamp, UserId};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{Account, Listed, Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AuditRecord {
    pub id: AuditId,
    pub happened_at: Timestamp,
    pub request_id: String,
    /// `createVault`.
    pub action: String,
    pub outcome: AuditOutcome,
    /// Of the refusal; empty when there was none.
    pub error_code: String,
    pub project_id: Option<ProjectId>,
    /// These two are absent when the credentials did not say whose they are.
    pub domain_id: Option<DomainId>,
    pub user_id: Option<UserId>,
    pub user_name: String,
    /// The one that signed the request, or was claimed to.
    pub access_key: Option<String>,
    pub resource_type: String,
    pub resource_id: Option<String>,
    /// Where the request came from: an address.
    pub source: String,
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub project_id: Option<ProjectId>,
    pub user_id: Option<UserId>,
    pub action: Option<String>,
    pub outcome: Option<AuditOutcome>,
    pub resource_id: Option<String>,
    pub request_id: Option<String>,
    /// Bounds of the time, both included.
    pub start_time: Option<Timestamp>,
    pub end_time: Option<Timestamp>,
}

tokio::task_local! {
    static FOLLOWED: Arc<Trail>;
}

/// The record of one request while it is being served.
#[derive(Debug)]
pub struct Trail(Mutex<State>);

#[derive(Debug)]
struct State {
    record: AuditRecord,
    written: bool,
}

impl Trail {
    pub fn new(record: AuditRecord) -> Arc<Self> {
        let written = false;
        Arc::new(Self(Mutex::new(State { record, written })))
    }

    /// Runs what serves the request; its first transaction that commits carries the record.
    pub async fn follow<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        FOLLOWED.scope(Arc::clone(self), work).await
    }

    pub fn record(&self) -> AuditRecord {
        self.state().record.clone()
    }

    /// Completes a record that is not written yet.
    pub fn complete(&self, change: impl FnOnce(&mut AuditRecord)) {
        change(&mut self.state().record);
    }

    /// Whether a transaction has committed with the record.
    pub fn is_written(&self) -> bool {
        self.state().written
    }

    pub(crate) fn set_written(&self) {
        self.state().written = true;
    }

    /// The trail of the request that this task serves, until its record is written.
    pub(crate) fn current() -> Option<Arc<Self>> {
        let trail = FOLLOWED.try_with(Arc::clone).ok()?;
        (!trail.is_written()).then_some(trail)
    }

    /// A panic under the lock leaves a record that is whole all the same.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says what the request at hand has made, where its path could not name it.
pub fn audit_made(resource_type: &str, id: impl std::fmt::Display) {
    if let Some(trail) = Trail::current() {
        trail.complete(|record| {
            if record.resource_id.is_none() {
                resource_type.clone_into(&mut record.resource_type);
                record.resource_id = Some(id.to_string());
            }
        });
    }
}

/// Says who makes the request at hand, where that shows while it is served: at a sign-in.
pub fn audit_identified(account: &Account) {
    if let Some(trail) = Trail::current() {
        trail.complete(|record| {
            record.user_id = Some(account.id.clone());
            record.domain_id = Some(account.domain_id.clone());
            record.user_name.clone_from(&account.name);
        });
    }
}

impl Tx {
    pub async fn insert_audit(&mut self, record: &AuditRecord) -> Result<()> {
        const SQL: &str = "INSERT INTO audit (id, happened_at, request_id, action, outcome, error_code, project_id, domain_id, \
             user_id, user_name, access_key, resource_type, resource_id, source) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        on!(self, c => sqlx::query(SQL)
            .bind(&record.id).bind(record.happened_at).bind(&record.request_id).bind(&record.action).bind(record.outcome)
            .bind(&record.error_code).bind(&record.project_id).bind(&record.domain_id).bind(&record.user_id)
            .bind(&record.user_name).bind(&record.access_key).bind(&record.resource_type).bind(&record.resource_id)
            .bind(&record.source)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Newest first.
    pub async fn list_audit(
        &mut self,
        filter: &AuditFilter,
        page: &Page,
    ) -> Result<Listed<AuditRecord>> {
        const MATCHING: &str = "FROM audit WHERE (CAST($1 AS TEXT) IS NULL OR project_id = $1) \
             AND (CAST($2 AS TEXT) IS NULL OR user_id = $2) AND (CAST($3 AS TEXT) IS NULL OR action = $3) \
             AND (CAST($4 AS TEXT) IS NULL OR outcome = $4) AND (CAST($5 AS TEXT) IS NULL OR resource_id = $5) \
             AND (CAST($6 AS TEXT) IS NULL OR request_id = $6) \
             AND (CAST($7 AS BIGINT) IS NULL OR happened_at >= $7) AND (CAST($8 AS BIGINT) IS NULL OR happened_at <= $8)";
        const ORDER: &str = "happened_at DESC, id DESC";
        macro_rules! bound {
            ($query:expr) => {
                $query
                    .bind(&filter.project_id)
                    .bind(&filter.user_id)
                    .bind(&filter.action)
                    .bind(filter.outcome)
                    .bind(&filter.resource_id)
                    .bind(&filter.request_id)
                    .bind(filter.start_time)
                    .bind(filter.end_time)
            };
        }
        let extent = page.extent_sql(MATCHING, ORDER, "$9");
        let extent = on!(self, c => bound!(sqlx::query_as::<_, Extent>(AssertSqlSafe(extent)))
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $9 OFFSET $10");
        let rows = on!(self, c => bound!(sqlx::query_as::<_, AuditRecord>(AssertSqlSafe(sql)))
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Forgets the oldest records from before `end`, at most `limit`; answers how many.
    pub async fn delete_audit_before(&mut self, end: Timestamp, limit: u64) -> Result<u64> {
        const SQL: &str = "DELETE FROM audit WHERE id IN \
             (SELECT id FROM audit WHERE happened_at < $1 ORDER BY happened_at LIMIT $2)";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(end).bind(stored(limit)).execute(c).await.map(|done| done.rows_affected()))?,
        )
    }
}
