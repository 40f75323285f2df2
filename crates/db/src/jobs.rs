//! The queue. A job names what to do by kind and the id of its subject; whoever claims it holds a lease, and
//! the pair (owner, attempt) fences every later write: zero rows changed means somebody else owns the job now.

use std::time::Duration;

use sqlx::AssertSqlSafe;
use strongroom_types::{JobId, JobKind, JobState, OperationLogId, Timestamp};

use crate::tx::on;
use crate::{Result, Tx};

#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    pub subject_id: String,
    pub operation_log_id: Option<OperationLogId>,
    pub state: JobState,
    pub run_at: Timestamp,
    pub attempt: i64,
    pub attempts_max: i64,
    pub lease_owner: Option<String>,
    pub lease_until: Option<Timestamp>,
    pub last_error: Option<String>,
    pub request_id: String,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct NewJob {
    pub id: JobId,
    pub kind: JobKind,
    pub subject_id: String,
    pub operation_log_id: Option<OperationLogId>,
    pub attempts_max: i64,
    pub request_id: String,
}

/// Proof of owning one attempt at one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub job_id: JobId,
    pub owner: String,
    pub attempt: i64,
}

/// How many jobs stand in each state, for metrics.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct JobCount {
    pub kind: JobKind,
    pub state: JobState,
    pub count: i64,
}

impl Job {
    pub fn lease(&self, owner: &str) -> Lease {
        Lease {
            job_id: self.id.clone(),
            owner: owner.to_owned(),
            attempt: self.attempt,
        }
    }
}

