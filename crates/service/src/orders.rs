//! Prepaid vaults as term reservations: no money exists here, so an order is completed at price zero, at once
//! when the request says so and otherwise when an administrator approves it.

use strongroom_db::{Page, VaultOrder};
use strongroom_types::{OrderId, OrderStatus, ProjectId};

use crate::vaults::NewVault;
use crate::{App, Caller, Error};

#[derive(Debug, Clone)]
pub struct OrderView {
    pub order: VaultOrder,
    /// What the order asked for.
    pub request: NewVault,
}

/// Orders of every project, newest first, and how many there are in all. For administrators.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: Option<&ProjectId>,
    status: Option<OrderStatus>,
    page: &Page,
) -> Result<(Vec<OrderView>, u64), Error> {
    todo!()
}

/// Creates the vault with its resources; the rules are checked again.
pub async fn approve(app: &App, caller: &Caller, id: &OrderId) -> Result<OrderView, Error> {
    todo!()
}

pub async fn reject(app: &App, caller: &Caller, id: &OrderId) -> Result<OrderView, Error> {
    todo!()
}
