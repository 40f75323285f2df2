//! Why a resource cannot be backed up at this moment.

use std::collections::BTreeSet;

use strongroom_db::{Tx, VaultResource};
use strongroom_types::{ProtectStatus, ResourceId, ResourceType, ServerId, Trouble, VolumeId};

use crate::Error;
use crate::findings::Findings;
use crate::stock::Stock;

/// What else goes on with the disks of the selected resources; read under their locks.
#[derive(Debug)]
pub(super) struct Traffic {
    backed_up: BTreeSet<ResourceId>,
    restored: BTreeSet<VolumeId>,
}

impl Traffic {
    pub(super) async fn read(tx: &mut Tx, stock: &Stock) -> Result<Self, Error> {
        let volumes: Vec<_> = stock.volumes().map(|volume| volume.id.clone()).collect();
        let mut resources: Vec<_> = volumes.iter().cloned().map(ResourceId::from).collect();
        resources.extend(stock.servers().map(|server| server.id.clone().into()));
        let restored = tx.restore_targets_of(&volumes).await?.into_iter();
        Ok(Self {
            backed_up: tx
                .resources_being_backed_up(&resources)
                .await?
                .into_iter()
                .collect(),
            restored: restored.map(|target| target.volume_id).collect(),
        })
    }
}

/// The first thing in the way of backing up `resource`, and its description for the owner.
pub(super) fn obstacle(
    resource: &VaultResource,
    stock: &Stock,
    traffic: &Traffic,
    findings: &Findings,
) -> Option<(Trouble, String)> {
    let because = |trouble, reason: &str| Some((trouble, reason.to_owned()));
    match resource.protect_status {
        ProtectStatus::Removing => {
            return because(Trouble::Removing, "it is being removed from the vault");
        }
        ProtectStatus::Restoring => return because(Trouble::Restoring, "it is being restored"),
        ProtectStatus::Protecting => {
            return because(Trouble::BackupRunning, "it is already being backed up");
        }
        ProtectStatus::Migrating => {
            return because(Trouble::Migrating, "it is being moved to another vault");
        }
        ProtectStatus::Available | ProtectStatus::Error | ProtectStatus::Deleted => {}
    }
    if stock
        .name(&resource.resource_id, resource.resource_type)
        .is_none()
    {
        return match resource.resource_type {
            ResourceType::Server => because(Trouble::ServerMissing, "the server is gone"),
            _ => because(Trouble::DiskMissing, "the disk is gone"),
        };
    }
    let disks = stock.protected_disks(resource);
    if disks.is_empty() {
        return because(
            Trouble::ServerWithoutDisks,
            "no disk of the server is left to back up",
        );
    }
    let ids: Vec<_> = disks.iter().map(|disk| &disk.volume.id).collect();
    if ids.iter().any(|id| traffic.restored.contains(*id)) {
        return because(Trouble::Restoring, "one of its disks is being restored");
    }
    let busy = |id: &ResourceId| traffic.backed_up.contains(id);
    if busy(&resource.resource_id) || ids.iter().any(|id| busy(&ResourceId::from((*id).clone()))) {
        return because(Trouble::BackupRunning, "it is already being backed up");
    }
    let server = ServerId::from(resource.resource_id.clone());
    if resource.resource_type == ResourceType::Server && findings.machine(&server).is_some() {
        let unreadable = ids.into_iter().find_map(|id| unreadable(id, findings));
        let volumes = disks.iter().map(|disk| disk.volume);
        return unreadable.or_else(|| findings.machine_trouble(&server, volumes));
    }
    ids.into_iter()
        .find_map(|id| held(resource, id, findings).or_else(|| unreadable(id, findings)))
}

/// A machine that cannot be asked for its disks' state holds the disk.
fn held(resource: &VaultResource, id: &VolumeId, findings: &Findings) -> Option<(Trouble, String)> {
    if !findings.is_locked(id) {
        return None;
    }
    let (trouble, reason) = match resource.resource_type {
        ResourceType::Server => (
            Trouble::ServerRunning,
            "the server is running and has no way to be backed up live; stop it first",
        ),
        _ => (
            Trouble::DiskInUse,
            "a running machine holds the disk; stop it first",
        ),
    };
    Some((trouble, reason.to_owned()))
}

fn unreadable(id: &VolumeId, findings: &Findings) -> Option<(Trouble, String)> {
    match findings.get(id) {
        Some(Ok(_)) => None,
        Some(Err(error)) => Some((error.trouble(), format!("the disk {id}: {error}"))),
        None => Some((
            Trouble::DiskUnreadable,
            format!("the disk {id} was added while the checkpoint was being created"),
        )),
    }
}
