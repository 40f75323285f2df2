//! Which disk's backup goes onto which volume, and whether it may.

use std::collections::BTreeSet;

use strongroom_db::{Backup, RestoreMapping, Server, Tx, Volume};
use strongroom_types::{BackupStatus, ProjectId, ResourceId, ResourceType, ServerId, VolumeId};

use super::NewRestore;
use crate::Error;
use crate::findings::{AskedMachine, Findings};
use crate::stock::Stock;

#[derive(Debug)]
pub(super) struct Plan {
    /// The server that is restored as a whole.
    server: Option<Server>,
    pairs: Vec<Pair>,
    /// The targets, and the other disks of a server that is restored: it must not run on any of them.
    examined: Vec<Volume>,
    /// Of the targets' server, if its machine can be asked.
    machine: Option<(ServerId, AskedMachine)>,
    /// What a vault protects of the target: its server, or itself.
    protected_resource: ResourceId,
}

#[derive(Debug)]
struct Pair {
    /// Holds a point.
    backup: Backup,
    target: Volume,
}

impl Plan {
    pub(super) async fn make(
        tx: &mut Tx,
        project: &ProjectId,
        backup: &Backup,
        new: &NewRestore,
    ) -> Result<Self, Error> {
        if new.of_files {
            return Err(Error::invalid(
                "resource_id and details are for file backups, which are not offered here.",
            ));
        }
        match backup.resource_type {
            ResourceType::Server => Self::of_server(tx, project, backup, new).await,
            _ => Self::of_disk(tx, project, backup, new).await,
        }
    }

    async fn of_disk(
        tx: &mut Tx,
        project: &ProjectId,
        backup: &Backup,
        new: &NewRestore,
    ) -> Result<Self, Error> {
        let volume_id = new.volume_id.clone();
        let volume_id =
            volume_id.ok_or_else(|| Error::invalid("volume_id is required to restore a disk."))?;
        let resource = ResourceId::from(volume_id.clone());
        let stock = Stock::load(tx, project, [(&resource, ResourceType::Volume)]).await?;
        let Some(target) = stock.volume(&resource) else {
            return Err(Error::TargetVolumeNotFound { volume_id });
        };
        check_system_disk(&stock, backup, &volume_id)?;
        let server = stock.server_of(&volume_id);
        Ok(Self {
            machine: server.and_then(|server| machine(server, [target])),
            server: None,
            pairs: vec![Pair {
                backup: backup.clone(),
                target: target.clone(),
            }],
            examined: vec![target.clone()],
            protected_resource: protecting(tx, &stock, &volume_id).await?,
        })
    }

    async fn of_server(
        tx: &mut Tx,
        project: &ProjectId,
        backup: &Backup,
        new: &NewRestore,
    ) -> Result<Self, Error> {
        let server_id = new.server_id.clone();
        let server_id = server_id
            .ok_or_else(|| Error::invalid("server_id is required to restore a server."))?;
        let resource = ResourceId::from(server_id.clone());
        let stock = Stock::load(tx, project, [(&resource, ResourceType::Server)]).await?;
        let Some(server) = stock.server(&resource) else {
            return Err(Error::TargetServerNotFound { server_id });
        };
        let children = tx.children_of_backup(&backup.id).await?;
        let mappings = if new.mappings.is_empty() {
            back_to_source(&stock, backup, &children, &server_id)?
        } else {
            new.mappings.clone()
        };
        check_unique(&mappings)?;
        let mut pairs = Vec::with_capacity(mappings.len());
        for mapping in mappings {
            pairs.push(pair(tx, &stock, &children, &server_id, mapping).await?);
        }
        let disks = stock.disks_of(&server_id).into_iter();
        let examined: Vec<_> = disks.map(|disk| disk.volume.clone()).collect();
        Ok(Self {
            machine: machine(server, &examined),
            server: Some(server.clone()),
            pairs,
            examined,
            protected_resource: resource,
        })
    }

    pub(super) fn disks_to_examine(&self) -> &[Volume] {
        &self.examined
    }

    pub(super) fn examined_ids(&self) -> Vec<VolumeId> {
        let ids = self.examined.iter().map(|volume| volume.id.clone());
        ids.collect()
    }

    pub(super) fn machines(&self) -> Vec<AskedMachine> {
        let machine = self.machine.as_ref().map(|(_, asked)| asked.clone());
        machine.into_iter().collect()
    }

    /// Whether a machine has the disk, or is of the server without telling what it has.
    fn is_held(&self, volume: &Volume, findings: &Findings) -> bool {
        let server = self.machine.as_ref().map(|(id, _)| id);
        let by_machine = match server.and_then(|id| findings.machine(id)) {
            Some(Ok(facts)) => facts.places.contains(&volume.path),
            Some(Err(_)) => true,
            None => false,
        };
        by_machine || findings.is_locked(&volume.id)
    }

    /// A server is restored, and not a disk by itself.
    pub(super) const fn is_of_server(&self) -> bool {
        self.server.is_some()
    }

    /// Refuses targets that are held.
    pub(super) fn check_machines(&self, findings: &Findings) -> Result<(), Error> {
        for volume in &self.examined {
            if !self.is_held(volume, findings) {
                continue;
            }
            return Err(match &self.server {
                Some(server) => Error::ServerRunning {
                    server_id: server.id.clone(),
                },
                None => Error::DiskInUse {
                    volume_id: volume.id.clone(),
                },
            });
        }
        Ok(())
    }

