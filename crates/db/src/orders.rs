//! Requests for a term reservation.

use sqlx::AssertSqlSafe;
use strongroom_types::{OrderId, OrderKind, OrderStatus, ProjectId, Timestamp, UserId, VaultId};

use crate::page::{Extent, stored};
use crate::tx::on;
use crate::{Listed, Page, Result, Tx};

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultOrder {
    pub id: OrderId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    pub kind: OrderKind,
    /// The id that the vault has or will have; the first one's where an order is about several.
    pub vault_id: VaultId,
    /// What is asked for, as the service's JSON.
    pub request: String,
    pub status: OrderStatus,
    pub created_at: Timestamp,
    pub decided_at: Option<Timestamp>,
}

impl Tx {
    pub async fn insert_order(&mut self, order: &VaultOrder) -> Result<()> {
        const SQL: &str = "INSERT INTO vault_order (id, project_id, user_id, vault_id, request, status, created_at, decided_at, kind) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        on!(self, c => sqlx::query(SQL)
            .bind(&order.id).bind(&order.project_id).bind(&order.user_id).bind(&order.vault_id).bind(&order.request)
            .bind(order.status).bind(order.created_at).bind(order.decided_at).bind(order.kind)
            .execute(c).await.map(|_| ()))?;
        Ok(())
    }

    pub async fn find_order(&mut self, id: &OrderId) -> Result<Option<VaultOrder>> {
        const SQL: &str = "SELECT * FROM vault_order WHERE id = $1";
        Ok(on!(self, c => sqlx::query_as::<_, VaultOrder>(SQL).bind(id).fetch_optional(c).await)?)
    }

    /// Whether an order about this vault waits for its decision.
    pub async fn any_order_waits(&mut self, vault: &VaultId) -> Result<bool> {
        // An order about several vaults names them in its request; an id is part of no other text.
        const SQL: &str = "SELECT COUNT(*) FROM vault_order WHERE status = 'waiting' \
             AND (vault_id = $1 OR REPLACE(request, $1, '') <> request)";
        let (count,) =
            on!(self, c => sqlx::query_as::<_, (i64,)>(SQL).bind(vault).fetch_one(c).await)?;
        Ok(count > 0)
    }

    /// Newest first.
    pub async fn list_orders(
        &mut self,
        project: Option<&ProjectId>,
        status: Option<OrderStatus>,
        page: &Page,
    ) -> Result<Listed<VaultOrder>> {
        const MATCHING: &str = "FROM vault_order WHERE (CAST($1 AS TEXT) IS NULL OR project_id = $1) \
             AND (CAST($2 AS TEXT) IS NULL OR status = $2)";
        const ORDER: &str = "created_at DESC, id DESC";
        let extent = page.extent_sql(MATCHING, ORDER, "$3");
        let extent = on!(self, c => sqlx::query_as::<_, Extent>(AssertSqlSafe(extent))
            .bind(project).bind(status).bind(&page.marker).fetch_one(c).await)?;
        let sql = format!("SELECT * {MATCHING} ORDER BY {ORDER} LIMIT $3 OFFSET $4");
        let rows = on!(self, c => sqlx::query_as::<_, VaultOrder>(AssertSqlSafe(sql))
            .bind(project).bind(status).bind(stored(page.limit)).bind(page.start(&extent)?).fetch_all(c).await)?;
        Ok(Listed {
            rows,
            total: extent.total,
        })
    }

    /// Ends a waiting order; `false` when it has been decided already.
    pub async fn decide_order(
        &mut self,
        id: &OrderId,
        to: OrderStatus,
        now: Timestamp,
    ) -> Result<bool> {
        const SQL: &str = "UPDATE vault_order SET status = $1, decided_at = $2 WHERE id = $3 AND status = 'waiting'";
        let changed = on!(self, c => sqlx::query(SQL).bind(to).bind(now).bind(id)
            .execute(c).await.map(|done| done.rows_affected()))?;
        Ok(changed == 1)
    }
}
