use std::sync::Arc;
use std::time::Duration;

use strongroom_db::{Job, Lease};
use strongroom_repo::CollectOptions;
use strongroom_service::progress::retry;
use strongroom_service::{App, Error};
use strongroom_types::Chain;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::jobs::{self, Context, JobError};
use crate::lease;
use crate::live::{self, LiveHost};
use crate::machine_hook::MachineHook;
use crate::metrics;
use crate::prove::Prover;
use crate::repositories::Repositories;
use crate::upkeep;

/// How long a claim lasts without renewal.
pub(crate) const LEASE: Duration = Duration::from_mins(1);
/// An idle worker looks for jobs this often even if nobody rang.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Attempts at a job whose storage does not answer; interruptions by restarts may be more.
const RETRY_ATTEMPTS_MAX: i64 = 9;
/// Before a job that failed for a passing reason is tried again; doubled with each attempt.
const RETRY_DELAY: Duration = Duration::from_secs(1);
const RETRY_DELAY_MAX: Duration = Duration::from_mins(5);

/// Claims jobs and runs them, several at once, until it is told to stop.
#[derive(Debug)]
pub struct Worker {
    pub app: App,
    pub repositories: Arc<Repositories>,
    /// Unique to this process: half of the fencing token.
    pub owner: String,
    pub jobs_at_once: usize,
    /// How servers that run are backed up.
    pub live: Arc<LiveHost>,
    /// How machines are stopped and started for restores; without one they are left alone.
    pub machine_hook: Option<MachineHook>,
    /// How backups are proven.
    pub prover: Arc<Prover>,
    /// How collections are done.
    pub collect: CollectOptions,
}

impl Worker {
    /// Clears what a former process left in machines. Then runs, with what happens by itself beside, until `stop`; then running jobs stop at their next step and go back to the queue.
    pub async fn run(self, stop: CancellationToken) {
        if let Err(error) = self.prover.sweep() {
            tracing::warn!(%error, "what a proof has left cannot be removed");
        }
        // Before the first job: it would not tell a backup under way from one that was left.
        tokio::select! {
            () = stop.cancelled() => {}
            () = live::sweep(&self.app, &self.live) => {}
        }
        let slots = Arc::new(Semaphore::new(self.jobs_at_once));
        let mut running = JoinSet::new();
        let mut keeping = JoinSet::new();
        keeping.spawn(upkeep::run(self.app.clone(), stop.clone()));
        while !stop.is_cancelled() {
            while let Some(ended) = running.try_join_next() {
                report_panic(ended);
            }
            if let Some(ended) = keeping.try_join_next() {
                report_panic(ended);
                keeping.spawn(upkeep::run(self.app.clone(), stop.clone()));
            }
            let slot = tokio::select! {
                () = stop.cancelled() => break,
                slot = Arc::clone(&slots).acquire_owned() => slot.expect("the semaphore is never closed"),
            };
            if let Some(job) = self.claim().await {
                let context = self.context(&job, &stop);
                let span = tracing::info_span!("job", job.id = %job.id, job.kind = %job.kind, attempt = job.attempt);
                let work = async move {
                    run_job(&context, &job).await;
                    drop(slot);
                };
                running.spawn(work.instrument(span));
            } else {
                drop(slot);
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = self.app.wake.notified() => {}
                    () = tokio::time::sleep(POLL_INTERVAL) => {}
                }
            }
        }
        while let Some(ended) = running.join_next().await {
            report_panic(ended);
        }
        while let Some(ended) = keeping.join_next().await {
            report_panic(ended);
        }
    }

    /// Runs everything that is due now, one job after the other; for tests.
    pub async fn run_until_idle(&self) {
        while let Some(job) = self.claim().await {
            run_job(&self.context(&job, &CancellationToken::new()), &job).await;
        }
    }

    fn context(&self, job: &Job, stop: &CancellationToken) -> Context {
        Context {
            app: self.app.clone(),
            repositories: Arc::clone(&self.repositories),
            live: Arc::clone(&self.live),
            machine_hook: self.machine_hook.clone(),
            prover: Arc::clone(&self.prover),
            collect: self.collect.clone(),
            lease: job.lease(&self.owner),
            cancel: stop.child_token(),
        }
    }

    async fn claim(&self) -> Option<Job> {
        let claim = async {
            let mut tx = self.app.db.begin().await?;
            let job = tx.claim_job(&self.owner, self.app.now(), LEASE).await?;
            tx.commit().await?;
            Ok::<_, strongroom_db::Error>(job)
        };
        match claim.await {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(error = %Chain(&error), "jobs cannot be claimed");
                None
            }
        }
    }
}

