//! What an order does once it is completed.

use strongroom_db::{Tx, Vault, VaultOrder};
use strongroom_types::{ChargingMode, GIB, OrderStatus, PeriodType, ProjectId, Timestamp, VaultId};

use super::{ChargeChange, OrderRequest, Resize};
use crate::vaults::{self, Birth, Charging, NewVault, rules};
use crate::{App, Error, notices};

/// A vault that exists waits for one order at a time.
pub(super) async fn check_open_orders(tx: &mut Tx, request: &OrderRequest) -> Result<(), Error> {
    let vaults = match request {
        OrderRequest::Create(_) => &[][..],
        OrderRequest::ChargeMode(change) => &change.vault_ids,
        OrderRequest::Resize(resize) => std::slice::from_ref(&resize.vault_id),
    };
    for vault in vaults {
        if tx.any_order_waits(vault).await? {
            return Err(Error::OrderOpen);
        }
    }
    Ok(())
}

/// Does what a waiting order asks for; a term starts now.
pub(super) async fn complete(
    app: &App,
    tx: &mut Tx,
    order: VaultOrder,
    request: &OrderRequest,
    now: Timestamp,
) -> Result<VaultOrder, Error> {
    if !tx
        .decide_order(&order.id, OrderStatus::Completed, now)
        .await?
    {
        return Err(Error::OrderDecided { order_id: order.id });
    }
    match request {
        OrderRequest::Create(new) => create(app, tx, &order, new, now).await?,
        OrderRequest::ChargeMode(change) => charge(tx, &order, change, now).await?,
        OrderRequest::Resize(resize) => change_size(app, tx, &order, resize, now).await?,
    }
    Ok(VaultOrder {
        status: OrderStatus::Completed,
        decided_at: Some(now),
        ..order
    })
}

async fn create(
    app: &App,
    tx: &mut Tx,
    order: &VaultOrder,
    new: &NewVault,
    now: Timestamp,
) -> Result<(), Error> {
    let term_end = match new.charging {
        Charging::PostPaid => now,
        Charging::PrePaid {
            period_type,
            period_num,
            ..
        } => term_end(now, period_type, period_num),
    };
    let birth = Birth {
        vault_id: order.vault_id.clone(),
        project_id: order.project_id.clone(),
        user_id: order.user_id.clone(),
        order: Some((order.id.clone(), term_end)),
        now,
    };
    vaults::build(app, tx, birth, new).await?;
    Ok(())
}

async fn charge(
    tx: &mut Tx,
    order: &VaultOrder,
    change: &ChargeChange,
    now: Timestamp,
) -> Result<(), Error> {
    for id in &change.vault_ids {
        let mut vault = lock(tx, &order.project_id, id).await?;
        let refuse = |why: &str| {
            Err(Error::VaultNotChangeable {
                message: format!("the vault {id} {why}"),
            })
        };
        if vault.charging_mode == ChargingMode::PrePaid {
            return refuse("is prepaid already");
        }
        if vault.auto_expand {
            return refuse("grows by itself, which prepaid vaults cannot: switch auto_expand off");
        }
        vault.charging_mode = ChargingMode::PrePaid;
        vault.order_id = Some(order.id.clone());
        vault.term_ends_at = Some(term_end(now, change.period_type, change.period_num));
        if !tx.update_vault_term(&vault).await? {
            return Err(Error::broken(format!("vault {id} changed under its lock")));
        }
    }
    Ok(())
}

async fn change_size(
    app: &App,
    tx: &mut Tx,
    order: &VaultOrder,
    resize: &Resize,
    now: Timestamp,
) -> Result<(), Error> {
    let mut vault = lock(tx, &order.project_id, &resize.vault_id).await?;
    let refuse = |message: &str| {
        Err(Error::VaultNotChangeable {
            message: message.to_owned(),
        })
    };
    rules::check_new_size(resize.size_gb)?;
    if vault.charging_mode != ChargingMode::PrePaid {
        return refuse("the size of a pay-per-use vault is changed without an order");
    }
    if vault.size_gb == resize.size_gb {
        return refuse("the vault has this size already");
    }
    if resize.size_gb * GIB < vault.used_bytes {
        return refuse("the vault cannot become smaller than what its backups take");
    }
    let before = vault.clone();
    vault.size_gb = resize.size_gb;
    vault.updated_at = now;
    vaults::save(tx, &vault).await?;
    notices::tell_of_use(app, tx, &before, &vault, now).await
}

async fn lock(tx: &mut Tx, project: &ProjectId, id: &VaultId) -> Result<Vault, Error> {
    let vault = vaults::owned(tx.lock_vault(id).await?, project, id)?;
    rules::check_changeable(&vault)?;
    Ok(vault)
}

fn term_end(start: Timestamp, period_type: PeriodType, periods: u64) -> Timestamp {
    match period_type {
        PeriodType::Month => start.plus_months(periods),
        PeriodType::Year => start.plus_months(12 * periods),
    }
}
