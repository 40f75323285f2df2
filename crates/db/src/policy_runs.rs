//! What the scheduler asks and remembers.

use strongroom_types::{PolicyId, ResourceId, Timestamp, VaultId};

use crate::page::stored;
use crate::policies::{Policy, VaultPolicy};
use crate::tx::on;
use crate::{Result, Tx};

/// A policy and one of the vaults that it is applied to.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AppliedPolicy {
    #[sqlx(flatten)]
    pub policy: Policy,
    #[sqlx(flatten)]
    pub applied: VaultPolicy,
}

/// How a resource's backups in a vault have followed each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinceFull {
    /// When the newest full backup that is finished was made.
    pub full_at: Option<Timestamp>,
    /// Automatic incremental backups after that.
    pub incrementals: u64,
}

impl Tx {
    /// Enabled policies with their vaults, by vault and policy, beginning after `after`.
    pub async fn enabled_policies_of_vaults(
        &mut self,
        after: Option<(&VaultId, &PolicyId)>,
        limit: u64,
    ) -> Result<Vec<AppliedPolicy>> {
        const SQL: &str = "SELECT policy.*, vault_policy.* FROM vault_policy JOIN policy ON policy.id = vault_policy.policy_id \
             WHERE policy.enabled = $1 AND (vault_policy.vault_id, vault_policy.policy_id) > ($2, $3) \
             ORDER BY vault_policy.vault_id, vault_policy.policy_id LIMIT $4";
        // Every id comes after the empty text.
        let (vault, policy) = after.map_or(("", ""), |(vault, policy)| {
            (vault.as_str(), policy.as_str())
        });
        Ok(on!(self, c => sqlx::query_as::<_, AppliedPolicy>(SQL)
            .bind(true).bind(vault).bind(policy).bind(stored(limit)).fetch_all(c).await)?)
    }

    /// The policies of a vault, in the order they were applied.
    pub async fn applied_policies(&mut self, vault: &VaultId) -> Result<Vec<AppliedPolicy>> {
        const SQL: &str = "SELECT policy.*, vault_policy.* FROM vault_policy JOIN policy ON policy.id = vault_policy.policy_id \
             WHERE vault_policy.vault_id = $1 ORDER BY vault_policy.associated_at, policy.id";
        Ok(on!(self, c => sqlx::query_as::<_, AppliedPolicy>(SQL).bind(vault).fetch_all(c).await)?)
    }

    /// Takes up one start of a policy on a vault; `false` when it was taken up before, or is no longer wanted.
    pub async fn take_up_start(
        &mut self,
        vault: &VaultId,
        policy: &PolicyId,
        due_at: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE vault_policy SET last_due_at = $1 WHERE vault_id = $2 AND policy_id = $3 \
             AND (last_due_at IS NULL OR last_due_at < $1) \
             AND EXISTS (SELECT 1 FROM policy WHERE policy.id = vault_policy.policy_id AND enabled = $4 AND schedule_since < $1)";
        let changed = on!(self, c => sqlx::query(SQL).bind(due_at).bind(vault).bind(policy).bind(true)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Whether a backup that a policy started in a vault has not ended.
    pub async fn is_policy_running(&mut self, vault: &VaultId, policy: &PolicyId) -> Result<bool> {
        const SQL: &str = "SELECT COUNT(*) FROM backup WHERE vault_id = $1 AND policy_id = $2 AND parent_id IS NULL \
             AND status IN ('waiting_protect', 'protecting')";
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(SQL).bind(vault).bind(policy).fetch_one(c).await)?;
        Ok(count > 0)
    }

    /// How many automatic incremental backups a resource has had in a vault since its newest full one.
    pub async fn backups_since_full(
        &mut self,
        vault: &VaultId,
        resource: &ResourceId,
    ) -> Result<SinceFull> {
        const FULL: &str = "SELECT MAX(created_at) FROM backup WHERE vault_id = $1 AND resource_id = $2 AND parent_id IS NULL \
             AND incremental = $3 AND status IN ('available', 'waiting_restore', 'restoring')";
        const COUNT: &str = "SELECT COUNT(*) FROM backup WHERE vault_id = $1 AND resource_id = $2 AND parent_id IS NULL \
             AND incremental = $3 AND auto_trigger = $3 AND status IN ('available', 'waiting_restore', 'restoring') \
             AND (CAST($4 AS BIGINT) IS NULL OR created_at > $4)";
        let (full_at,) = on!(self, c => sqlx::query_as::<_, (Option<Timestamp>,)>(FULL)
            .bind(vault).bind(resource).bind(false).fetch_one(c).await)?;
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(COUNT)
            .bind(vault).bind(resource).bind(true).bind(full_at).fetch_one(c).await)?;
        Ok(SinceFull {
            full_at,
            incrementals: u64::try_from(count).unwrap_or(0),
        })
    }
}
