//! Policies run by themselves. Whoever calls [`run_due`], however often and on however many hosts, takes up each start
//! once: in the transaction that starts the backups, or that records why there are none.

use std::time::Duration;

use strongroom_db::{AppliedPolicy, SkippedResource, Tx, Vault};
use strongroom_types::{
    OperationStatus, OperationType, PolicyId, PolicyOperation, Timestamp, Trouble, VaultId,
};

use crate::checkpoints::{self, NewCheckpoint, Selection};
use crate::work::{self, NotStarted, Subject};
use crate::{App, Error, auto_bind, replications};

/// Rows read at once.
const PAGE: u64 = 500;
const SECONDS_PER_MINUTE: u64 = 60;

/// Takes up every start that is due at `now`, of several that were missed the last; answers how many it took up.
///
/// One vault's failure does not keep the others from starting; the first failure is answered at the end.
pub async fn run_due(app: &App, now: Timestamp) -> Result<u64, Error> {
    let (mut taken, mut failure) = (0, None);
    let mut after: Option<(VaultId, PolicyId)> = None;
    loop {
        let mut tx = app.db.read().await?;
        let from = after.as_ref().map(|(vault, policy)| (vault, policy));
        let page = tx.enabled_policies_of_vaults(from, PAGE).await?;
        drop(tx);
        for candidate in &page {
            let Some(due_at) = due(candidate, now) else {
                continue;
            };
            match take_up(app, candidate, due_at).await {
                Ok(()) => taken += 1,
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match page.last() {
            Some(last) if page.len() as u64 == PAGE => {
                after = Some((last.applied.vault_id.clone(), last.policy.id.clone()));
            }
            _ => break,
        }
    }
    failure.map_or(Ok(taken), Err)
}

/// The last start that has come by `now` and was not taken up. What was due before the policy was applied, enabled or
/// given this schedule is not made up for.
fn due(candidate: &AppliedPolicy, now: Timestamp) -> Option<Timestamp> {
    let AppliedPolicy { policy, applied } = candidate;
    let spread = spread(policy.start_window_minutes, &applied.vault_id);
    let last = policy
        .schedule
        .0
        .last_until(now.minus(spread), policy.created_at)?;
    let since = policy.schedule_since.max(applied.associated_at);
    let is_taken = applied.last_due_at.is_some_and(|taken| taken >= last);
    (last > since && !is_taken).then_some(last)
}

/// How long after the window's begin a vault starts: always the same for one vault, evenly spread over many.
fn spread(window_minutes: Option<i64>, vault: &VaultId) -> Duration {
    let Some(window) = window_minutes.and_then(|minutes| u64::try_from(minutes).ok()) else {
        return Duration::ZERO;
    };
    // The first eight digits of a random id are a random number.
    let number = u64::from_str_radix(&vault.as_str()[..8], 16).unwrap_or(0);
    Duration::from_secs(number % window.max(1) * SECONDS_PER_MINUTE)
}

async fn take_up(app: &App, candidate: &AppliedPolicy, due_at: Timestamp) -> Result<(), Error> {
    let run = Run {
        app,
        candidate,
        due_at,
        request_id: app.ids.hex32(),
    };
    match candidate.policy.operation_type {
        PolicyOperation::Backup => run.back_up().await,
        PolicyOperation::Replication => run.replicate().await,
    }
}

/// One start of one policy on one vault.
struct Run<'a> {
    app: &'a App,
    candidate: &'a AppliedPolicy,
    due_at: Timestamp,
    request_id: String,
}

impl Run<'_> {
    /// The vault under its lock, if this is the first to take the start up and it is still wanted.
    async fn lock_first(&self, tx: &mut Tx) -> Result<Option<Vault>, Error> {
        let AppliedPolicy { policy, applied } = self.candidate;
        let Some(vault) = tx.lock_vault(&applied.vault_id).await? else {
            return Ok(None);
        };
        let is_first = tx.take_up_start(&vault.id, &policy.id, self.due_at).await?;
        Ok(is_first.then_some(vault))
    }

    async fn back_up(&self) -> Result<(), Error> {
        let AppliedPolicy { policy, applied } = self.candidate;
        let new = NewCheckpoint {
            vault_id: applied.vault_id.clone(),
            name: None,
            description: String::new(),
            incremental: true,
            auto_trigger: true,
            policy_id: Some(policy.id.clone()),
            retention_days: -1,
            selection: Selection::AutoProtected,
        };
        auto_bind::bind_for(self.app, &self.candidate.applied.vault_id).await?;
        if self.has_nothing_to_do().await? {
            let mut tx = self.app.db.begin().await?;
            self.lock_first(&mut tx).await?;
            tx.commit().await?;
            return Ok(());
        }
        let findings = match checkpoints::examine(self.app, &policy.project_id, &new).await {
            Ok(findings) => findings,
            Err(error) => return self.end(error).await,
        };
        let mut tx = self.app.db.begin().await?;
        let Some(vault) = self.lock_first(&mut tx).await? else {
            return Ok(());
        };
        if tx.is_policy_running(&vault.id, &policy.id).await? {
            let why = (
                OperationStatus::Skipped,
                Trouble::BackupRunning,
                "the policy's previous run has not ended".to_owned(),
            );
            self.record(&mut tx, &vault, None, why).await?;
            tx.commit().await?;
            return Ok(());
        }
        let request_id = &self.request_id;
        match checkpoints::start(self.app, &mut tx, &new, &findings, request_id).await {
            Ok(view) => {
                for skipped in view.checkpoint.skipped_resources.0 {
                    self.record_skipped(&mut tx, &vault, skipped).await?;
                }
                tx.commit().await?;
                self.app.wake.notify_one();
                Ok(())
            }
            Err(error) => {
                // Nothing of the attempt stays but why it failed.
                drop(tx);
                self.end(error).await
            }
        }
    }

    /// A start that fails after it was taken up is made up for by the next one, which replicates whatever is missing.
    async fn replicate(&self) -> Result<(), Error> {
        let mut tx = self.app.db.begin().await?;
        let vault = self.lock_first(&mut tx).await?;
        tx.commit().await?;
        match vault {
            Some(vault) => {
                replications::run_start(self.app, self.candidate, &vault, self.due_at).await
            }
            None => Ok(()),
        }
    }

    /// A vault without resources, or with suspended ones only, has nothing to say at every start.
    async fn has_nothing_to_do(&self) -> Result<bool, Error> {
        let vault = std::slice::from_ref(&self.candidate.applied.vault_id);
        let mut tx = self.app.db.read().await?;
        let resources = tx.resources_of_vaults(vault).await?;
        Ok(!resources.iter().any(|resource| resource.auto_protect))
    }

    /// Takes up a start that started nothing, and records why. What may pass by itself is left for the next look.
    async fn end(&self, error: Error) -> Result<(), Error> {
        let (status, trouble) = match error {
            Error::NothingToBackUp { .. } => (OperationStatus::Skipped, Trouble::NothingToBackUp),
            Error::BackupRunning => (OperationStatus::Skipped, Trouble::BackupRunning),
            Error::VaultFull => (OperationStatus::Failed, Trouble::VaultFull),
            Error::VaultStateForbidsBackup { .. } => (OperationStatus::Failed, Trouble::VaultState),
            other => return Err(other),
        };
        let mut tx = self.app.db.begin().await?;
        let Some(vault) = self.lock_first(&mut tx).await? else {
            return Ok(());
        };
        self.record(&mut tx, &vault, None, (status, trouble, error.to_string()))
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// A resource that this run leaves out has a task of its own that says why.
    async fn record_skipped(
        &self,
        tx: &mut Tx,
        vault: &Vault,
        skipped: SkippedResource,
    ) -> Result<(), Error> {
        let subject = Subject {
            id: &skipped.id,
            resource_type: skipped.resource_type,
            name: &skipped.name,
        };
        let why = (OperationStatus::Skipped, skipped.trouble, skipped.reason);
        self.record(tx, vault, Some(&subject), why).await
    }

    async fn record(
        &self,
        tx: &mut Tx,
        vault: &Vault,
        subject: Option<&Subject<'_>>,
        (status, trouble, message): (OperationStatus, Trouble, String),
    ) -> Result<(), Error> {
        let run = NotStarted {
            policy_id: self.candidate.policy.id.clone(),
            operation_type: OperationType::Backup,
            due_at: self.due_at,
            status,
            trouble,
            message,
        };
        let now = self.app.now();
        let log = work::log_not_started(self.app, vault, subject, run, &self.request_id, now);
        tx.insert_operation_log(&log).await?;
        Ok(())
    }
}
