//! Which resources a vault protects.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use strongroom_db::{IncludedVolume, JsonText, OperationExtra, Tx, Vault, VaultResource};
use strongroom_types::{
    JobKind, ObjectType, ProjectId, ProtectStatus, ProtectType, ResourceId, ResourceType,
    Timestamp, VaultId, VaultStatus, VolumeId,
};

use crate::stock::{Stock, chooses};
use crate::work::{self, Subject};
use crate::{Action, App, Caller, Error, backups, sharing, vaults};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewResource {
    pub id: ResourceId,
    pub resource_type: ResourceType,
    /// Shown in the vault instead of the inventory's name.
    pub name: Option<String>,
    pub exclude_volumes: Option<Vec<VolumeId>>,
    pub include_volumes: Option<Vec<IncludedVolume>>,
}

/// Adds resources; one that is in this vault already gets the new exclusions. Answers their ids.
pub async fn add(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    resources: Vec<NewResource>,
) -> Result<Vec<ResourceId>, Error> {
    caller.authorise(Action::VaultsAddResources, project)?;
    let mut tx = app.db.begin().await?;
    let vault = vaults::owned(tx.lock_vault(vault_id).await?, project, vault_id)?;
    check_vault_state(&vault)?;
    bind(app, &mut tx, &vault, &resources, app.now()).await?;
    tx.commit().await?;
    Ok(resources.into_iter().map(|resource| resource.id).collect())
}

fn check_vault_state(vault: &Vault) -> Result<(), Error> {
    match vault.status {
        VaultStatus::Available | VaultStatus::Lock => Ok(()),
        VaultStatus::Frozen | VaultStatus::Deleting | VaultStatus::Error => {
            Err(Error::VaultState {
                status: vault.status,
            })
        }
    }
}

/// Puts resources into a vault that this transaction has locked or just inserted.
pub(crate) async fn bind(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    resources: &[NewResource],
    now: Timestamp,
) -> Result<(), Error> {
    if resources.is_empty() {
        return Ok(());
    }
    check_kind(vault, resources)?;
    let named = resources.iter().map(|r| (&r.id, r.resource_type));
    let stock = Stock::load(tx, &vault.project_id, named).await?;
    let rows = resources
        .iter()
        .map(|resource| new_row(&stock, vault, resource, now))
        .collect::<Result<Vec<_>, _>>()?;
    stock.lock_volumes(tx).await?;
    let protected = protected_around(tx, &stock, resources).await?;
    for row in &rows {
        check_free(&stock, &protected, row)?;
    }
    let present = tx
        .resources_of_vaults(std::slice::from_ref(&vault.id))
        .await?
        .len();
    let added = rows
        .iter()
        .filter(|row| !protected.contains_key(&row.resource_id))
        .count();
    let max = app.settings.resources_per_vault_max;
    if (present + added) as u64 > max {
        return Err(Error::TooManyResources { max });
    }
    for row in rows {
        if protected.contains_key(&row.resource_id) {
            tx.update_vault_resource(&row).await?;
            continue;
        }
        tx.insert_vault_resource(&row)
            .await
            .map_err(|error| match error {
                strongroom_db::Error::Conflict(_) => Error::ResourceInOtherVault {
                    resource_id: row.resource_id.clone(),
                },
                other => other.into(),
            })?;
    }
    Ok(())
}

fn check_kind(vault: &Vault, resources: &[NewResource]) -> Result<(), Error> {
    if vault.protect_type != ProtectType::Backup {
        return Err(Error::VaultTakesNoResources);
    }
    let taken = match vault.object_type {
        ObjectType::Server => Some(ResourceType::Server),
        ObjectType::Disk => Some(ResourceType::Volume),
        ObjectType::Turbo
        | ObjectType::Workspace
        | ObjectType::Vmware
        | ObjectType::Rds
        | ObjectType::File => None,
    };
    let mut seen = BTreeSet::new();
    for resource in resources {
        if taken != Some(resource.resource_type) {
            return Err(Error::WrongResourceType {
                resource_id: resource.id.clone(),
                resource_type: resource.resource_type,
            });
        }
        if !seen.insert(&resource.id) {
            return Err(Error::DuplicateResource {
                resource_id: resource.id.clone(),
            });
        }
    }
    Ok(())
}

fn new_row(
    stock: &Stock,
    vault: &Vault,
    new: &NewResource,
    now: Timestamp,
) -> Result<VaultResource, Error> {
    let known = stock.name(&new.id, new.resource_type);
    let known = known.ok_or_else(|| Error::ResourceNotFound {
        resource_id: new.id.clone(),
    })?;
    let given = new.name.as_deref().filter(|name| !name.is_empty());
    let mut row = VaultResource {
        resource_id: new.id.clone(),
        vault_id: vault.id.clone(),
        resource_type: new.resource_type,
        name: given.unwrap_or(known).to_owned(),
        size_gb: 0,
        protect_status: ProtectStatus::Available,
        auto_protect: true,
        exclude_volumes: new.exclude_volumes.clone().map(JsonText),
        include_volumes: new.include_volumes.clone().map(JsonText),
        backup_bytes: 0,
        backup_count: 0,
        created_at: now,
    };
    row.size_gb = stock.allocated_gb(&row);
    Ok(row)
}

