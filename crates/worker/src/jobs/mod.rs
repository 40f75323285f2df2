//! The bodies of jobs. Each rereads what it needs, may run twice, and ends by publishing its outcome in the
//! transaction that ends the job.

mod back_up;
mod collect;
mod deploy;
mod error;
mod machine;
mod migrate;
mod prove;
mod receive_replica;
mod remove;
mod replicate;
mod restore;
mod share;
mod sync;
mod usage;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use strongroom_db::{Job, Lease};
use strongroom_repo::{CollectOptions, Repository};
use strongroom_service::App;
use strongroom_service::progress::report_progress;
use strongroom_types::{BackupId, Chain, JobKind, OperationLogId, ProjectId, VaultId};
use tokio_util::sync::CancellationToken;

pub(crate) use error::{JobError, disk_trouble};

use crate::live::LiveHost;
use crate::machine_hook::MachineHook;
use crate::prove::Prover;
use crate::repositories::Repositories;
use crate::transfer::Progress;

/// Between two writes of a job's progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// What a body needs: the rules, the repositories, and proof that the job is its own.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) app: App,
    pub(crate) repositories: Arc<Repositories>,
    pub(crate) collect: CollectOptions,
    pub(crate) live: Arc<LiveHost>,
    pub(crate) machine_hook: Option<MachineHook>,
    pub(crate) prover: Arc<Prover>,
    pub(crate) lease: Lease,
    pub(crate) cancel: CancellationToken,
}

impl Context {
    async fn repository_of(
        &self,
        vault: &VaultId,
        project: &ProjectId,
    ) -> Result<Repository, JobError> {
        self.repositories.of_vault(&self.app, vault, project).await
    }
}

/// Runs a job's body to its end. On `Ok` the job has been ended by the body.
pub(crate) async fn run(context: &Context, job: &Job) -> Result<(), JobError> {
    match job.kind {
        JobKind::BackUp => back_up::run(context, &subject(job)?).await,
        JobKind::Restore => restore::run(context, &subject(job)?).await,
        JobKind::DeleteBackup => remove::backup(context, &subject(job)?).await,
        JobKind::DeleteVault => remove::vault(context, &subject(job)?).await,
        JobKind::RemoveResource => remove::resource(context, &subject(job)?).await,
        JobKind::MigrateResource => migrate::run(context, &subject(job)?).await,
        JobKind::Collect => collect::run(context, job).await,
        JobKind::DeployPolicy => deploy::run(context, &subject(job)?).await,
        JobKind::MeasureShare => share::run(context, &subject(job)?).await,
        JobKind::SyncVault | JobKind::SyncBackup => sync::run(context).await,
        JobKind::Replicate => replicate::run(context, job, &subject(job)?).await,
        JobKind::ReceiveReplica => receive_replica::run(context, &subject(job)?).await,
        JobKind::Prove => prove::run(context).await,
    }
}

/// Publishes that a job has failed for good.
pub(crate) async fn fail(context: &Context, job: &Job, error: JobError) -> Result<(), JobError> {
    let failure = error.into_failure();
    match job.kind {
        JobKind::BackUp => back_up::fail(context, &subject(job)?, failure).await,
        JobKind::Restore => restore::fail(context, &subject(job)?, failure).await,
        JobKind::DeleteBackup | JobKind::DeleteVault | JobKind::RemoveResource => {
            remove::fail(context, job, failure).await
        }
        JobKind::MigrateResource => migrate::fail(context, &subject(job)?, failure).await,
        JobKind::Collect => collect::fail(context, failure).await,
        JobKind::DeployPolicy => deploy::fail(context, failure).await,
        JobKind::MeasureShare => share::fail(context, failure).await,
        JobKind::SyncVault | JobKind::SyncBackup => sync::fail(context, failure).await,
        JobKind::Replicate => replicate::fail(context, &subject(job)?, failure).await,
        JobKind::ReceiveReplica => receive_replica::fail(context, &subject(job)?, failure).await,
        JobKind::Prove => prove::fail(context, failure).await,
    }
}

fn subject<T: FromStr>(job: &Job) -> Result<T, JobError> {
    job.subject_id
        .parse()
        .map_err(|_| JobError::Broken("the job's subject is not an id"))
}

/// Runs `work` and writes its progress now and then until it ends.
///
/// Both are driven side by side: a report may have to wait for a transaction that the work has open.
async fn reporting<T>(
    context: &Context,
    operation_log_id: &OperationLogId,
    backup_id: &BackupId,
    progress: &Progress,
    work: impl Future<Output = T>,
) -> Result<T, JobError> {
    let reports = async {
        let first = tokio::time::Instant::now() + REPORT_INTERVAL;
        let mut tick = tokio::time::interval_at(first, REPORT_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let percent = u64::from(progress.percent());
            let report = report_progress(
                &context.app,
                &context.lease,
                operation_log_id,
                backup_id,
                percent,
            );
            match report.await {
                Ok(()) => {}
                // The lease and the end of the job see to a database that stays away.
                Err(error @ strongroom_service::Error::Busy(_)) => {
                    tracing::warn!(error = %Chain(&error), "progress cannot be written now");
                }
                Err(error) => return error,
            }
        }
    };
    tokio::select! {
        done = work => Ok(done),
        error = reports => Err(error.into()),
    }
}
