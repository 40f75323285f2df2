//! What a policy chooses that CBR knows no field for.

use strongroom_db::{AppliedPolicy, Backup, PolicyOptions, ProveOption};
use strongroom_types::{FailedFreeze, PolicyId, PolicyOperation, ProjectId};

use super::{check_own, owned};
use crate::{Action, App, Caller, Error};

/// Absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct OptionsChange {
    pub on_failed_freeze: Option<FailedFreeze>,
    /// `Some(None)`: nothing is proven by itself any more.
    pub prove: Option<Option<ProveOption>>,
}

pub async fn get_options(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &PolicyId,
) -> Result<PolicyOptions, Error> {
    caller.authorise(Action::PoliciesGet, project)?;
    let mut tx = app.db.read().await?;
    let policy = owned(tx.find_policy(id).await?, project, id)?;
    Ok(policy.options.0)
}

/// Holds for backups that begin after it, and for proofs of those that end after it. A policy that makes no backups has nothing to
/// choose, and a copy of an organization policy is not the project's to change.
pub async fn change_options(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &PolicyId,
    change: OptionsChange,
) -> Result<PolicyOptions, Error> {
    caller.authorise(Action::PoliciesUpdate, project)?;
    let mut tx = app.db.begin().await?;
    check_own(&mut tx, project, id).await?;
    let mut policy = owned(tx.lock_policy(id).await?, project, id)?;
    if policy.operation_type == PolicyOperation::Replication {
        return Err(Error::invalid(
            "Invalid options provided: a replication policy makes no backups.",
        ));
    }
    let options = &mut policy.options.0;
    if let Some(on_failed_freeze) = change.on_failed_freeze {
        options.on_failed_freeze = on_failed_freeze;
    }
    if let Some(prove) = change.prove {
        options.prove = prove;
    }
    policy.updated_at = app.now();
    if !tx.update_policy(&policy).await? {
        return Err(Error::broken(format!("policy {id} changed under its lock")));
    }
    tx.commit().await?;
    Ok(policy.options.0)
}

/// What holds for a backup: the choice of the policy that made it, as long as its vault has that policy, else the defaults.
pub(crate) fn options_of(backup: &Backup, policies_of_vault: &[AppliedPolicy]) -> PolicyOptions {
    let mut policies = policies_of_vault.iter().map(|applied| &applied.policy);
    let made_it = policies.find(|policy| backup.policy_id.as_ref() == Some(&policy.id));
    made_it.map_or_else(PolicyOptions::default, |policy| policy.options.0.clone())
}
