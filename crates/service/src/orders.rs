//! Prepaid vaults as term reservations: no money exists here, so an order is completed at price zero, at once
//! when the request says so and otherwise when an administrator approves it.

use strongroom_db::{Page, Tx, VaultOrder};
use strongroom_types::{OrderId, OrderStatus, PeriodType, ProjectId, Timestamp, VaultId};

use crate::vaults::{self, Birth, Charging, NewVault};
use crate::{Action, App, Caller, Error, audit};

#[derive(Debug, Clone)]
pub struct OrderView {
    pub order: VaultOrder,
    /// What the order asked for.
    pub request: NewVault,
}

/// Records the order of a request that passed [`vaults::check_new`], and completes it if it pays itself.
pub(crate) async fn place(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewVault,
) -> Result<OrderView, Error> {
    let pays_itself = matches!(new.charging, Charging::PrePaid { auto_pay: true, .. });
    let now = app.now();
    let order = VaultOrder {
        id: OrderId::random(&*app.ids),
        project_id: project.clone(),
        user_id: caller.user_id.clone(),
        vault_id: VaultId::random(&*app.ids),
        request: serde_json::to_string(&new).map_err(|error| Error::Internal(Box::new(error)))?,
        status: OrderStatus::Waiting,
        created_at: now,
        decided_at: None,
    };
    audit::made("order", &order.id);
    let mut tx = app.db.begin().await?;
    tx.insert_order(&order).await?;
    let order = complete(app, &mut tx, order, &new, now).await?;
    if pays_itself {
        tx.commit().await?;
        return Ok(OrderView {
            order,
            request: new,
        });
    }
    // The vault was only built to see whether the order can be fulfilled; what waits is the order alone.
    drop(tx);
    let order = VaultOrder {
        status: OrderStatus::Waiting,
        decided_at: None,
        ..order
    };
    let mut tx = app.db.begin().await?;
    tx.insert_order(&order).await?;
    tx.commit().await?;
    Ok(OrderView {
        order,
        request: new,
    })
}

/// Creates the vault of a waiting order, whose term starts now.
async fn complete(
    app: &App,
    tx: &mut Tx,
    order: VaultOrder,
    new: &NewVault,
    now: Timestamp,
) -> Result<VaultOrder, Error> {
    if !tx
        .decide_order(&order.id, OrderStatus::Completed, now)
        .await?
    {
        return Err(Error::OrderDecided { order_id: order.id });
    }
    let birth = Birth {
        vault_id: order.vault_id.clone(),
        project_id: order.project_id.clone(),
        user_id: order.user_id.clone(),
        order: Some((order.id.clone(), term_end(new.charging, now))),
        now,
    };
    vaults::build(app, tx, birth, new).await?;
    Ok(VaultOrder {
        status: OrderStatus::Completed,
        decided_at: Some(now),
        ..order
    })
}

fn term_end(charging: Charging, start: Timestamp) -> Timestamp {
    match charging {
        Charging::PostPaid => start,
        Charging::PrePaid {
            period_type: PeriodType::Month,
            period_num,
            ..
        } => start.plus_months(period_num),
        Charging::PrePaid {
            period_type: PeriodType::Year,
            period_num,
            ..
        } => start.plus_months(12 * period_num),
    }
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

/// Creates the vault with its resources; the rules are checked again.
pub async fn approve(app: &App, caller: &Caller, id: &OrderId) -> Result<OrderView, Error> {
    caller.authorise_installation(Action::OrdersDecide)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let OrderView { order, request } = find(&mut tx, id).await?;
    vaults::check_new(&request, &app.settings)?;
    let order = complete(app, &mut tx, order, &request, now).await?;
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
    let request =
        serde_json::from_str(&order.request).map_err(|error| Error::Internal(Box::new(error)))?;
    Ok(OrderView { order, request })
}
