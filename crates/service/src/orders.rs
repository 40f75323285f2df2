//! Prepaid vaults as term reservations: no money exists here, so an order is carried out at price zero, at once
//! when the request says so and otherwise when an administrator approves it.

mod carry_out;

use serde::{Deserialize, Serialize};
use strongroom_db::{Page, Tx, VaultOrder};
use strongroom_types::{OrderId, OrderKind, OrderStatus, PeriodType, ProjectId, VaultId};

use crate::vaults::{self, Charging, NewVault};
use crate::{Action, App, Caller, Error, audit};

const PERIODS_MAX: u64 = 9;
const VAULTS_MAX: usize = 60;

#[derive(Debug, Clone)]
pub struct OrderView {
    pub order: VaultOrder,
    /// What the order asked for.
    pub request: OrderRequest,
}

/// What an order asks for. Kept as JSON while it waits, so fields are only ever added, with a default.
#[derive(Debug, Clone)]
pub enum OrderRequest {
    Create(Box<NewVault>),
    ChargeMode(ChargeChange),
    Resize(Resize),
}

/// Pay-per-use vaults are to be prepaid for a term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChargeChange {
    pub vault_ids: Vec<VaultId>,
    pub period_type: PeriodType,
    /// 1 to 9
    pub period_num: u64,
}

/// A prepaid vault is to have another size for the rest of its term.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    pub vault_id: VaultId,
    pub size_gb: u64,
}

/// Whether an order waits for an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payment {
    /// The request completes it itself.
    Automatic,
    Waiting,
}

impl OrderRequest {
    const fn kind(&self) -> OrderKind {
        match self {
            Self::Create(_) => OrderKind::Create,
            Self::ChargeMode(_) => OrderKind::ChargeMode,
            Self::Resize(_) => OrderKind::Resize,
        }
    }

    /// The size that it asks for, if it is about one.
    pub fn size_gb(&self) -> Option<u64> {
        match self {
            Self::Create(new) => Some(new.size_gb),
            Self::Resize(resize) => Some(resize.size_gb),
            Self::ChargeMode(_) => None,
        }
    }

    fn to_json(&self) -> Result<String, Error> {
        let json = match self {
            Self::Create(new) => serde_json::to_string(new),
            Self::ChargeMode(change) => serde_json::to_string(change),
            Self::Resize(resize) => serde_json::to_string(resize),
        };
        json.map_err(|error| Error::Internal(Box::new(error)))
    }

    fn from_json(kind: OrderKind, json: &str) -> Result<Self, Error> {
        let request = match kind {
            OrderKind::Create => serde_json::from_str(json).map(Self::Create),
            OrderKind::ChargeMode => serde_json::from_str(json).map(Self::ChargeMode),
            OrderKind::Resize => serde_json::from_str(json).map(Self::Resize),
        };
        request.map_err(|error| Error::Internal(Box::new(error)))
    }
}

/// Records the order of a request that passed [`vaults::check_new`], and carries it out if it pays itself.
pub(crate) async fn place_new_vault(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewVault,
) -> Result<OrderView, Error> {
    let payment = match new.charging {
        Charging::PrePaid { auto_pay: true, .. } => Payment::Automatic,
        Charging::PrePaid { .. } | Charging::PostPaid => Payment::Waiting,
    };
    let vault_id = VaultId::random(&*app.ids);
    let request = OrderRequest::Create(Box::new(new));
    place(app, caller, project, vault_id, request, payment).await
}

/// Orders a term for pay-per-use vaults: one order for all of them.
pub async fn change_charge_mode(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    mut change: ChargeChange,
    payment: Payment,
) -> Result<OrderView, Error> {
    caller.authorise(Action::VaultsChangeChargeMode, project)?;
    if !(1..=PERIODS_MAX).contains(&change.period_num) {
        return Err(Error::invalid(format!(
            "period_num must be 1 to {PERIODS_MAX}."
        )));
    }
    // In the order in which several vaults are locked.
    change.vault_ids.sort_unstable();
    change.vault_ids.dedup();
    let Some(first) = change.vault_ids.first().cloned() else {
        return Err(Error::invalid("vault_ids names no vault."));
    };
    if change.vault_ids.len() > VAULTS_MAX {
        return Err(Error::invalid(format!(
            "vault_ids names at most {VAULTS_MAX} vaults."
        )));
    }
    let request = OrderRequest::ChargeMode(change);
    place(app, caller, project, first, request, payment).await
}

