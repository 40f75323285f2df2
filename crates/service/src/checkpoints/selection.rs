//! Which resources of a vault a checkpoint is asked to back up.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_db::{JsonText, Tx, Vault, VaultResource};
use strongroom_types::{ProtectType, ResourceId, VaultStatus, VolumeId};

use super::Selection;
use crate::Error;
use crate::resources::NewResource;

/// The selected rows of a vault that can take backups, with the disks that this run leaves out added to those
/// that the vault leaves out.
pub(super) async fn select(
    tx: &mut Tx,
    vault: &Vault,
    selection: &Selection,
) -> Result<Vec<VaultResource>, Error> {
    if vault.protect_type != ProtectType::Backup {
        return Err(Error::VaultCannotBackUp);
    }
    match vault.status {
        VaultStatus::Available | VaultStatus::Lock => {}
        VaultStatus::Frozen | VaultStatus::Deleting | VaultStatus::Error => {
            return Err(Error::VaultStateForbidsBackup {
                status: vault.status,
            });
        }
    }
    let rows = tx
        .resources_of_vaults(std::slice::from_ref(&vault.id))
        .await?;
    let selected = match selection {
        Selection::WholeVault => rows,
        Selection::AutoProtected => rows.into_iter().filter(|row| row.auto_protect).collect(),
        Selection::Resources(ids) => pick(rows, ids.iter().map(|id| (id, None)))?,
        Selection::Details(list) => pick(rows, list.iter().map(|r| (&r.id, Some(r))))?,
    };
    if selected.is_empty() {
        return Err(Error::NothingToBackUp {
            reason: "no resource is selected".to_owned(),
        });
    }
    Ok(selected)
}

fn pick<'a>(
    rows: Vec<VaultResource>,
    wanted: impl Iterator<Item = (&'a ResourceId, Option<&'a NewResource>)>,
) -> Result<Vec<VaultResource>, Error> {
    let mut rows: BTreeMap<_, _> = rows
        .into_iter()
        .map(|row| (row.resource_id.clone(), row))
        .collect();
    let mut seen = BTreeSet::new();
    let mut picked = Vec::new();
    for (id, details) in wanted {
        if !seen.insert(id) {
            return Err(Error::DuplicateResource {
                resource_id: id.clone(),
            });
        }
        let mut row = rows.remove(id).ok_or_else(|| Error::ResourceNotInVault {
            resource_id: id.clone(),
        })?;
        if let Some(details) = details {
            if details.resource_type != row.resource_type {
                return Err(Error::WrongResourceType {
                    resource_id: id.clone(),
                    resource_type: details.resource_type,
                });
            }
            narrow(&mut row, details);
        }
        picked.push(row);
    }
    Ok(picked)
}

/// Leaves out for one run what `details` leaves out, on top of what the vault leaves out.
fn narrow(row: &mut VaultResource, details: &NewResource) {
    if let Some(excluded) = &details.exclude_volumes {
        let mut all: Vec<VolumeId> = row
            .exclude_volumes
            .take()
            .map(|list| list.0)
            .unwrap_or_default();
        all.extend(excluded.iter().cloned());
        row.exclude_volumes = Some(JsonText(all));
    }
    if let Some(included) = &details.include_volumes {
        let mut kept = included.clone();
        if let Some(by_vault) = &row.include_volumes {
            kept.retain(|volume| by_vault.0.iter().any(|other| other.id == volume.id));
        }
        row.include_volumes = Some(JsonText(kept));
    }
}
