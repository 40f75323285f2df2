//! Which automatic backups there are to choose from, and which have had their time.

use strongroom_types::{BackupId, PolicyId, ResourceId, Timestamp, VaultId};

use crate::backups::Backup;
use crate::page::stored;
use crate::tx::on;
use crate::{Result, Tx};

pub(crate) const BACKUPS_OF_POLICY: &str = "SELECT * FROM backup WHERE policy_id = $1 AND vault_id = $2 AND resource_id = $3 \
     AND parent_id IS NULL AND auto_trigger = $4 AND status IN ('available', 'waiting_restore', 'restoring') \
     ORDER BY created_at, id";
pub(crate) const COPIES_BY_POLICY: &str = "SELECT vault_id, policy_id, resource_id FROM backup \
     WHERE image_type = 'replication' AND policy_id IS NOT NULL AND parent_id IS NULL \
     AND (vault_id, policy_id, resource_id) > ($1, $2, $3) \
     AND status IN ('available', 'waiting_restore', 'restoring') \
     GROUP BY vault_id, policy_id, resource_id HAVING COUNT(*) > 1 ORDER BY vault_id, policy_id, resource_id LIMIT $4";

/// The copies of a server in a vault that one policy of another region has sent.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct CopiesOfPolicy {
    pub vault_id: VaultId,
    pub policy_id: PolicyId,
    pub resource_id: ResourceId,
}

impl Tx {
    /// Of which copies there is more than one that is finished, by vault, policy and resource, beginning after `after`.
    pub async fn copies_by_policy(
        &mut self,
        after: Option<&CopiesOfPolicy>,
        limit: u64,
    ) -> Result<Vec<CopiesOfPolicy>> {
        // Every id comes after the empty text.
        let (vault, policy, resource) = after.map_or(("", "", ""), |after| {
            let CopiesOfPolicy {
                vault_id,
                policy_id,
                resource_id,
            } = after;
            (vault_id.as_str(), policy_id.as_str(), resource_id.as_str())
        });
        Ok(
            on!(self, c => sqlx::query_as::<_, CopiesOfPolicy>(COPIES_BY_POLICY)
            .bind(vault).bind(policy).bind(resource).bind(stored(limit)).fetch_all(c).await)?,
        )
    }

    /// The resources of which a policy has made more than so many backups in a vault that are finished and there.
    pub async fn resources_with_more_backups(
        &mut self,
        vault: &VaultId,
        policy: &PolicyId,
        number: u64,
    ) -> Result<Vec<ResourceId>> {
        const SQL: &str = "SELECT resource_id FROM backup WHERE policy_id = $1 AND vault_id = $2 AND parent_id IS NULL \
             AND status IN ('available', 'waiting_restore', 'restoring') \
             GROUP BY resource_id HAVING COUNT(*) > $3 ORDER BY resource_id";
        let found = on!(self, c => sqlx::query_as::<_, (ResourceId,)>(SQL)
            .bind(policy).bind(vault).bind(stored(number)).fetch_all(c).await)?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }

    /// The finished backups of a resource that a policy made in a vault, the oldest first.
    pub async fn backups_of_policy(
        &mut self,
        vault: &VaultId,
        policy: &PolicyId,
        resource: &ResourceId,
    ) -> Result<Vec<Backup>> {
        Ok(
            on!(self, c => sqlx::query_as::<_, Backup>(BACKUPS_OF_POLICY)
            .bind(policy).bind(vault).bind(resource).bind(true).fetch_all(c).await)?,
        )
    }

    /// Failed automatic backups that are more than `kept` for their resource, or were made before `before`. A locked vault
    /// keeps those that hold anything.
    pub async fn surplus_failed_backups(
        &mut self,
        kept: u64,
        before: Timestamp,
        limit: u64,
    ) -> Result<Vec<Backup>> {
        const SQL: &str = "SELECT b.* FROM backup b JOIN vault v ON v.id = b.vault_id JOIN \
             (SELECT id, ROW_NUMBER() OVER (PARTITION BY vault_id, resource_id ORDER BY created_at DESC, id DESC) AS place \
              FROM backup WHERE parent_id IS NULL AND auto_trigger = $1 AND status = 'error') ranked ON ranked.id = b.id \
             WHERE (ranked.place > $2 OR b.created_at < $3) AND v.status IN ('available', 'lock', 'error') \
             AND (v.locked <> $1 OR (b.point_id IS NULL AND NOT EXISTS \
                  (SELECT 1 FROM backup child WHERE child.parent_id = b.id AND child.point_id IS NOT NULL))) \
             AND NOT EXISTS (SELECT 1 FROM backup child WHERE child.parent_id = b.id \
                             AND child.status IN ('waiting_restore', 'restoring')) \
             ORDER BY b.created_at, b.id LIMIT $4";
        Ok(on!(self, c => sqlx::query_as::<_, Backup>(SQL)
            .bind(true).bind(stored(kept)).bind(before).bind(stored(limit)).fetch_all(c).await)?)
    }

    /// Backups whose time has passed at `now` and that can be deleted, the longest expired first, beginning after `after`.
    pub async fn expired_backups(
        &mut self,
        now: Timestamp,
        after: Option<(Timestamp, &BackupId)>,
        limit: u64,
    ) -> Result<Vec<Backup>> {
        const SQL: &str = "SELECT b.* FROM backup b JOIN vault v ON v.id = b.vault_id \
             WHERE b.expired_at IS NOT NULL AND b.expired_at <= $1 AND (b.expired_at, b.id) > ($2, $3) \
             AND b.parent_id IS NULL AND b.status IN ('available', 'error') \
             AND v.status IN ('available', 'lock', 'error') \
             AND NOT EXISTS (SELECT 1 FROM backup running WHERE running.resource_id = b.resource_id \
                             AND running.status IN ('waiting_protect', 'protecting')) \
             AND NOT EXISTS (SELECT 1 FROM backup child WHERE child.parent_id = b.id AND child.status IN ('waiting_restore', 'restoring')) \
             ORDER BY b.expired_at, b.id LIMIT $4";
        // Every time comes after the smallest, and every id after the empty text.
        let (end, id) = after.map_or((Timestamp::from_micros(i64::MIN), ""), |(end, id)| {
            (end, id.as_str())
        });
        Ok(on!(self, c => sqlx::query_as::<_, Backup>(SQL)
            .bind(now).bind(end).bind(id).bind(stored(limit)).fetch_all(c).await)?)
    }
}