/// Runs one job under a lease that is kept alive, and sees to its end.
async fn run_job(context: &Context, job: &Job) {
    tracing::info!(subject = %job.subject_id, "job started");
    let started = context.app.now();
    let ended = if job.attempt > job.attempts_max {
        Err(JobError::Broken("the job was interrupted too often"))
    } else {
        // Boxed: a body's state is large, and it is moved between threads.
        lease::keep_alive(context, Box::pin(jobs::run(context, job))).await
    };
    let outcome = match ended {
        Ok(()) | Err(JobError::NothingToDo) => "done",
        Err(JobError::LeaseLost) => "lease_lost",
        Err(JobError::Cancelled) => give_back(context, "the process stopped", Duration::ZERO).await,
        Err(JobError::Retry(source)) if job.attempt < job.attempts_max.min(RETRY_ATTEMPTS_MAX) => {
            let reason = Chain(source.as_ref()).to_string();
            tracing::warn!(error = %reason, "job will be tried again");
            give_back(context, &reason, retry_delay(job.attempt)).await
        }
        Err(error) => fail(context, job, error).await,
    };
    metrics::job_ended(job.kind, outcome, context.app.now().since(started));
    tracing::info!(outcome, "job ended");
}

/// A body that panicked: its lease runs out, and the job is claimed again. Upkeep begins anew.
fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %Chain(&error), "a job stopped unexpectedly");
    }
}

fn retry_delay(attempt: i64) -> Duration {
    let doublings = u32::try_from(attempt - 1).unwrap_or(0).min(16);
    RETRY_DELAY
        .saturating_mul(1 << doublings)
        .min(RETRY_DELAY_MAX)
}

async fn give_back(context: &Context, reason: &str, delay: Duration) -> &'static str {
    let run_at = context.app.now().plus(delay);
    match retry(&context.app, &context.lease, reason, run_at).await {
        Ok(()) => "retried",
        Err(Error::LeaseLost) => "lease_lost",
        Err(error) => {
            // The lease runs out by itself, and the job is claimed again then.
            tracing::error!(error = %Chain(&error), "the job cannot be given back");
            "abandoned"
        }
    }
}

async fn fail(context: &Context, job: &Job, error: JobError) -> &'static str {
    tracing::error!(error = %Chain(&error), "job failed");
    match jobs::fail(context, job, error).await {
        Ok(()) | Err(JobError::NothingToDo) => "failed",
        Err(JobError::LeaseLost) => "lease_lost",
        Err(error) => {
            tracing::error!(error = %Chain(&error), "the job's failure cannot be published");
            "abandoned"
        }
    }
}

/// Frees the jobs of processes that are known to be dead, because this one holds the only data directory.
pub async fn take_over(app: &App, owner: &str) -> Result<u64, strongroom_db::Error> {
    let mut tx = app.db.begin().await?;
    let freed = tx.release_leases_of_others(owner, app.now()).await?;
    tx.commit().await?;
    Ok(freed)
}

/// Extends a lease once; `false`: it is lost.
pub(crate) async fn renew(app: &App, lease: &Lease) -> Result<bool, strongroom_db::Error> {
    let mut tx = app.db.begin().await?;
    let kept = tx.renew_lease(lease, app.now().plus(LEASE)).await?;
    tx.commit().await?;
    Ok(kept)
}
