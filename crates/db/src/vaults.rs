//! Vaults and their tags.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use strongroom_types::{
    ChargingMode, CloudType, ConsistentLevel, ObjectType, OrderId, PolicyId, ProjectId,
    ProtectType, ResourceId, Timestamp, UserId, VaultId, VaultStatus,
};

use crate::conditions::{Conditions, Matching, OF_PROJECT, text};
use crate::json_text::list_or_null;
use crate::page::{NEWEST, NewestExtent, stored};
use crate::tx::{Dialect, on};
use crate::{JsonText, Listed, Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Vault {
    pub id: VaultId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub name: String,
    pub description: Option<String>,
    pub object_type: ObjectType,
    pub protect_type: ProtectType,
    pub consistent_level: ConsistentLevel,
    pub cloud_type: CloudType,
    pub charging_mode: ChargingMode,
    #[sqlx(try_from = "i64")]
    pub size_gb: u64,
    /// What the vault's backups take in storage; docs/vaults.md has the rule.
    #[sqlx(try_from = "i64")]
    pub used_bytes: u64,
    pub status: VaultStatus,
    pub auto_bind: bool,
    pub auto_expand: bool,
    /// `None` when never set; empty once emptied.
    pub bind_rules: Option<JsonText<Vec<Tag>>>,
    pub smn_notify: bool,
    #[sqlx(try_from = "i64")]
    pub threshold: u64,
    pub locked: bool,
    pub is_multi_az: bool,
    pub demand_billing: bool,
    pub backup_name_prefix: Option<String>,
    pub enterprise_project_id: String,
    pub availability_zone: String,
    pub sys_lock_source_service: String,
    pub order_id: Option<OrderId>,
    pub term_ends_at: Option<Timestamp>,
    /// Raised by whoever takes the row's lock.
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tag {
    pub key: String,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultTag {
    pub vault_id: VaultId,
    pub key: String,
    pub value: String,
}

/// Absent or empty fields do not filter; the values of a list mean "one of".
#[derive(Debug, Clone, Default)]
pub struct VaultFilter {
    /// The whole name.
    pub name: Option<String>,
    pub ids: Vec<VaultId>,
    pub policy_id: Option<PolicyId>,
    pub status: Option<VaultStatus>,
    /// Vaults that protect at least one of these.
    pub resource_ids: Vec<ResourceId>,
    pub object_type: Option<ObjectType>,
    pub protect_type: Option<ProtectType>,
    pub cloud_type: Option<CloudType>,
    pub enterprise_project_id: Option<String>,
    pub availability_zone: Option<String>,
}

/// Binds the project and a filter, `$1` to `$11`; see `matching_vaults`.
macro_rules! bind_filter {
    ($query:expr, $project:expr, $filter:expr) => {
        $query
            .bind($project)
            .bind(&$filter.name)
            .bind(list_or_null(&$filter.ids))
            .bind($filter.status)
            .bind(list_or_null(&$filter.resource_ids))
            .bind($filter.object_type)
            .bind($filter.protect_type)
            .bind($filter.cloud_type)
            .bind(&$filter.enterprise_project_id)
            .bind(&$filter.availability_zone)
            .bind(&$filter.policy_id)
    };
}

pub(crate) fn matching_vaults(filter: &VaultFilter, dialect: Dialect) -> Matching {
    let (ids, resources) = (dialect.values_of("$3"), dialect.values_of("$5"));
    let mut sql = Conditions::new(format_args!("FROM vault WHERE {OF_PROJECT}"));
    sql.given(filter.name.as_ref(), text(2), "name = $2");
    sql.given(filter.ids.first(), text(3), format_args!("id IN ({ids})"));
    sql.given(filter.status, text(4), "status = $4");
    sql.given(
        filter.resource_ids.first(),
        text(5),
        format_args!(
            "id IN (SELECT vault_id FROM vault_resource WHERE resource_id IN ({resources}))"
        ),
    );
    sql.given(filter.object_type, text(6), "object_type = $6");
    sql.given(filter.protect_type, text(7), "protect_type = $7");
    sql.given(filter.cloud_type, text(8), "cloud_type = $8");
    sql.given(
        filter.enterprise_project_id.as_ref(),
        text(9),
        "enterprise_project_id = $9",
    );
    sql.given(
        filter.availability_zone.as_ref(),
        text(10),
        "availability_zone = $10",
    );
    sql.given(
        filter.policy_id.as_ref(),
        text(11),
        "id IN (SELECT vault_id FROM vault_policy WHERE policy_id = $11)",
    );
    sql.into_matching()
}

impl Tx {
    pub async fn insert_vault(&mut self, vault: &Vault) -> Result<()> {
        const SQL: &str = "INSERT INTO vault (id, project_id, user_id, name, description, object_type, protect_type, \
             consistent_level, cloud_type, charging_mode, size_gb, used_bytes, status, auto_bind, auto_expand, bind_rules, \
             smn_notify, threshold, locked, is_multi_az, demand_billing, backup_name_prefix, enterprise_project_id, \
             availability_zone, sys_lock_source_service, order_id, term_ends_at, version, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, \
             $23, $24, $25, $26, $27, $28, $29, $30)";
        on!(self, c => sqlx::query(SQL)
            .bind(&vault.id).bind(&vault.project_id).bind(&vault.user_id).bind(&vault.name).bind(&vault.description)
            .bind(vault.object_type).bind(vault.protect_type).bind(vault.consistent_level).bind(vault.cloud_type)
            .bind(vault.charging_mode).bind(stored(vault.size_gb)).bind(stored(vault.used_bytes)).bind(vault.status)
            .bind(vault.auto_bind).bind(vault.auto_expand).bind(&vault.bind_rules).bind(vault.smn_notify)
            .bind(stored(vault.threshold)).bind(vault.locked).bind(vault.is_multi_az).bind(vault.demand_billing)
            .bind(&vault.backup_name_prefix).bind(&vault.enterprise_project_id).bind(&vault.availability_zone)
            .bind(&vault.sys_lock_source_service).bind(&vault.order_id).bind(vault.term_ends_at).bind(vault.version)
            .bind(vault.created_at).bind(vault.updated_at)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_vault(&mut self, id: &VaultId) -> Result<Option<Vault>> {
        const SQL: &str = "SELECT * FROM vault WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Vault>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Takes a vault's lock until the transaction ends and reads it.
    pub async fn lock_vault(&mut self, id: &VaultId) -> Result<Option<Vault>> {
        const SQL: &str = "UPDATE vault SET version = version + 1 WHERE id = $1 RETURNING *";
        Ok(on!(self, c => sqlx::query_as::<_, Vault>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Newest first.
    pub async fn list_vaults(
        &mut self,
        project: &ProjectId,
        filter: &VaultFilter,
        page: &Page,
    ) -> Result<Listed<Vault>> {
        let matching = matching_vaults(filter, self.dialect());
        let extent = Page::newest_extent_sql(&matching, "vault", "$12");
        let extent = on!(self, c => bind_filter!(sqlx::query_as::<_, NewestExtent>(AssertSqlSafe(extent)), project, filter)
            .bind(&page.marker).fetch_one(c).await)?;
        let after = page.after_sql(&extent, "$14", "$15")?;
        let matching = matching.sql;
        let sql = format!("SELECT * {matching} {after} ORDER BY {NEWEST} LIMIT $12 OFFSET $13");
        let rows = on!(self, c => bind_filter!(sqlx::query_as::<_, Vault>(AssertSqlSafe(sql)), project, filter)
            .bind(stored(page.limit)).bind(stored(page.offset)).bind(extent.place).bind(&page.marker).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// The vaults of these ids, by id; unknown ids are passed over.
    pub async fn vaults_by_id(&mut self, ids: &[VaultId]) -> Result<Vec<Vault>> {
        let sql = format!(
            "SELECT * FROM vault WHERE id IN ({}) ORDER BY id",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, Vault>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }

    /// Writes what can change of a vault that was read under its lock; `false` when it has changed since.
    pub async fn update_vault(&mut self, vault: &Vault) -> Result<bool> {
        const SQL: &str = "UPDATE vault SET name = $3, consistent_level = $4, size_gb = $5, used_bytes = $6, status = $7, \
             auto_bind = $8, auto_expand = $9, bind_rules = $10, smn_notify = $11, threshold = $12, locked = $13, \
             updated_at = $14 WHERE id = $1 AND version = $2";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&vault.id).bind(vault.version).bind(&vault.name).bind(vault.consistent_level)
            .bind(stored(vault.size_gb)).bind(stored(vault.used_bytes)).bind(vault.status)
            .bind(vault.auto_bind).bind(vault.auto_expand).bind(&vault.bind_rules).bind(vault.smn_notify)
            .bind(stored(vault.threshold)).bind(vault.locked).bind(vault.updated_at)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Writes the term of a vault that was read under its lock; `false` when it has changed since.
    pub async fn update_vault_term(&mut self, vault: &Vault) -> Result<bool> {
        const SQL: &str = "UPDATE vault SET charging_mode = $3, order_id = $4, term_ends_at = $5 WHERE id = $1 AND version = $2";
        let changed = on!(self, c => sqlx::query(SQL)
            .bind(&vault.id).bind(vault.version).bind(vault.charging_mode).bind(&vault.order_id).bind(vault.term_ends_at)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// Deletes a vault with its tags and takes its policies off; its backups, checkpoints and resources must be gone.
    pub async fn delete_vault(&mut self, id: &VaultId) -> Result<bool> {
        const TAGS: &str = "DELETE FROM vault_tag WHERE vault_id = $1";
        const POLICIES: &str = "DELETE FROM vault_policy WHERE vault_id = $1";
        const SQL: &str = "DELETE FROM vault WHERE id = $1";
        on!(self, c => sqlx::query(TAGS).bind(id).execute(c).await.map(|_| ()))?;
        on!(self, c => sqlx::query(POLICIES).bind(id).execute(c).await.map(|_| ()))?;
        let changed = on!(self, c => sqlx::query(SQL).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }

    /// `Conflict` when the vault has a tag of that key.
    pub async fn insert_vault_tag(&mut self, tag: &VaultTag) -> Result<()> {
        const SQL: &str = "INSERT INTO vault_tag (vault_id, key, value) VALUES ($1, $2, $3)";
        on!(self, c => sqlx::query(SQL).bind(&tag.vault_id).bind(&tag.key).bind(&tag.value)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    /// By vault and key.
    pub async fn tags_of_vaults(&mut self, ids: &[VaultId]) -> Result<Vec<VaultTag>> {
        let sql = format!(
            "SELECT * FROM vault_tag WHERE vault_id IN ({}) ORDER BY vault_id, key",
            self.dialect().values_of("$1")
        );
        Ok(
            on!(self, c => sqlx::query_as::<_, VaultTag>(AssertSqlSafe(sql)).bind(JsonText(ids)).fetch_all(c).await)?,
        )
    }
}
