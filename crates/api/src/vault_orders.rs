//! Orders as tenants place them; `orders` has the operator's side.

use axum::extract::State;
use strongroom_service::orders::{self, ChargeChange, OrderView, Payment, Resize};
use strongroom_service::vaults::{self, VaultCreation};
use strongroom_service::{Action, Error};
use strongroom_types::{ChargingMode, OrderStatus};
use strongroom_wire::Code;
use strongroom_wire::orders::{
    ChangeChargeModeRequest, ChangeOrderRequest, OrderCarriedOut, OrderTaken, UpdateOrderRequest,
};
use strongroom_wire::vault_requests::CreateVaultRequest;
use strongroom_wire::vaults::OrderAnswer;

use crate::auth::Tenant;
use crate::convert::vaults::{new_vault, order_taken, vault};
use crate::convert::{check_count, unsigned};
use crate::extract::{Json, Path};
use crate::params::OrderPath;
use crate::{ApiError, ApiState};

/// The measure of a size in a billing system: GB.
const GB: i64 = 17;

/// Order a vault for a term.
#[utoipa::path(post, path = "/v3/{project_id}/vaults/order", tag = "orders",
    request_body = CreateVaultRequest, responses((status = 200, body = OrderAnswer)))]
pub(crate) async fn create_post_paid_vault(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(mut request): Json<CreateVaultRequest>,
) -> Result<Json<OrderAnswer>, ApiError> {
    caller.authorise(Action::VaultsCreate, &project)?;
    match request.vault.billing.charging_mode {
        None | Some(ChargingMode::PrePaid) => {}
        Some(ChargingMode::PostPaid) => return Err(ApiError::invalid("billing.charging_mode")),
    }
    request.vault.billing.charging_mode = Some(ChargingMode::PrePaid);
    let new = new_vault(request.vault)?;
    match vaults::create(&state.app, &caller, &project, new).await? {
        VaultCreation::Ordered(order) => Ok(Json(order_taken(order))),
        VaultCreation::Created(_) => Err(ApiError::internal("a prepaid vault without an order")),
    }
}

/// Order a term for pay-per-use vaults.
#[utoipa::path(post, path = "/v3/{project_id}/vaults/change-charge-mode", tag = "orders",
    request_body = ChangeChargeModeRequest, responses((status = 200, body = OrderTaken)))]
pub(crate) async fn change_vault_charge_mode(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<ChangeChargeModeRequest>,
) -> Result<Json<OrderTaken>, ApiError> {
    check_count("vault_ids", &request.vault_ids, 1..=60)?;
    if request.charging_mode != ChargingMode::PrePaid {
        return Err(ApiError::invalid("charging_mode"));
    }
    let change = ChargeChange {
        vault_ids: request.vault_ids,
        period_type: request.period_type,
        period_num: unsigned(request.period_num.get()),
    };
    let payment = payment(request.is_auto_pay);
    let order = orders::change_charge_mode(&state.app, &caller, &project, change, payment).await?;
    Ok(Json(taken(order)))
}

/// Order another size for a pre-paid vault.
#[utoipa::path(post, path = "/v3/{project_id}/orders/change", tag = "orders",
    request_body = ChangeOrderRequest, responses((status = 200, body = OrderTaken)))]
pub(crate) async fn change_order(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<ChangeOrderRequest>,
) -> Result<Json<OrderTaken>, ApiError> {
    caller.authorise(Action::VaultsChangeOrder, &project)?;
    let product = request.product_info;
    check_measure(product.resource_size_measure_id)?;
    let view = vaults::get(&state.app, &caller, &project, &request.resource_id).await?;
    if product.resource_spec_code.as_str() != vault(view).billing.spec_code {
        let message = "Invalid resource_spec_code provided: it must be that of the vault.";
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    let resize = Resize {
        vault_id: request.resource_id,
        size_gb: unsigned(product.resource_size.get()),
    };
    let payment = payment(request.is_auto_pay);
    let order = orders::resize(&state.app, &caller, &project, resize, payment).await?;
    Ok(Json(taken(order)))
}

/// Ask whether an order is carried out. Nothing is paid here, and nobody carries an order out by asking.
#[utoipa::path(put, path = "/v3/{project_id}/orders/{order_id}", tag = "orders",
    params(OrderPath), request_body = UpdateOrderRequest,
    responses((status = 200, body = OrderCarriedOut)))]
pub(crate) async fn update_order(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<OrderPath>,
    Json(request): Json<UpdateOrderRequest>,
) -> Result<Json<OrderCarriedOut>, ApiError> {
    check_measure(request.product_info.resource_size_measure_id)?;
    let OrderView {
        order,
        request: asked,
    } = orders::get(&state.app, &caller, &project, &path.order_id).await?;
    if order.vault_id != request.resource_id {
        return Err(ApiError::invalid("resourceId"));
    }
    let size_gb = unsigned(request.product_info.resource_size.get());
    if asked.size_gb().is_some_and(|asked| asked != size_gb) {
        return Err(ApiError::invalid("productInfo.resourceSize"));
    }
    match order.status {
        OrderStatus::Completed => Ok(Json(OrderCarriedOut {
            order_id: order.id,
            ret_code: "0".to_owned(),
            ret_msg: "success".to_owned(),
        })),
        OrderStatus::Waiting => Err(Error::OrderOpen.into()),
        OrderStatus::Rejected => Err(Error::OrderRejected.into()),
    }
}

fn check_measure(id: Option<i64>) -> Result<(), ApiError> {
    match id {
        None | Some(GB) => Ok(()),
        Some(_) => Err(ApiError::invalid("resource_size_measure_id")),
    }
}

fn payment(is_auto_pay: Option<bool>) -> Payment {
    if is_auto_pay == Some(true) {
        Payment::Automatic
    } else {
        Payment::Waiting
    }
}

fn taken(view: OrderView) -> OrderTaken {
    OrderTaken {
        order_id: view.order.id,
        ret_code: 0,
        ret_msg: "success".to_owned(),
    }
}
