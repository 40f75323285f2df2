//! Orders about pre-paid vaults, as clients place them and as an operator decides them. No money moves; an order reserves
//! a term or a size. What only billing systems need is read and left alone.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    ChargingMode, OrderId, OrderKind, OrderStatus, PeriodType, ProjectId, UserId, VaultId,
};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Offset, PageLimit, PeriodCount, ShortText, VaultSize};

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
    /// Of a vault to be created.
    #[schema(required)]
    pub vault_name: Option<String>,
    pub kind: OrderKind,
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

/// Turns pay-per-use vaults into pre-paid ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeChargeModeRequest {
    #[schema(min_items = 1, max_items = 60)]
    pub vault_ids: Vec<VaultId>,
    /// `pre_paid`; no vault changes back.
    pub charging_mode: ChargingMode,
    pub period_type: PeriodType,
    pub period_num: PeriodCount,
    pub is_auto_pay: Option<bool>,
    pub is_auto_renew: Option<bool>,
}

/// Both spellings of the fields are taken, `resource_id` and `resourceId`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeOrderRequest {
    #[serde(alias = "resourceId")]
    pub resource_id: VaultId,
    #[serde(alias = "productInfo")]
    pub product_info: ProductInfo,
    #[serde(alias = "isAutoPay")]
    pub is_auto_pay: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProductInfo {
    /// The size to have from now on, in GB.
    #[serde(alias = "resourceSize")]
    pub resource_size: VaultSize,
    /// 17, which stands for GB.
    #[serde(alias = "resourceSizeMeasureId")]
    pub resource_size_measure_id: Option<i64>,
    /// That of the vault.
    #[serde(alias = "resourceSpecCode")]
    pub resource_spec_code: ShortText,
}

/// Both spellings of the fields are taken, `resourceId` and `resource_id`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdateOrderRequest {
    #[serde(alias = "resource_id")]
    pub resource_id: VaultId,
    #[serde(alias = "product_info")]
    pub product_info: UpdatedProductInfo,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UpdatedProductInfo {
    #[serde(alias = "resource_size")]
    pub resource_size: VaultSize,
    #[serde(alias = "resource_size_measure_id")]
    pub resource_size_measure_id: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderTaken {
    pub order_id: OrderId,
    pub ret_code: i64,
    pub ret_msg: String,
}

/// The same with a text for the number, as clients expect of this call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrderCarriedOut {
    pub order_id: OrderId,
    pub ret_code: String,
    pub ret_msg: String,
}
