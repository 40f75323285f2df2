//! Listing again what repositories hold: after the database was lost, and for what another installation wrote.
//!
//! The points say everything; see [`crate::Provenance`]. Each backup is listed in a transaction of its own, and one that
//! is listed already is left as it is: whoever is killed half-way runs again.

mod inventory;
mod rows;
mod usage;

use std::collections::BTreeMap;

use strongroom_db::{Backup, Checkpoint, JsonText, Page, Project, Tx, Vault, VaultResource};
use strongroom_types::{
    BackupId, CheckpointStatus, DomainId, ProjectId, ProtectStatus, ProtectType, ResourceType,
    Timestamp, Trouble, UserId,
};

use crate::{App, Error, Provenance, backups};

pub use usage::{ResourceUsage, VaultToMeasure, publish_usage, vaults_to_measure};

/// A point of a repository, and whether it can be restored.
#[derive(Debug, Clone)]
pub struct FoundPoint {
    pub point_id: String,
    pub size_bytes: u64,
    pub stored_bytes: u64,
    /// Some of what it needs is damaged or gone.
    pub is_damaged: bool,
    pub provenance: Provenance,
}

/// A backup with the points of its disks.
#[derive(Debug, Clone)]
pub struct FoundBackup {
    pub id: BackupId,
    /// At least one.
    pub disks: Vec<FoundPoint>,
}

/// What became of a backup that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// It can be restored.
    Listed,
    /// It is listed as an error: disks are missing or damaged. Those of its disks that are sound can be restored.
    ListedBroken,
    /// It was listed as damaged before and is sound now.
    Mended,
    Known,
    /// Another vault has a backup or a checkpoint of that id.
    Elsewhere,
}

/// Who finds projects that the database does not know.
#[derive(Debug, Clone)]
pub struct Recoverer {
    pub domain_id: DomainId,
    pub user_id: UserId,
}

/// The installation's first user, who answers for what has no owner any more; nothing before the first start.
pub async fn recoverer(app: &App) -> Result<Option<Recoverer>, Error> {
    let mut tx = app.db.read().await?;
    let first = tx.list_accounts(&Page::first(1)).await?.into_iter().next();
    Ok(first.map(|account| Recoverer {
        domain_id: account.domain_id,
        user_id: account.id,
    }))
}

/// Puts points together that are disks of one backup, the oldest backup first.
pub fn group(points: Vec<FoundPoint>) -> Vec<FoundBackup> {
    let mut groups: BTreeMap<(Timestamp, BackupId), Vec<FoundPoint>> = BTreeMap::new();
    for point in points {
        let key = (
            point.provenance.backup.created_at,
            point.provenance.top_id().clone(),
        );
        groups.entry(key).or_default().push(point);
    }
    let backups = groups.into_iter();
    backups
        .map(|((_, id), disks)| FoundBackup { id, disks })
        .collect()
}

/// Makes the project unless it is there. Answers its name, which differs from the one wished for when that is taken.
pub async fn restore_project(
    app: &App,
    by: &Recoverer,
    id: &ProjectId,
    name: &str,
) -> Result<String, Error> {
    let mut tx = app.db.begin().await?;
    if let Some(project) = tx.find_project(id).await? {
        return Ok(project.name);
    }
    let taken = tx.find_project_by_name(&by.domain_id, name).await?;
    let project = Project {
        id: id.clone(),
        domain_id: by.domain_id.clone(),
        name: match taken {
            None => name.to_owned(),
            Some(_) => format!("{name}-{}", &id.as_str()[..8]),
        },
        created_at: app.now(),
    };
    tx.insert_project(&project).await?;
    tx.commit().await?;
    Ok(project.name)
}

/// Lists a backup as it was: with its project's vault and policies, checkpoint, resource and place in the inventory. The
/// newest one of a vault is to come first, because it knows best what the vault was like.
pub async fn list_again(
    app: &App,
    by: &Recoverer,
    project: &ProjectId,
    found: &FoundBackup,
) -> Result<Listing, Error> {
    let mut tx = app.db.begin().await?;
    let note = &found.disks[0].provenance;
    let vault = match tx.lock_vault(&note.vault_id).await? {
        Some(vault) if vault.project_id == *project => vault,
        Some(_) => return Ok(Listing::Elsewhere),
        None => {
            let vault = rows::vault(project, by, note, app.now());
            tx.insert_vault(&vault).await?;
            restore_policies(&mut tx, &vault, note, app.now()).await?;
            vault
        }
    };
    inventory::restore(&mut tx, project, found, app.now()).await?;
    restore_resource(&mut tx, &vault, found).await?;
    let listing = list(app, &mut tx, &vault, found).await?;
    tx.commit().await?;
    Ok(listing)
}