    /// Refuses targets that are too small or not usable.
    pub(super) fn check_disks(&self, findings: &Findings) -> Result<(), Error> {
        for Pair { backup, target } in &self.pairs {
            let volume_id = target.id.clone();
            match findings.get(&target.id) {
                Some(Ok(facts)) if facts.size_bytes < backup.size_bytes => {
                    return Err(Error::TargetTooSmall { volume_id });
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    return Err(Error::TargetUnusable {
                        volume_id,
                        trouble: error.trouble(),
                        reason: error.to_string(),
                    });
                }
                None => return Err(Error::broken("a target was not examined")),
            }
        }
        Ok(())
    }

    /// In the order in which their locks are taken.
    pub(super) fn target_ids(&self) -> Vec<VolumeId> {
        let ids: BTreeSet<_> = self
            .pairs
            .iter()
            .map(|pair| pair.target.id.clone())
            .collect();
        Vec::from_iter(ids)
    }

    pub(super) fn mappings(&self) -> Vec<RestoreMapping> {
        let mapping = |pair: &Pair| RestoreMapping {
            backup_id: pair.backup.id.clone(),
            volume_id: pair.target.id.clone(),
        };
        self.pairs.iter().map(mapping).collect()
    }

    pub(super) fn protected_resource(&self) -> ResourceId {
        self.protected_resource.clone()
    }

    /// Id and name of what is overwritten, as the operation log shows it.
    pub(super) fn target(&self) -> (ResourceId, String) {
        match (&self.server, self.pairs.first()) {
            (Some(server), _) => (server.id.clone().into(), server.name.clone()),
            (None, Some(pair)) => (pair.target.id.clone().into(), pair.target.name.clone()),
            (None, None) => (self.protected_resource.clone(), String::new()),
        }
    }
}

fn machine<'a>(
    server: &Server,
    disks: impl IntoIterator<Item = &'a Volume>,
) -> Option<(ServerId, AskedMachine)> {
    Some((server.id.clone(), AskedMachine::new(server, disks)?))
}

/// Without mappings every disk goes back to the volume that it came from.
fn back_to_source(
    stock: &Stock,
    backup: &Backup,
    children: &[Backup],
    server_id: &ServerId,
) -> Result<Vec<RestoreMapping>, Error> {
    if backup.resource_id != ResourceId::from(server_id.clone()) {
        return Err(Error::invalid(
            "mappings are required to restore to another server.",
        ));
    }
    let mut mappings = Vec::with_capacity(children.len());
    for child in children {
        let volume_id = VolumeId::from(child.resource_id.clone());
        if stock
            .server_of(&volume_id)
            .is_none_or(|server| server.id != *server_id)
        {
            return Err(Error::invalid(format!(
                "mappings are required: the server no longer has the disk {volume_id}."
            )));
        }
        mappings.push(RestoreMapping {
            backup_id: child.id.clone(),
            volume_id,
        });
    }
    Ok(mappings)
}

fn check_unique(mappings: &[RestoreMapping]) -> Result<(), Error> {
    let backups: BTreeSet<_> = mappings.iter().map(|m| &m.backup_id).collect();
    let volumes: BTreeSet<_> = mappings.iter().map(|m| &m.volume_id).collect();
    if backups.len() < mappings.len() || volumes.len() < mappings.len() {
        return Err(Error::invalid(
            "mappings must name every backup and every disk once.",
        ));
    }
    Ok(())
}

async fn pair(
    tx: &mut Tx,
    stock: &Stock,
    children: &[Backup],
    server_id: &ServerId,
    mapping: RestoreMapping,
) -> Result<Pair, Error> {
    let RestoreMapping {
        backup_id,
        volume_id,
    } = mapping;
    let Some(child) = children.iter().find(|child| child.id == backup_id) else {
        return Err(Error::invalid(format!(
            "mappings name {backup_id}, which is no disk of this backup."
        )));
    };
    if child.status != BackupStatus::Available {
        return Err(Error::BackupStateForbidsRestore {
            status: child.status,
        });
    }
    let Some(target) = stock.volume(&volume_id.clone().into()) else {
        return Err(match tx.find_volume(&volume_id).await? {
            Some(volume) if volume.project_id == *stock.project() => Error::invalid(format!(
                "mappings name the disk {volume_id}, which the server {server_id} does not have."
            )),
            _ => Error::TargetVolumeNotFound { volume_id },
        });
    };
    check_system_disk(stock, child, &volume_id)?;
    Ok(Pair {
        backup: child.clone(),
        target: target.clone(),
    })
}

fn check_system_disk(stock: &Stock, backup: &Backup, volume_id: &VolumeId) -> Result<(), Error> {
    let is_system = stock.attachment(volume_id).is_some_and(|a| a.position == 0);
    if is_system && !backup.system_disk {
        return Err(Error::DataDiskOntoSystemDisk {
            volume_id: volume_id.clone(),
        });
    }
    Ok(())
}

/// The resource under which a vault protects a volume: its server where that is protected, else itself.
async fn protecting(tx: &mut Tx, stock: &Stock, volume_id: &VolumeId) -> Result<ResourceId, Error> {
    if let Some(server) = stock.server_of(volume_id) {
        let server = ResourceId::from(server.id.clone());
        if let Some(row) = tx.find_vault_resource(&server).await?
            && crate::stock::chooses(&row, volume_id)
        {
            return Ok(server);
        }
    }
    Ok(volume_id.clone().into())
}
