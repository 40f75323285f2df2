//! Policies and the vaults that they are applied to.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use strongroom_types::{
    FailedFreeze, PolicyId, PolicyOperation, PolicyOrigin, ProjectId, Retention, Schedule,
    Timestamp, TriggerId, VaultId,
};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{JsonText, Listed, Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Policy {
    pub id: PolicyId,
    pub project_id: ProjectId,
    pub name: String,
    pub operation_type: PolicyOperation,
    pub policy_type: PolicyOrigin,
    pub enabled: bool,
    /// The wire's `operation_definition` as it was sent, a JSON object; nothing but the echo reads it.
    pub definition: String,
    pub rules: JsonText<PolicyRules>,
    pub trigger_id: TriggerId,
    pub schedule: JsonText<Schedule>,
    /// Starts are spread over so many minutes.
    pub start_window_minutes: Option<i64>,
    pub options: JsonText<PolicyOptions>,
    /// Starts that were due before this moment do not run.
    pub schedule_since: Timestamp,
    /// Raised by whoever takes the row's lock.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What a policy's definition means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRules {
    pub retention: Retention,
    /// After so many incremental backups the next one is full; absent: only the first is.
    pub full_interval: Option<u32>,
    /// Of replication policies.
    pub destination: Option<Destination>,
}

/// What a backup policy chooses beyond its definition, which is CBR's. Kept as JSON, so fields are only ever added, with a default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyOptions {
    #[serde(default)]
    pub on_failed_freeze: FailedFreeze,
    /// Absent: nothing is proven by itself.
    #[serde(default)]
    pub prove: Option<ProveOption>,
}

/// Which backups of a server are proven by themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProveOption {
    /// The first of a day, so many days after the day of the one that was proven before it. At least 1.
    pub every_days: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    pub region: String,
    pub project_id: String,
    pub accelerate: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultPolicy {
    pub vault_id: VaultId,
    pub policy_id: PolicyId,
    /// Of replication policies: the vault in the other region.
    pub destination_vault_id: Option<VaultId>,
    pub associated_at: Timestamp,
    /// The start that was last taken up, run or not.
    pub last_due_at: Option<Timestamp>,
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default)]
pub struct PolicyFilter {
    pub operation_type: Option<PolicyOperation>,
    /// Policies applied to this vault.
    pub vault_id: Option<VaultId>,
}

/// Binds the project and a filter, `$1` to `$3`; see `MATCHING`.
macro_rules! bind_filter {
    ($query:expr, $project:expr, $filter:expr) => {
        $query
            .bind($project)
            .bind($filter.operation_type)
            .bind(&$filter.vault_id)
    };
}

const MATCHING: &str = "FROM policy WHERE project_id = $1 AND (CAST($2 AS TEXT) IS NULL OR operation_type = $2) \
     AND (CAST($3 AS TEXT) IS NULL OR id IN (SELECT policy_id FROM vault_policy WHERE vault_id = $3))";
const ORDER: &str = "created_at DESC, id DESC";

