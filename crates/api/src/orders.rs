//! Our own extension: deciding on orders for pre-paid vaults.

use axum::extract::State;
use strongroom_service::orders;
use strongroom_wire::orders::{DecidedOrder, ListOrdersQuery, OrderList};

use crate::auth::Authenticated;
use crate::convert::inventory::order;
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Path, Query};
use crate::params::OrderPath;
use crate::{ApiError, ApiState};

/// List the orders of every project, newest first.
#[utoipa::path(get, path = "/strongroom/v1/orders", tag = "orders",
    params(ListOrdersQuery), responses((status = 200, body = OrderList)))]
pub(crate) async fn list_orders(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Query(query): Query<ListOrdersQuery>,
) -> Result<Json<OrderList>, ApiError> {
    let page = page(query.limit, query.offset, query.marker, DEFAULT_LIMIT);
    let project = query.project_id.as_ref();
    let (views, count) = orders::list(&state.app, &caller, project, query.status, &page).await?;
    Ok(Json(OrderList {
        orders: views.into_iter().map(order).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// Approve an order: its vault is created.
#[utoipa::path(post, path = "/strongroom/v1/orders/{order_id}/approve", tag = "orders",
    params(OrderPath), responses((status = 200, body = DecidedOrder)))]
pub(crate) async fn approve_order(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<OrderPath>,
) -> Result<Json<DecidedOrder>, ApiError> {
    let view = orders::approve(&state.app, &caller, &path.order_id).await?;
    Ok(Json(DecidedOrder { order: order(view) }))
}

/// Reject an order.
#[utoipa::path(post, path = "/strongroom/v1/orders/{order_id}/reject", tag = "orders",
    params(OrderPath), responses((status = 200, body = DecidedOrder)))]
pub(crate) async fn reject_order(
    State(state): State<ApiState>,
    Authenticated(caller): Authenticated,
    Path(path): Path<OrderPath>,
) -> Result<Json<DecidedOrder>, ApiError> {
    let view = orders::reject(&state.app, &caller, &path.order_id).await?;
    Ok(Json(DecidedOrder { order: order(view) }))
}
