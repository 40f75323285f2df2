//! The inventory around a few resources: their servers, their volumes, and which of those a vault protects.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_db::{Attachment, IncludedVolume, Server, Tx, VaultResource, Volume};
use strongroom_types::{ProjectId, ResourceId, ResourceType, ServerId, VolumeId, gib_ceil};

use crate::Error;
use crate::findings::AskedMachine;

#[derive(Debug)]
pub(crate) struct Stock {
    project: ProjectId,
    servers: BTreeMap<ServerId, Server>,
    volumes: BTreeMap<VolumeId, Volume>,
    /// By server and position.
    attachments: Vec<Attachment>,
}

/// A volume and whether it is (or would be) the system disk of its server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Disk<'a> {
    pub(crate) volume: &'a Volume,
    pub(crate) is_system: bool,
}

impl Stock {
    /// Reads the project's share of what `resources` name, with the servers of volumes and the volumes of servers.
    pub(crate) async fn load<'a>(
        tx: &mut Tx,
        project: &ProjectId,
        resources: impl IntoIterator<Item = (&'a ResourceId, ResourceType)>,
    ) -> Result<Self, Error> {
        let mut servers = BTreeSet::new();
        let mut volumes = BTreeSet::new();
        for (id, resource_type) in resources {
            match resource_type {
                ResourceType::Server => {
                    servers.insert(ServerId::from(id.clone()));
                }
                ResourceType::Volume => {
                    volumes.insert(VolumeId::from(id.clone()));
                }
                ResourceType::BareMetal
                | ResourceType::Native
                | ResourceType::Turbo
                | ResourceType::Desktop => {}
            }
        }
        let around = tx
            .attachments_of_volumes(&volumes.iter().cloned().collect::<Vec<_>>())
            .await?;
        servers.extend(around.into_iter().map(|attachment| attachment.server_id));
        let servers = Vec::from_iter(servers);
        let attachments = tx.attachments_of_servers(&servers).await?;
        volumes.extend(attachments.iter().map(|a| a.volume_id.clone()));

        let servers = tx.servers_by_id(&servers).await?.into_iter();
        let volumes = tx
            .volumes_by_id(&Vec::from_iter(volumes))
            .await?
            .into_iter();
        Ok(Self {
            project: project.clone(),
            servers: servers
                .filter(|server| server.project_id == *project)
                .map(|server| (server.id.clone(), server))
                .collect(),
            volumes: volumes
                .filter(|volume| volume.project_id == *project)
                .map(|volume| (volume.id.clone(), volume))
                .collect(),
            attachments,
        })
    }

    /// Takes the locks of all volumes, in the order that every transaction takes them. `ResourceNotFound` when one has
    /// left the inventory since it was read.
    pub(crate) async fn lock_volumes(&self, tx: &mut Tx) -> Result<(), Error> {
        for id in self.volumes.keys() {
            if !tx.lock_volume(id).await? {
                return Err(Error::ResourceNotFound {
                    resource_id: id.clone().into(),
                });
            }
        }
        Ok(())
    }

    pub(crate) const fn project(&self) -> &ProjectId {
        &self.project
    }

    pub(crate) fn server(&self, id: &ResourceId) -> Option<&Server> {
        self.servers.get(&ServerId::from(id.clone()))
    }

    pub(crate) fn volume(&self, id: &ResourceId) -> Option<&Volume> {
        self.volumes.get(&VolumeId::from(id.clone()))
    }

    pub(crate) fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }

    pub(crate) fn volumes(&self) -> impl Iterator<Item = &Volume> {
        self.volumes.values()
    }

    /// The servers whose machines can be asked, with all their disks.
    pub(crate) fn machines(&self) -> Vec<AskedMachine> {
        let machine = |server: &Server| {
            let disks = self.disks_of(&server.id).into_iter();
            AskedMachine::new(server, disks.map(|disk| disk.volume))
        };
        self.servers().filter_map(machine).collect()
    }

    pub(crate) fn attachment(&self, volume: &VolumeId) -> Option<&Attachment> {
        self.attachments.iter().find(|a| a.volume_id == *volume)
    }

    /// The server that a volume is attached to.
    pub(crate) fn server_of(&self, volume: &VolumeId) -> Option<&Server> {
        self.servers.get(&self.attachment(volume)?.server_id)
    }

    /// A server's volumes, the system disk first.
    pub(crate) fn disks_of(&self, server: &ServerId) -> Vec<Disk<'_>> {
        let of_server = self.attachments.iter().filter(|a| a.server_id == *server);
        of_server
            .filter_map(|a| {
                let volume = self.volumes.get(&a.volume_id)?;
                Some(Disk {
                    volume,
                    is_system: a.position == 0,
                })
            })
            .collect()
    }

    /// The inventory's name of a resource, when it is there.
    pub(crate) fn name(&self, id: &ResourceId, resource_type: ResourceType) -> Option<&str> {
        match resource_type {
            ResourceType::Server => self.server(id).map(|server| server.name.as_str()),
            ResourceType::Volume => self.volume(id).map(|volume| volume.name.as_str()),
            ResourceType::BareMetal
            | ResourceType::Native
            | ResourceType::Turbo
            | ResourceType::Desktop => None,
        }
    }

    /// The disks that a resource of a vault stands for: a volume itself, or the chosen volumes of a server.
    pub(crate) fn protected_disks(&self, resource: &VaultResource) -> Vec<Disk<'_>> {
        match resource.resource_type {
            ResourceType::Volume => self
                .volume(&resource.resource_id)
                .map(|volume| Disk {
                    volume,
                    is_system: self.attachment(&volume.id).is_some_and(|a| a.position == 0),
                })
                .into_iter()
                .collect(),
            ResourceType::Server => self
                .disks_of(&ServerId::from(resource.resource_id.clone()))
                .into_iter()
                .filter(|disk| chooses(resource, &disk.volume.id))
                .collect(),
            ResourceType::BareMetal
            | ResourceType::Native
            | ResourceType::Turbo
            | ResourceType::Desktop => Vec::new(),
        }
    }

    /// The sizes of all disks of a server together.
    pub(crate) fn size_gb_of(&self, server: &ServerId) -> u64 {
        let disks = self.disks_of(server).into_iter();
        disks.map(|disk| gib_ceil(disk.volume.size_bytes)).sum()
    }

    /// The size that a resource of a vault allocates there.
    pub(crate) fn allocated_gb(&self, resource: &VaultResource) -> u64 {
        let disks = self.protected_disks(resource);
        disks.iter().map(|d| gib_ceil(d.volume.size_bytes)).sum()
    }
}

/// Whether a server's backups hold this volume of it.
pub(crate) fn chooses(server: &VaultResource, volume: &VolumeId) -> bool {
    let excluded = |list: &Vec<VolumeId>| list.contains(volume);
    let included = |list: &Vec<IncludedVolume>| list.iter().any(|i| i.id == *volume);
    !server
        .exclude_volumes
        .as_ref()
        .is_some_and(|list| excluded(&list.0))
        && server
            .include_volumes
            .as_ref()
            .is_none_or(|list| included(&list.0))
}