/// The policies that the vault had, so that what they made goes on as it would have gone.
async fn restore_policies(
    tx: &mut Tx,
    vault: &Vault,
    note: &Provenance,
    now: Timestamp,
) -> Result<(), Error> {
    for policy in &note.policies {
        match tx.find_policy(&policy.id).await? {
            None => {
                let row = policy.policy(&vault.project_id, now);
                tx.insert_policy(&row).await?;
            }
            Some(known) if known.project_id != vault.project_id => continue,
            Some(_) => {}
        }
        let applied = policy.applied_to(&vault.id, now);
        tx.insert_vault_policy(&applied).await?;
    }
    Ok(())
}

/// Lists a backup in a vault, unless it is listed.
pub(crate) async fn list(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    found: &FoundBackup,
) -> Result<Listing, Error> {
    let now = app.now();
    let (top, children) = rows::backups(vault, found, now);
    if let Some(known) = tx.find_backup(&found.id).await? {
        if known.vault_id != vault.id {
            return Ok(Listing::Elsewhere);
        }
        return mend(tx, &known, &top, &children, now).await;
    }
    let note = &found.disks[0].provenance;
    match tx.find_checkpoint(&note.checkpoint_id).await? {
        Some(checkpoint) if checkpoint.vault_id != vault.id => return Ok(Listing::Elsewhere),
        Some(_) => {}
        None => tx.insert_checkpoint(&checkpoint(vault, note)).await?,
    }
    tx.insert_backup(&top).await?;
    let machine = note
        .server
        .as_ref()
        .and_then(|server| server.machine.as_ref());
    if let Some(machine) = machine {
        tx.insert_backup_machine(&top.id, machine).await?;
    }
    for child in &children {
        tx.insert_backup(child).await?;
    }
    backups::refresh_checkpoint(tx, &note.checkpoint_id).await?;
    Ok(match top.trouble {
        None => Listing::Listed,
        Some(_) => Listing::ListedBroken,
    })
}

/// A backup that was listed as damaged may have been repaired since; any other is left alone.
async fn mend(
    tx: &mut Tx,
    known: &Backup,
    top: &Backup,
    children: &[Backup],
    now: Timestamp,
) -> Result<Listing, Error> {
    let was_damaged = known.trouble == Some(Trouble::DataDamaged);
    if !was_damaged || top.trouble.is_some() || !tx.mend_backup(&known.id, now).await? {
        return Ok(Listing::Known);
    }
    for child in children {
        tx.mend_backup(&child.id, now).await?;
    }
    backups::refresh_checkpoint(tx, &known.checkpoint_id).await?;
    Ok(Listing::Mended)
}

fn checkpoint(vault: &Vault, note: &Provenance) -> Checkpoint {
    Checkpoint {
        id: note.checkpoint_id.clone(),
        project_id: vault.project_id.clone(),
        vault_id: vault.id.clone(),
        name: note.checkpoint.name.clone(),
        description: note.checkpoint.description.clone(),
        status: CheckpointStatus::Available,
        retention_days: note.checkpoint.retention_days,
        skipped_resources: JsonText(Vec::new()),
        created_at: note.checkpoint.created_at,
    }
}

/// The vault protects again what it protected, unless another one does by now.
async fn restore_resource(tx: &mut Tx, vault: &Vault, found: &FoundBackup) -> Result<(), Error> {
    if vault.protect_type != ProtectType::Backup {
        return Ok(());
    }
    let (top, _) = rows::backups(vault, found, vault.created_at);
    if tx.find_vault_resource(&top.resource_id).await?.is_some() {
        return Ok(());
    }
    let is_there = match top.resource_type {
        ResourceType::Server => tx
            .find_server(&top.resource_id.clone().into())
            .await?
            .is_some(),
        _ => tx
            .find_volume(&top.resource_id.clone().into())
            .await?
            .is_some(),
    };
    let server = found.disks[0].provenance.server.as_ref();
    let excluded = server.map(|server| server.exclude_volumes.clone());
    let resource = VaultResource {
        resource_id: top.resource_id,
        vault_id: vault.id.clone(),
        resource_type: top.resource_type,
        name: top.resource_name,
        size_gb: top.resource_size_gb,
        protect_status: if is_there {
            ProtectStatus::Available
        } else {
            ProtectStatus::Deleted
        },
        auto_protect: true,
        exclude_volumes: excluded.filter(|list| !list.is_empty()).map(JsonText),
        include_volumes: None,
        backup_bytes: 0,
        backup_count: 0,
        created_at: vault.created_at,
    };
    tx.insert_vault_resource(&resource).await?;
    Ok(())
}