/// What vaults protect of these resources, of their disks and of the servers of these.
async fn protected_around(
    tx: &mut Tx,
    stock: &Stock,
    resources: &[NewResource],
) -> Result<BTreeMap<ResourceId, VaultResource>, Error> {
    let mut ids: BTreeSet<ResourceId> = resources.iter().map(|r| r.id.clone()).collect();
    ids.extend(stock.volumes().map(|volume| volume.id.clone().into()));
    ids.extend(stock.servers().map(|server| server.id.clone().into()));
    let rows = tx.vault_resources_by_id(&Vec::from_iter(ids)).await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.resource_id.clone(), row))
        .collect())
}

/// No disk is protected twice: not by two vaults, and not both by itself and with its server.
fn check_free(
    stock: &Stock,
    protected: &BTreeMap<ResourceId, VaultResource>,
    row: &VaultResource,
) -> Result<(), Error> {
    let elsewhere = |resource_id: &ResourceId| {
        Err(Error::ResourceInOtherVault {
            resource_id: resource_id.clone(),
        })
    };
    if let Some(existing) = protected.get(&row.resource_id) {
        if existing.vault_id != row.vault_id {
            return elsewhere(&row.resource_id);
        }
        if existing.protect_status == ProtectStatus::Removing {
            return Err(Error::ResourceBeingRemoved {
                resource_id: row.resource_id.clone(),
            });
        }
    }
    for disk in stock.protected_disks(row) {
        let disk_id = ResourceId::from(disk.volume.id.clone());
        if disk_id != row.resource_id && protected.contains_key(&disk_id) {
            return elsewhere(&disk_id);
        }
        let server = stock.server_of(&disk.volume.id);
        let server = server.and_then(|s| protected.get(&ResourceId::from(s.id.clone())));
        if server.is_some_and(|s| s.resource_id != row.resource_id && chooses(s, &disk.volume.id)) {
            return elsewhere(&disk_id);
        }
    }
    Ok(())
}

/// Whether scheduled backups take a resource in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    Suspend,
    Resume,
}

/// Has automatic backups leave resources out, or take them in again; those that somebody asks for are not concerned.
pub async fn set_schedule(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    resource_ids: Vec<ResourceId>,
    schedule: Schedule,
) -> Result<Vec<ResourceId>, Error> {
    caller.authorise(Action::VaultsSetResources, project)?;
    let mut tx = app.db.begin().await?;
    let vault = vaults::owned(tx.lock_vault(vault_id).await?, project, vault_id)?;
    check_vault_state(&vault)?;
    for id in &resource_ids {
        let row = tx.find_vault_resource(id).await?;
        let row = row.filter(|row| row.vault_id == vault.id);
        let status = row.map(|row| row.protect_status);
        if status == Some(ProtectStatus::Removing) {
            return Err(Error::ResourceBeingRemoved {
                resource_id: id.clone(),
            });
        }
        let auto_protect = schedule == Schedule::Resume;
        if !tx
            .update_vault_resource_auto_protect(&vault.id, id, auto_protect)
            .await?
        {
            return Err(Error::ResourceNotInVault {
                resource_id: id.clone(),
            });
        }
    }
    tx.commit().await?;
    Ok(resource_ids)
}

/// Answers at once; a job deletes each resource's backups in this vault, and then it leaves the vault.
pub async fn remove(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    resource_ids: Vec<ResourceId>,
) -> Result<Vec<ResourceId>, Error> {
    caller.authorise(Action::VaultsRemoveResources, project)?;
    let now = app.now();
    let mut tx = app.db.begin().await?;
    let vault = vaults::owned(tx.lock_vault(vault_id).await?, project, vault_id)?;
    check_vault_state(&vault)?;
    if vault.locked {
        return Err(Error::VaultLocked);
    }
    let mut seen = BTreeSet::new();
    for id in &resource_ids {
        if !seen.insert(id) {
            return Err(Error::DuplicateResource {
                resource_id: id.clone(),
            });
        }
        start_removal(app, &mut tx, &vault, id, &caller.request_id, now).await?;
    }
    tx.commit().await?;
    app.wake.notify_one();
    Ok(resource_ids)
}

async fn start_removal(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    id: &ResourceId,
    request_id: &str,
    now: Timestamp,
) -> Result<(), Error> {
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
    let from = [row.protect_status];
    if !tx
        .move_vault_resource(id, &from, ProtectStatus::Removing)
        .await?
    {
        return Err(Error::VaultBusy);
    }
    let backups = tx.backups_of_vault(&vault.id, Some(id)).await?;
    let by_members = tx
        .count_restores_by_members(&vault.id, Some(id), None)
        .await?;
    if by_members > 0 || backups.iter().any(|backup| backup.status.is_restoring()) {
        return Err(Error::VaultBusy);
    }
    if let Some(error) = backups::in_use_outside(app, tx, vault, Some(id), None).await? {
        return Err(error);
    }
    let members = tx.members_of_backups_in(&vault.id, Some(id)).await?;
    sharing::withdraw(tx, members, now).await?;
    let tops = backups.iter().filter(|backup| backup.parent_id.is_none());
    let extra = OperationExtra::RemoveResources {
        total_count: tops.count() as u64,
        fail_count: 0,
    };
    let subject = Subject {
        id,
        resource_type: row.resource_type,
        name: &row.name,
    };
    let log = work::new_log(app, vault, Some(&subject), extra, request_id, now);
    work::begin(app, tx, JobKind::RemoveResource, log.id.as_str(), &log, now).await
}
