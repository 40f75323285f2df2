//! Machines that were found on a host become servers of the inventory, and their disks volumes.

use strongroom_db::{Attachment, Page, ProjectFilter, Server, Tx, Volume};
use strongroom_types::{ProjectId, ResourceId, ServerId, VolumeId};

use crate::inventory::{check_name, check_project, examine, in_use, taken, volume};
use crate::live_servers::{self, LiveServer};
use crate::{App, DiskFacts, Error};

/// A machine as its QEMU shows it.
#[derive(Debug, Clone)]
pub struct FoundMachine {
    /// Known by it wherever its monitor is; becomes the server's id.
    pub uuid: Option<ServerId>,
    pub name: String,
    /// Absolute.
    pub qmp_socket: String,
    pub guest_agent_socket: Option<String>,
    /// The one it starts from first.
    pub disks: Vec<FoundDisk>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundDisk {
    Known(VolumeId),
    /// An absolute path.
    New(String),
}

/// The oldest project that there is: for machines of which nobody said whose they are.
pub async fn first_project(app: &App) -> Result<Option<ProjectId>, Error> {
    let mut tx = app.db.read().await?;
    let all = ProjectFilter::default();
    let projects = tx.list_projects(&all, &Page::first(1)).await?;
    Ok(projects.into_iter().next().map(|project| project.id))
}

/// The server that a machine is: the one with its monitor, or with its UUID.
pub async fn find(
    app: &App,
    uuid: Option<&ServerId>,
    qmp_socket: &str,
) -> Result<Option<LiveServer>, Error> {
    let mut tx = app.db.read().await?;
    let mut servers = tx.servers_with_monitors().await?;
    let has_socket = |server: &Server| server.qmp_socket.as_deref() == Some(qmp_socket);
    let by_socket = servers.iter().position(has_socket);
    let by_uuid = || servers.iter().position(|server| Some(&server.id) == uuid);
    match by_socket.or_else(by_uuid) {
        None => Ok(None),
        Some(place) => {
            let server = servers.swap_remove(place);
            Ok(Some(live_servers::with_disks(&mut tx, server).await?))
        }
    }
}

/// Makes the inventory say what the machine is; `known` is its server, if there is one. Answers whether anything was
/// another way. Disks that the machine has no more stay volumes, for their backups are not gone with them.
pub async fn take_in(
    app: &App,
    project: &ProjectId,
    known: Option<&ServerId>,
    found: &FoundMachine,
) -> Result<bool, Error> {
    check_name(&found.name)?;
    let mut disks = Vec::with_capacity(found.disks.len());
    for disk in &found.disks {
        disks.push(match disk {
            FoundDisk::Known(id) => Wanted::Known(id.clone()),
            FoundDisk::New(path) => Wanted::New(path.clone(), examine(app, path).await?),
        });
    }
    let mut tx = app.db.begin().await?;
    let (server, mut is_changed) = match known {
        Some(id) => update_server(&mut tx, id, found).await?,
        None => (insert_server(app, &mut tx, project, found).await?, true),
    };
    let mut wanted = Vec::with_capacity(disks.len());
    for (position, disk) in disks.into_iter().enumerate() {
        wanted.push(match disk {
            Wanted::Known(id) => id,
            Wanted::New(path, facts) => {
                take_disk_in(app, &mut tx, &server, position, path, &facts).await?
            }
        });
    }
    is_changed |= attach(&mut tx, &server.id, &wanted).await?;
    if is_changed {
        tx.commit().await?;
    }
    Ok(is_changed)
}

enum Wanted {
    Known(VolumeId),
    New(String, DiskFacts),
}

async fn insert_server(
    app: &App,
    tx: &mut Tx,
    project: &ProjectId,
    found: &FoundMachine,
) -> Result<Server, Error> {
    check_project(tx, project).await?;
    let server = Server {
        id: found
            .uuid
            .clone()
            .unwrap_or_else(|| ServerId::random(&*app.ids)),
        project_id: project.clone(),
        name: found.name.clone(),
        qmp_socket: Some(found.qmp_socket.clone()),
        guest_agent_socket: found.guest_agent_socket.clone(),
        libvirt_uri: None,
        libvirt_domain: None,
        created_at: app.now(),
    };
    let inserted = tx.insert_server(&server).await;
    inserted.map_err(|error| taken(error, server.id.as_str()))?;
    Ok(server)
}

/// A name that was given here stays; where the machine can be reached is its own to say.
async fn update_server(
    tx: &mut Tx,
    id: &ServerId,
    found: &FoundMachine,
) -> Result<(Server, bool), Error> {
    let server = tx.find_server(id).await?;
    let mut server = server.ok_or_else(|| Error::ServerNotFound {
        server_id: id.clone(),
    })?;
    let agent = found.guest_agent_socket.clone();
    // One that lies elsewhere was given by an administrator.
    let agent = agent.or_else(|| server.guest_agent_socket.clone());
    let sockets = (Some(found.qmp_socket.clone()), agent);
    if (&server.qmp_socket, &server.guest_agent_socket) == (&sockets.0, &sockets.1) {
        return Ok((server, false));
    }
    (server.qmp_socket, server.guest_agent_socket) = sockets;
    tx.update_server_sockets(&server).await?;
    Ok((server, true))
}

async fn take_disk_in(
    app: &App,
    tx: &mut Tx,
    server: &Server,
    position: usize,
    path: String,
    facts: &DiskFacts,
) -> Result<VolumeId, Error> {
    let Some(there) = tx.find_volume_at(&path).await? else {
        let name = format!("{}-disk-{position}", server.name);
        let id = VolumeId::random(&*app.ids);
        let volume = volume(&server.project_id, id, name, path, facts, app.now());
        let inserted = tx.insert_volume(&volume).await;
        inserted.map_err(|error| taken(error, &volume.path))?;
        return Ok(volume.id);
    };
    check_is_free(tx, server, &there).await?;
    Ok(there.id)
}

async fn check_is_free(tx: &mut Tx, server: &Server, volume: &Volume) -> Result<(), Error> {
    let ids = std::slice::from_ref(&volume.id);
    let attached = tx.attachments_of_volumes(ids).await?;
    let elsewhere = attached.iter().find(|place| place.server_id != server.id);
    if volume.project_id != server.project_id {
        return Err(in_use(format!(
            "{} is a volume of another project",
            volume.path
        )));
    }
    match elsewhere {
        None => Ok(()),
        Some(place) => Err(in_use(format!(
            "{} is a disk of the server {}",
            volume.path, place.server_id
        ))),
    }
}

/// Answers whether the server had other disks, or in another order.
async fn attach(tx: &mut Tx, server: &ServerId, wanted: &[VolumeId]) -> Result<bool, Error> {
    let attached = tx
        .attachments_of_servers(std::slice::from_ref(server))
        .await?;
    let attached: Vec<_> = attached.into_iter().map(|place| place.volume_id).collect();
    if attached == wanted {
        return Ok(false);
    }
    let mut all: Vec<_> = attached.iter().chain(wanted).cloned().collect();
    all.sort();
    all.dedup();
    for id in &all {
        tx.lock_volume(id).await?;
    }
    if let Some(target) = tx.restore_targets_of(&all).await?.first() {
        return Err(in_use(format!(
            "the volume {} is being restored",
            target.volume_id
        )));
    }
    check_protected_alone(tx, &attached, wanted).await?;
    tx.detach_all(server).await?;
    for (volume_id, position) in wanted.iter().zip(0..) {
        let attachment = Attachment {
            volume_id: volume_id.clone(),
            server_id: server.clone(),
            position,
        };
        tx.insert_attachment(&attachment).await?;
    }
    Ok(true)
}

/// A disk that a vault protects by itself is not taken into a server, which could be protected too: then it would be twice.
async fn check_protected_alone(
    tx: &mut Tx,
    attached: &[VolumeId],
    wanted: &[VolumeId],
) -> Result<(), Error> {
    let new: Vec<_> = wanted.iter().filter(|id| !attached.contains(id)).collect();
    let resources: Vec<_> = new.into_iter().cloned().map(ResourceId::from).collect();
    match tx.vault_resources_by_id(&resources).await?.first() {
        None => Ok(()),
        Some(protected) => Err(in_use(format!(
            "the volume {} is protected by the vault {} by itself",
            protected.resource_id, protected.vault_id
        ))),
    }
}
