//! Vaults that take in by themselves what nobody protects.

use strongroom_db::{Tx, Vault};
use strongroom_types::{
    ObjectType, ProtectType, ResourceId, ResourceType, Timestamp, VaultId, VaultStatus,
};

use crate::resources::{self, NewResource};
use crate::stock::Stock;
use crate::{App, Error};

/// Taken in by one look at one vault, at most; the next one goes on.
const BOUND_MAX: u64 = 256;

/// Has every vault with `auto_bind` take in what it may; answers how many resources that were.
pub async fn bind_unprotected(app: &App) -> Result<u64, Error> {
    let mut tx = app.db.read().await?;
    let vaults = tx.auto_bind_vaults().await?;
    drop(tx);
    let mut bound = 0;
    for id in vaults {
        bound += bind_for(app, &id).await?;
    }
    Ok(bound)
}

/// The same for one vault, which may not have `auto_bind` or be gone.
pub(crate) async fn bind_for(app: &App, id: &VaultId) -> Result<u64, Error> {
    let mut tx = app.db.begin().await?;
    let Some(vault) = tx.lock_vault(id).await? else {
        return Ok(0);
    };
    let takes = matches!(vault.status, VaultStatus::Available | VaultStatus::Lock);
    if !vault.auto_bind || !takes || vault.protect_type != ProtectType::Backup {
        return Ok(0);
    }
    let bound = fill(app, &mut tx, &vault, app.now()).await?;
    tx.commit().await?;
    Ok(bound)
}

/// Takes in one after the other, the oldest first, as long as their sizes fit into the vault's.
async fn fill(app: &App, tx: &mut Tx, vault: &Vault, now: Timestamp) -> Result<u64, Error> {
    let resource_type = match vault.object_type {
        ObjectType::Server => ResourceType::Server,
        ObjectType::Disk => ResourceType::Volume,
        ObjectType::Turbo
        | ObjectType::Workspace
        | ObjectType::Vmware
        | ObjectType::Rds
        | ObjectType::File => return Ok(0),
    };
    let rules = vault.bind_rules.as_ref().map_or(&[][..], |rules| &rules.0);
    let candidates = tx
        .unprotected_resources(&vault.project_id, resource_type, rules, BOUND_MAX)
        .await?;
    let held = tx
        .resources_of_vaults(std::slice::from_ref(&vault.id))
        .await?;
    let mut allocated: u64 = held.iter().map(|row| row.size_gb).sum();
    let mut bound = 0;
    for id in candidates {
        let size_gb = size_of(tx, vault, &id, resource_type).await?;
        if allocated + size_gb > vault.size_gb {
            continue;
        }
        match resources::bind(app, tx, vault, &[unnamed(id, resource_type)], now).await {
            Ok(()) => {
                allocated += size_gb;
                bound += 1;
            }
            // Another vault was faster, or the resource is gone.
            Err(Error::ResourceInOtherVault { .. } | Error::ResourceNotFound { .. }) => {}
            Err(Error::TooManyResources { .. }) => break,
            Err(other) => return Err(other),
        }
    }
    Ok(bound)
}

async fn size_of(
    tx: &mut Tx,
    vault: &Vault,
    id: &ResourceId,
    resource_type: ResourceType,
) -> Result<u64, Error> {
    let stock = Stock::load(tx, &vault.project_id, [(id, resource_type)]).await?;
    Ok(match resource_type {
        ResourceType::Server => stock.size_gb_of(&id.clone().into()),
        _ => stock
            .volume(id)
            .map_or(0, |volume| strongroom_types::gib_ceil(volume.size_bytes)),
    })
}

fn unnamed(id: ResourceId, resource_type: ResourceType) -> NewResource {
    NewResource {
        id,
        resource_type,
        name: None,
        exclude_volumes: None,
        include_volumes: None,
    }
}