/// Orders another size for a prepaid vault.
pub async fn resize(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    resize: Resize,
    payment: Payment,
) -> Result<OrderView, Error> {
    caller.authorise(Action::VaultsChangeOrder, project)?;
    let vault_id = resize.vault_id.clone();
    let request = OrderRequest::Resize(resize);
    place(app, caller, project, vault_id, request, payment).await
}

async fn place(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: VaultId,
    request: OrderRequest,
    payment: Payment,
) -> Result<OrderView, Error> {
    let now = app.now();
    let order = VaultOrder {
        id: OrderId::random(&*app.ids),
        project_id: project.clone(),
        user_id: caller.user_id.clone(),
        kind: request.kind(),
        vault_id,
        request: request.to_json()?,
        status: OrderStatus::Waiting,
        created_at: now,
        decided_at: None,
    };
    audit::made("order", &order.id);
    let mut tx = app.db.begin().await?;
    carry_out::check_open_orders(&mut tx, &request).await?;
    tx.insert_order(&order).await?;
    let done = carry_out::complete(app, &mut tx, order.clone(), &request, now).await?;
    if payment == Payment::Automatic {
        tx.commit().await?;
        return Ok(OrderView {
            order: done,
            request,
        });
    }
    // It was only carried out to see whether that can be done; what waits is the order alone.
    drop(tx);
    let mut tx = app.db.begin().await?;
    carry_out::check_open_orders(&mut tx, &request).await?;
    tx.insert_order(&order).await?;
    tx.commit().await?;
    Ok(OrderView { order, request })
}

/// What became of an order that the project placed; it is carried out by nobody who asks.
pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &OrderId,
) -> Result<OrderView, Error> {
    caller.authorise(Action::VaultsChangeOrder, project)?;
    let mut tx = app.db.read().await?;
    let order = tx.find_order(id).await?;
    let order = order.filter(|order| order.project_id == *project);
    view(order.ok_or(Error::BillNotFound)?)
}

/// Orders of one project or of all, newest first, and how many there are. For administrators.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: Option<&ProjectId>,
    status: Option<OrderStatus>,
    page: &Page,
) -> Result<(Vec<OrderView>, u64), Error> {
    caller.authorise_installation(Action::OrdersList)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_orders(project, status, page).await?;
    let views: Result<Vec<_>, _> = listed.rows.into_iter().map(view).collect();
    Ok((views?, listed.total))
}

/// Carries the order out; the rules are checked again.
pub async fn approve(app: &App, caller: &Caller, id: &OrderId) -> Result<OrderView, Error> {
    caller.authorise_installation(Action::OrdersDecide)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let OrderView { order, request } = find(&mut tx, id).await?;
    if let OrderRequest::Create(new) = &request {
        vaults::check_new(new, &app.settings)?;
    }
    let order = carry_out::complete(app, &mut tx, order, &request, now).await?;
    tx.commit().await?;
    Ok(OrderView { order, request })
}

pub async fn reject(app: &App, caller: &Caller, id: &OrderId) -> Result<OrderView, Error> {
    caller.authorise_installation(Action::OrdersDecide)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let OrderView { mut order, request } = find(&mut tx, id).await?;
    if !tx.decide_order(id, OrderStatus::Rejected, now).await? {
        return Err(Error::OrderDecided {
            order_id: id.clone(),
        });
    }
    order.status = OrderStatus::Rejected;
    order.decided_at = Some(now);
    tx.commit().await?;
    Ok(OrderView { order, request })
}

async fn find(tx: &mut Tx, id: &OrderId) -> Result<OrderView, Error> {
    let order = tx.find_order(id).await?;
    view(order.ok_or_else(|| Error::OrderNotFound {
        order_id: id.clone(),
    })?)
}

fn view(order: VaultOrder) -> Result<OrderView, Error> {
    let request = OrderRequest::from_json(order.kind, &order.request)?;
    Ok(OrderView { order, request })
}
