//! What a project takes: sums over its vaults, and the resources that the vaults protect.

use sqlx::AssertSqlSafe;
use strongroom_types::{ProjectId, ResourceId, ResourceType, VaultId};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{Listed, Page, Result, Tx, VaultResource};

/// Capacity and use of all vaults of a project together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct Capacity {
    #[sqlx(try_from = "i64")]
    pub size_gb: u64,
    #[sqlx(try_from = "i64")]
    pub used_bytes: u64,
}

/// Absent fields do not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UsageFilter {
    pub resource_id: Option<ResourceId>,
    pub resource_type: Option<ResourceType>,
}

impl Tx {
    pub async fn capacity_of_project(&mut self, project: &ProjectId) -> Result<Capacity> {
        const SQL: &str = "SELECT CAST(COALESCE(SUM(size_gb), 0) AS BIGINT) AS size_gb, \
             CAST(COALESCE(SUM(used_bytes), 0) AS BIGINT) AS used_bytes FROM vault WHERE project_id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, Capacity>(SQL).bind(project).fetch_one(c).await)?)
    }

    /// What the project's vaults protect, by name.
    pub async fn list_protected_resources(
        &mut self,
        project: &ProjectId,
        filter: &UsageFilter,
        page: &Page,
    ) -> Result<Listed<VaultResource>> {
        const MATCHING: &str = "FROM (SELECT vault_resource.*, resource_id AS id FROM vault_resource) resource WHERE vault_id IN (SELECT id FROM vault WHERE project_id = $1) \
             AND (CAST($2 AS TEXT) IS NULL OR resource_id = $2) AND (CAST($3 AS TEXT) IS NULL OR resource_type = $3)";
        const ORDER: &str = "name, id";
        let extent = page.extent_sql(MATCHING, ORDER, "$4");
        let extent = on!(self, c => sqlx::query_as::<_, Extent>(AssertSqlSafe(extent))
            .bind(project).bind(&filter.resource_id).bind(filter.resource_type)
            .bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $4 OFFSET $5");
        let rows = on!(self, c => sqlx::query_as::<_, VaultResource>(AssertSqlSafe(sql))
            .bind(project).bind(&filter.resource_id).bind(filter.resource_type)
            .bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Ids of every vault of a project, in the order in which several are locked.
    pub async fn vault_ids_of_project(&mut self, project: &ProjectId) -> Result<Vec<VaultId>> {
        const SQL: &str = "SELECT id FROM vault WHERE project_id = $1 ORDER BY id";
        let found =
            on!(self, c => sqlx::query_as::<_, (VaultId,)>(SQL).bind(project).fetch_all(c).await)?;
        Ok(found.into_iter().map(|(id,)| id).collect())
    }
}
