//! What made a checkpoint, which decides what its backups are and how long they stay.

use std::time::Duration;

use strongroom_db::{Policy, Tx, Vault};
use strongroom_types::{PolicyId, PolicyOperation, ResourceId, Timestamp};

use super::NewCheckpoint;
use crate::{Error, policies};

/// Two full backups of a resource are at least so far apart, however few incremental ones a policy wants between them.
const BETWEEN_FULL: Duration = Duration::from_hours(24);

/// The policy of an automatic checkpoint: the one that is named, or the vault's only one. Policies of the vault alone count.
pub(super) async fn policy_of(
    tx: &mut Tx,
    vault: &Vault,
    new: &NewCheckpoint,
) -> Result<Option<Policy>, Error> {
    if !new.auto_trigger {
        return Ok(None);
    }
    let mut of_vault = tx.policies_of_vault(&vault.id).await?;
    of_vault.retain(|policy| policy.operation_type == PolicyOperation::Backup);
    let Some(id) = &new.policy_id else {
        let only = of_vault.pop();
        return Ok(only.filter(|_| of_vault.is_empty()));
    };
    match of_vault.into_iter().find(|policy| policy.id == *id) {
        Some(policy) => Ok(Some(policy)),
        None => Err(refusal(tx, vault, id).await?),
    }
}

async fn refusal(tx: &mut Tx, vault: &Vault, id: &PolicyId) -> Result<Error, Error> {
    let policy = policies::owned(tx.find_policy(id).await?, &vault.project_id, id)?;
    Ok(match policy.operation_type {
        PolicyOperation::Backup => Error::PolicyNotApplied {
            policy_id: id.clone(),
        },
        PolicyOperation::Replication => Error::PolicyDoesNotFit {
            message: "a replication policy makes no backups".to_owned(),
        },
    })
}

/// Whether a policy wants the next backup of a resource to be a full one.
pub(super) async fn wants_full(
    tx: &mut Tx,
    vault: &Vault,
    policy: &Policy,
    resource: &ResourceId,
    now: Timestamp,
) -> Result<bool, Error> {
    let Some(interval) = policy.rules.0.full_interval else {
        return Ok(false);
    };
    let since = tx.backups_since_full(&vault.id, resource).await?;
    let long_ago = |full_at: Timestamp| now.since(full_at) >= BETWEEN_FULL;
    Ok(since.incrementals >= u64::from(interval) && since.full_at.is_none_or(long_ago))
}