impl Tx {
    /// Adds a job, due at once. `Conflict` when one of that kind and subject has not ended yet.
    pub async fn insert_job(&mut self, new: &NewJob, now: Timestamp) -> Result<()> {
        const SQL: &str = "INSERT INTO job (id, kind, subject_id, operation_log_id, state, run_at, attempt, attempts_max, request_id, created_at) \
             VALUES ($1, $2, $3, $4, 'waiting', $5, 0, $6, $7, $5)";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(new.kind).bind(&new.subject_id).bind(&new.operation_log_id)
            .bind(now).bind(new.attempts_max).bind(&new.request_id)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Adds a job, due at once. Where one of that kind and subject has not ended yet, its `run_at` becomes `now`: one that
    /// waits does what is wanted, and one that runs can see that it is wanted again.
    pub async fn want_job(&mut self, new: &NewJob, now: Timestamp) -> Result<()> {
        const SQL: &str = "INSERT INTO job (id, kind, subject_id, operation_log_id, state, run_at, attempt, attempts_max, request_id, created_at) \
             VALUES ($1, $2, $3, $4, 'waiting', $5, 0, $6, $7, $5) \
             ON CONFLICT (kind, subject_id) WHERE state IN ('waiting', 'running') DO UPDATE SET run_at = excluded.run_at";
        on!(self, c => sqlx::query(SQL)
            .bind(&new.id).bind(new.kind).bind(&new.subject_id).bind(&new.operation_log_id)
            .bind(now).bind(new.attempts_max).bind(&new.request_id)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// Takes the oldest job that is due or whose lease has run out, and starts its next attempt.
    pub async fn claim_job(
        &mut self,
        owner: &str,
        now: Timestamp,
        lease: Duration,
    ) -> Result<Option<Job>> {
        // The only difference between the databases is how the sub-select skips rows others are claiming.
        let sql = format!(
            "UPDATE job SET state = 'running', attempt = attempt + 1, lease_owner = $1, lease_until = $2 \
             WHERE id = (SELECT id FROM job WHERE (state = 'waiting' AND run_at <= $3) OR (state = 'running' AND lease_until < $3) \
                         ORDER BY run_at, created_at, id LIMIT 1{}) RETURNING *",
            self.dialect().skip_locked()
        );
        Ok(on!(self, c => sqlx::query_as::<_, Job>(AssertSqlSafe(sql))
            .bind(owner).bind(now.plus(lease)).bind(now)
            .fetch_optional(c).await)?)
    }

    /// Extends a lease; `false` means the job has another owner and the body must stop.
    pub async fn renew_lease(&mut self, lease: &Lease, until: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE job SET lease_until = $1 WHERE id = $2 AND lease_owner = $3 AND attempt = $4 AND state = 'running'";
        self.fenced(SQL, lease, until).await
    }

    pub async fn find_job(&mut self, id: &JobId) -> Result<Option<Job>> {
        const SQL: &str = "SELECT * FROM job WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Job>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Locks the job's row until the transaction ends; `false` means it has another owner.
    pub async fn hold_job(&mut self, lease: &Lease) -> Result<bool> {
        const SQL: &str = "UPDATE job SET attempt = attempt WHERE id = $1 AND lease_owner = $2 AND attempt = $3 AND state = 'running'";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&lease.job_id).bind(&lease.owner).bind(lease.attempt)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Ends a job well. Call it in the transaction that publishes the job's effects, and publish nothing on `false`.
    pub async fn finish_job(&mut self, lease: &Lease, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE job SET state = 'done', finished_at = $1, lease_owner = NULL, lease_until = NULL \
             WHERE id = $2 AND lease_owner = $3 AND attempt = $4 AND state = 'running'";
        self.fenced(SQL, lease, now).await
    }

    /// Ends a job badly; `error` is for the operator.
    pub async fn fail_job(&mut self, lease: &Lease, error: &str, now: Timestamp) -> Result<bool> {
        const SQL: &str = "UPDATE job SET state = 'failed', last_error = $5, finished_at = $1, lease_owner = NULL, lease_until = NULL \
             WHERE id = $2 AND lease_owner = $3 AND attempt = $4 AND state = 'running'";
        self.fenced_with_error(SQL, lease, now, error).await
    }

    /// Gives a job back, to be tried again at `run_at`.
    pub async fn retry_job(
        &mut self,
        lease: &Lease,
        error: &str,
        run_at: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE job SET state = 'waiting', last_error = $5, run_at = $1, lease_owner = NULL, lease_until = NULL \
             WHERE id = $2 AND lease_owner = $3 AND attempt = $4 AND state = 'running'";
        self.fenced_with_error(SQL, lease, run_at, error).await
    }

    /// Ends the leases of all owners but `owner`; for a process that knows the others are dead because it holds
    /// the data directory's lock. Their jobs become due at once.
    pub async fn release_leases_of_others(&mut self, owner: &str, now: Timestamp) -> Result<u64> {
        const SQL: &str = "UPDATE job SET state = 'waiting', run_at = $1, lease_owner = NULL, lease_until = NULL \
             WHERE state = 'running' AND lease_owner <> $2";
        Ok(
            on!(self, c => sqlx::query(SQL).bind(now).bind(owner).execute(c).await.map(|done| done.rows_affected()))?,
        )
    }

    pub async fn count_jobs(&mut self) -> Result<Vec<JobCount>> {
        const SQL: &str = "SELECT kind, state, COUNT(*) AS count FROM job GROUP BY kind, state ORDER BY kind, state";
        Ok(on!(self, c => sqlx::query_as::<_, JobCount>(SQL).fetch_all(c).await)?)
    }

    /// Jobs that have not ended; none are left when the system is at rest.
    pub async fn list_open_jobs(&mut self) -> Result<Vec<Job>> {
        const SQL: &str = "SELECT * FROM job WHERE state IN ('waiting', 'running') ORDER BY run_at, created_at, id";
        Ok(on!(self, c => sqlx::query_as::<_, Job>(SQL).fetch_all(c).await)?)
    }

    async fn fenced(&mut self, sql: &'static str, lease: &Lease, time: Timestamp) -> Result<bool> {
        let changed = on!(self, c => sqlx::query(sql)
            .bind(time).bind(&lease.job_id).bind(&lease.owner).bind(lease.attempt)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    async fn fenced_with_error(
        &mut self,
        sql: &'static str,
        lease: &Lease,
        time: Timestamp,
        error: &str,
    ) -> Result<bool> {
        let changed = on!(self, c => sqlx::query(sql)
            .bind(time).bind(&lease.job_id).bind(&lease.owner).bind(lease.attempt).bind(error)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
