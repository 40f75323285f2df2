//! Our own extension: orders for pre-paid vaults. No money moves; an order reserves a term and somebody approves it.

use serde::{Deserialize, Serialize};
use strongroom_types::{OrderId, OrderStatus, ProjectId, UserId, VaultId};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Offset, PageLimit};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DecidedOrder {
    pub order: Order,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderList {
    pub orders: Vec<Order>,
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Order {
    pub id: OrderId,
    pub project_id: ProjectId,
    pub user_id: UserId,
    /// The id that the vault has or will have.
    pub vault_id: VaultId,
    pub vault_name: String,
    pub status: OrderStatus,
    pub created_at: CbrTime,
    #[schema(required)]
    pub decided_at: Option<CbrTime>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListOrdersQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last order of the page before.
    pub marker: Option<OrderId>,
    pub status: Option<OrderStatus>,
    pub project_id: Option<ProjectId>,
}