impl Tx {
    pub async fn insert_policy(&mut self, policy: &Policy) -> Result<()> {
        const SQL: &str = "INSERT INTO policy (id, project_id, name, operation_type, policy_type, enabled, definition, rules, \
             trigger_id, schedule, start_window_minutes, options, schedule_since, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
        on!(self, c => sqlx::query(SQL)
            .bind(&policy.id).bind(&policy.project_id).bind(&policy.name).bind(policy.operation_type).bind(policy.policy_type)
            .bind(policy.enabled).bind(&policy.definition).bind(&policy.rules).bind(&policy.trigger_id).bind(&policy.schedule)
            .bind(policy.start_window_minutes).bind(&policy.options).bind(policy.schedule_since).bind(policy.version)
            .bind(policy.created_at).bind(policy.updated_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_policy(&mut self, id: &PolicyId) -> Result<Option<Policy>> {
        const SQL: &str = "SELECT * FROM policy WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Policy>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Takes a policy's lock until the transaction ends and reads it.
    pub async fn lock_policy(&mut self, id: &PolicyId) -> Result<Option<Policy>> {
        const SQL: &str = "UPDATE policy SET version = version + 1 WHERE id = $1 RETURNING *";
        Ok(on!(self, c => sqlx::query_as::<_, Policy>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Newest first.
    pub async fn list_policies(
        &mut self,
        project: &ProjectId,
        filter: &PolicyFilter,
        page: &Page,
    ) -> Result<Listed<Policy>> {
        let extent = page.extent_sql(MATCHING, ORDER, "$4");
        let extent = on!(self, c => bind_filter!(sqlx::query_as::<_, Extent>(AssertSqlSafe(extent)), project, filter)
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $4 OFFSET $5");
        let rows = on!(self, c => bind_filter!(sqlx::query_as::<_, Policy>(AssertSqlSafe(sql)), project, filter)
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    pub async fn count_policies(
        &mut self,
        project: &ProjectId,
        operation_type: PolicyOperation,
    ) -> Result<u64> {
        const SQL: &str =
            "SELECT COUNT(*) FROM policy WHERE project_id = $1 AND operation_type = $2";
        let (count,) = on!(self, c => sqlx::query_as::<_, (i64,)>(SQL)
            .bind(project).bind(operation_type).fetch_one(c).await)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Writes what can change of a policy that was read under its lock; `false` when it has changed since.
    pub async fn update_policy(&mut self, policy: &Policy) -> Result<bool> {
        const SQL: &str = "UPDATE policy SET name = $3, policy_type = $4, enabled = $5, definition = $6, rules = $7, \
             schedule = $8, start_window_minutes = $9, schedule_since = $10, updated_at = $11, options = $12 WHERE id = $1 AND version = $2";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&policy.id).bind(policy.version).bind(&policy.name).bind(policy.policy_type).bind(policy.enabled)
            .bind(&policy.definition).bind(&policy.rules).bind(&policy.schedule).bind(policy.start_window_minutes)
            .bind(policy.schedule_since).bind(policy.updated_at).bind(&policy.options)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Takes the policy off its vaults and deletes it.
    pub async fn delete_policy(&mut self, id: &PolicyId) -> Result<bool> {
        const VAULTS: &str = "DELETE FROM vault_policy WHERE policy_id = $1";
        const SQL: &str = "DELETE FROM policy WHERE id = $1";
        on!(self, c => sqlx::query(VAULTS).bind(id).execute(c).await.map(|_| ()))?;
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// `Conflict` when the vault has the policy already.
    pub async fn insert_vault_policy(&mut self, row: &VaultPolicy) -> Result<()> {
        const SQL: &str = "INSERT INTO vault_policy (vault_id, policy_id, destination_vault_id, associated_at, last_due_at) \
             VALUES ($1, $2, $3, $4, $5)";
        on!(self, c => sqlx::query(SQL)
            .bind(&row.vault_id).bind(&row.policy_id).bind(&row.destination_vault_id).bind(row.associated_at)
            .bind(row.last_due_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_vault_policy(
        &mut self,
        vault: &VaultId,
        policy: &PolicyId,
    ) -> Result<Option<VaultPolicy>> {
        const SQL: &str = "SELECT * FROM vault_policy WHERE vault_id = $1 AND policy_id = $2";
        Ok(
            on!(self, c => sqlx::query_as::<_, VaultPolicy>(SQL).bind(vault).bind(policy).fetch_optional(c).await)?,
        )
    }

    /// By policy, in the order they were applied.
    pub async fn vaults_of_policies(&mut self, ids: &[PolicyId]) -> Result<Vec<VaultPolicy>> {
        let sql = format!(
            "SELECT * FROM vault_policy WHERE policy_id IN ({}) ORDER BY policy_id, associated_at, vault_id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, VaultPolicy>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// The policies of a vault, by id.
    pub async fn policies_of_vault(&mut self, id: &VaultId) -> Result<Vec<Policy>> {
        const SQL: &str = "SELECT policy.* FROM policy JOIN vault_policy ON vault_policy.policy_id = policy.id \
             WHERE vault_policy.vault_id = $1 ORDER BY policy.id";
        Ok(on!(self, c => sqlx::query_as::<_, Policy>(SQL).bind(id).fetch_all(c).await)?)
    }

    /// Writes where replicas go; when the policy was applied stays.
    pub async fn update_vault_policy_destination(
        &mut self,
        vault: &VaultId,
        policy: &PolicyId,
        destination: Option<&VaultId>,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE vault_policy SET destination_vault_id = $1 WHERE vault_id = $2 AND policy_id = $3";
        let changed = on!(self, c => sqlx::query(SQL).bind(destination).bind(vault).bind(policy)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    pub async fn delete_vault_policy(
        &mut self,
        vault: &VaultId,
        policy: &PolicyId,
    ) -> Result<bool> {
        const SQL: &str = "DELETE FROM vault_policy WHERE vault_id = $1 AND policy_id = $2";
        let changed = on!(self, c => sqlx::query(SQL).bind(vault).bind(policy)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
