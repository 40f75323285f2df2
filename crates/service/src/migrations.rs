//! Moving resources with their backups to another vault.

use std::collections::BTreeSet;

use strongroom_db::{OperationExtra, Tx, Vault, VaultResource};
use strongroom_types::{
    ChargingMode, GIB, JobKind, ProjectId, ProtectStatus, ResourceId, Timestamp, VaultId,
    VaultStatus,
};

use crate::vaults::rules;
use crate::work::{self, Subject};
use crate::{Action, App, Caller, Error, vaults};

/// Answers at once with the ids; a job each measures both vaults and then moves the resource, so that neither ever shows a
/// use that is not its own.
pub async fn migrate(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    source: &VaultId,
    destination: &VaultId,
    resource_ids: Vec<ResourceId>,
) -> Result<Vec<ResourceId>, Error> {
    caller.authorise(Action::VaultsMigrateResources, project)?;
    if source == destination {
        return Err(Error::invalid(
            "destination_vault_id names the vault that the resources are in.",
        ));
    }
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let (from, to) = lock_both(&mut tx, source, destination).await?;
    let from = vaults::owned(from, project, source)?;
    let to = vaults::owned(to, project, destination)?;
    check_vaults(&from, &to)?;
    let mut rows = Vec::with_capacity(resource_ids.len());
    let mut seen = BTreeSet::new();
    for id in &resource_ids {
        if !seen.insert(id) {
            return Err(Error::DuplicateResource {
                resource_id: id.clone(),
            });
        }
        rows.push(find_movable(&mut tx, &from, id).await?);
    }
    check_room(app, &mut tx, &to, &rows).await?;
    for row in rows {
        start(app, &mut tx, &from, &to, row, &caller.request_id, now).await?;
    }
    tx.commit().await?;
    app.wake.notify_one();
    Ok(resource_ids)
}

/// In the order of their ids, as everybody who locks several.
pub(crate) async fn lock_both(
    tx: &mut Tx,
    one: &VaultId,
    other: &VaultId,
) -> Result<(Option<Vault>, Option<Vault>), Error> {
    if one < other {
        let one = tx.lock_vault(one).await?;
        Ok((one, tx.lock_vault(other).await?))
    } else {
        let other = tx.lock_vault(other).await?;
        Ok((tx.lock_vault(one).await?, other))
    }
}

/// What the two vaults must be, at the request and again when the job is done.
pub(crate) fn check_vaults(from: &Vault, to: &Vault) -> Result<(), Error> {
    for vault in [from, to] {
        match vault.status {
            VaultStatus::Available | VaultStatus::Lock => {}
            VaultStatus::Frozen | VaultStatus::Deleting | VaultStatus::Error => {
                return Err(Error::VaultState {
                    status: vault.status,
                });
            }
        }
    }
    if from.locked {
        return Err(Error::VaultLocked);
    }
    if (from.object_type, from.protect_type) != (to.object_type, to.protect_type) {
        return Err(Error::VaultsDiffer);
    }
    Ok(())
}

/// Whether a vault can hold so much: what can grow or be overfilled always can.
pub(crate) fn has_room(vault: &Vault, used_bytes: u64) -> bool {
    let overfills = vault.demand_billing && vault.charging_mode == ChargingMode::PrePaid;
    used_bytes <= vault.size_gb * GIB || overfills || rules::may_expand(vault, used_bytes)
}

async fn find_movable(tx: &mut Tx, vault: &Vault, id: &ResourceId) -> Result<VaultResource, Error> {
    let row = tx.find_vault_resource(id).await?;
    let row =
        row.filter(|row| row.vault_id == vault.id)
            .ok_or_else(|| Error::ResourceNotInVault {
                resource_id: id.clone(),
            })?;
    match row.protect_status {
        ProtectStatus::Removing => {
            return Err(Error::ResourceBeingRemoved {
                resource_id: id.clone(),
            });
        }
        ProtectStatus::Protecting | ProtectStatus::Restoring | ProtectStatus::Migrating => {
            return Err(Error::VaultBusy);
        }
        ProtectStatus::Available | ProtectStatus::Error | ProtectStatus::Deleted => {}
    }
    let backups = tx.backups_of_vault(&vault.id, Some(id)).await?;
    let busy = backups.iter().any(|backup| {
        let status = backup.status;
        status.is_protecting() || status.is_restoring() || status.is_deleting()
    });
    if busy { Err(Error::VaultBusy) } else { Ok(row) }
}

/// What resources take adds up to no less than what they will take together.
async fn check_room(
    app: &App,
    tx: &mut Tx,
    to: &Vault,
    rows: &[VaultResource],
) -> Result<(), Error> {
    let present = tx
        .resources_of_vaults(std::slice::from_ref(&to.id))
        .await?
        .len();
    let max = app.settings.resources_per_vault_max;
    if (present + rows.len()) as u64 > max {
        return Err(Error::TooManyResources { max });
    }
    let added: u64 = rows.iter().map(|row| row.backup_bytes).sum();
    if has_room(to, to.used_bytes.saturating_add(added)) {
        Ok(())
    } else {
        Err(Error::VaultFull)
    }
}

async fn start(
    app: &App,
    tx: &mut Tx,
    from: &Vault,
    to: &Vault,
    row: VaultResource,
    request_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let id = &row.resource_id;
    let was = [row.protect_status];
    if !tx
        .move_vault_resource(id, &was, ProtectStatus::Migrating)
        .await?
    {
        return Err(Error::VaultBusy);
    }
    let extra = OperationExtra::MigrateResource {
        destination_vault_id: to.id.clone(),
        destination_vault_name: to.name.clone(),
        was: row.protect_status,
    };
    let subject = Subject {
        id,
        resource_type: row.resource_type,
        name: &row.name,
    };
    let log = work::new_log(app, from, Some(&subject), extra, request_id, now);
    work::begin(
        app,
        tx,
        JobKind::MigrateResource,
        log.id.as_str(),
        &log,
        now,
    )
    .await
}
