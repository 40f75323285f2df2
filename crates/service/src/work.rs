//! Operation logs and the jobs behind them, as the rules create them.

use strongroom_db::{JsonText, NewJob, OperationExtra, OperationLog, Tx, Vault};
use strongroom_types::{
    JobId, JobKind, OperationLogId, OperationStatus, OperationType, PolicyId, ResourceId,
    ResourceType, Timestamp, Trouble,
};

use crate::{App, Error, provider_of_resource, provider_of_vault};

/// What an operation is about, when it is about one resource.
#[derive(Debug)]
pub(crate) struct Subject<'a> {
    pub(crate) id: &'a ResourceId,
    pub(crate) resource_type: ResourceType,
    pub(crate) name: &'a str,
}

/// A waiting operation on something in `vault`.
pub(crate) fn new_log(
    app: &App,
    vault: &Vault,
    subject: Option<&Subject<'_>>,
    extra: OperationExtra,
    request_id: &str,
    now: Timestamp,
) -> OperationLog {
    let operation_type = match extra {
        OperationExtra::Backup { .. } => OperationType::Backup,
        OperationExtra::Delete { .. } => OperationType::Delete,
        OperationExtra::Restore { .. } => OperationType::Restore,
        OperationExtra::RemoveResources { .. } => OperationType::RemoveResource,
        OperationExtra::VaultDelete { .. } => OperationType::VaultDelete,
        OperationExtra::NotStarted { operation_type, .. } => operation_type,
        OperationExtra::UpdateExpirationTime { .. } => OperationType::UpdateExpirationTime,
        OperationExtra::MigrateResource { .. } => OperationType::MigrateResource,
        OperationExtra::Sync { .. } => OperationType::Sync,
        OperationExtra::Replication(_) => OperationType::Replication,
    };
    let provider_id = match subject {
        Some(subject) => provider_of_resource(subject.resource_type),
        None => provider_of_vault(vault.object_type),
    };
    OperationLog {
        id: OperationLogId::random(&*app.ids),
        project_id: vault.project_id.clone(),
        operation_type,
        status: OperationStatus::Waiting,
        progress: 0,
        vault_id: Some(vault.id.clone()),
        vault_name: Some(vault.name.clone()),
        checkpoint_id: None,
        policy_id: None,
        provider_id: Some(provider_id.to_owned()),
        resource_id: subject.map(|s| s.id.clone()),
        resource_type: subject.map(|s| s.resource_type),
        resource_name: subject.map(|s| s.name.to_owned()),
        extra: JsonText(extra),
        trouble: None,
        error_message: String::new(),
        request_id: request_id.to_owned(),
        created_at: now,
        started_at: now,
        updated_at: now,
        ended_at: None,
    }
}

/// A policy's start that started nothing, of the whole vault or of one resource.
#[derive(Debug)]
pub(crate) struct NotStarted {
    pub(crate) policy_id: PolicyId,
    pub(crate) operation_type: OperationType,
    pub(crate) due_at: Timestamp,
    /// Skipped or failed.
    pub(crate) status: OperationStatus,
    pub(crate) trouble: Trouble,
    pub(crate) message: String,
}

/// An operation that has ended before it began.
pub(crate) fn log_not_started(
    app: &App,
    vault: &Vault,
    subject: Option<&Subject<'_>>,
    run: NotStarted,
    request_id: &str,
    now: Timestamp,
) -> OperationLog {
    let extra = OperationExtra::NotStarted {
        operation_type: run.operation_type,
        due_at: run.due_at,
    };
    OperationLog {
        policy_id: Some(run.policy_id),
        status: run.status,
        trouble: Some(run.trouble),
        error_message: run.message,
        ended_at: Some(now),
        ..new_log(app, vault, subject, extra, request_id, now)
    }
}

/// Records an operation and adds the job that will do it. Ring `app.wake` once the transaction is committed.
pub(crate) async fn begin(
    app: &App,
    tx: &mut Tx,
    kind: JobKind,
    subject_id: &str,
    log: &OperationLog,
    now: Timestamp,
) -> Result<(), Error> {
    tx.insert_operation_log(log).await?;
    let job = NewJob {
        id: JobId::random(&*app.ids),
        kind,
        subject_id: subject_id.to_owned(),
        operation_log_id: Some(log.id.clone()),
        attempts_max: app.settings.job_attempts_max,
        request_id: log.request_id.clone(),
    };
    tx.insert_job(&job, now).await?;
    Ok(())
}
