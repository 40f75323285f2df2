//! The installation's inventory: volumes and servers that can be protected. For administrators.

use std::collections::{BTreeMap, BTreeSet};

use strongroom_db::{Attachment, InventoryFilter, Page, Server, Tag, Tx, Volume};
use strongroom_types::{
    ProjectId, ResourceId, ResourceType, ServerId, Timestamp, VolumeId, is_nbd_uri,
};

use crate::stock::Stock;
use crate::vaults::rules::check_tags;
use crate::{Action, App, Caller, DiskFacts, Error, LibvirtDomain, audit};

const NAME_LENGTH_MAX: usize = 255;
/// As many as vaults may have for their rules.
const TAGS_MAX: u64 = 20;
/// More disks than any machine has.
const DISKS_MAX: usize = 64;
/// The inventory is listed whole; this bounds the answer.
const LISTED_MAX: u64 = 10_000;

#[derive(Debug, Clone)]
pub struct NewVolume {
    /// Chosen by the caller or made up here.
    pub id: Option<VolumeId>,
    pub name: String,
    /// Absolute, or an NBD URI.
    pub path: String,
    pub tags: Vec<Tag>,
}

#[derive(Debug, Clone)]
pub struct NewServer {
    pub id: Option<ServerId>,
    pub name: String,
    /// Absolute paths or NBD URIs, the system disk first. Each becomes a volume of the inventory.
    pub disks: Vec<String>,
    pub qmp_socket: Option<String>,
    pub guest_agent_socket: Option<String>,
    /// Instead of the sockets.
    pub libvirt: Option<LibvirtDomain>,
    pub tags: Vec<Tag>,
}

#[derive(Debug, Clone)]
pub struct VolumeView {
    pub volume: Volume,
    pub server_id: Option<ServerId>,
}

#[derive(Debug, Clone)]
pub struct ServerView {
    pub server: Server,
    /// The system disk first.
    pub volumes: Vec<Volume>,
    /// When a machine was last seen to boot from a backup of it that is still there.
    pub proven_at: Option<Timestamp>,
}

pub async fn add_volume(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewVolume,
) -> Result<VolumeView, Error> {
    caller.authorise(Action::InventoryAdd, project)?;
    check_name(&new.name)?;
    check_tags(&new.tags, TAGS_MAX)?;
    let facts = examine(app, &new.path).await?;
    let now = app.now();
    let id = new.id.unwrap_or_else(|| VolumeId::random(&*app.ids));
    let volume = volume(project, id, new.name, new.path, &facts, now);
    let mut tx = app.db.begin().await?;
    check_project(&mut tx, project).await?;
    if tx
        .find_server(&ResourceId::from(volume.id.clone()).into())
        .await?
        .is_some()
    {
        return Err(known(volume.id.as_str()));
    }
    tx.insert_volume(&volume)
        .await
        .map_err(|e| taken(e, &volume.path))?;
    audit::made("volume", &volume.id);
    tx.set_inventory_tags(&volume.id.clone().into(), &new.tags)
        .await?;
    tx.commit().await?;
    Ok(VolumeView {
        volume,
        server_id: None,
    })
}

/// By name.
pub async fn list_volumes(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
) -> Result<Vec<VolumeView>, Error> {
    caller.authorise(Action::InventoryList, project)?;
    let mut tx = app.db.read().await?;
    let filter = InventoryFilter::default();
    let listed = tx
        .list_volumes(project, &filter, &Page::first(LISTED_MAX))
        .await?;
    let ids: Vec<_> = listed.rows.iter().map(|volume| volume.id.clone()).collect();
    let mut servers: BTreeMap<_, _> = tx
        .attachments_of_volumes(&ids)
        .await?
        .into_iter()
        .map(|attachment| (attachment.volume_id, attachment.server_id))
        .collect();
    let view = |volume: Volume| VolumeView {
        server_id: servers.remove(&volume.id),
        volume,
    };
    Ok(listed.rows.into_iter().map(view).collect())
}

/// Refused with `InventoryInUse` while the volume is attached, protected or being restored.
pub async fn remove_volume(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VolumeId,
) -> Result<(), Error> {
    caller.authorise(Action::InventoryRemove, project)?;
    let mut tx = app.db.begin().await?;
    let resource = ResourceId::from(id.clone());
    let stock = Stock::load(&mut tx, project, [(&resource, ResourceType::Volume)]).await?;
    let Some(volume) = stock.volume(&resource) else {
        return Err(Error::VolumeNotFound {
            volume_id: id.clone(),
        });
    };
    if let Some(server) = stock.server_of(id) {
        return Err(in_use(format!(
            "the volume is attached to the server {}",
            server.id
        )));
    }
    release(&mut tx, &[volume], &[]).await?;
    tx.delete_volume(id).await?;
    tx.commit().await?;
    Ok(())
}

pub async fn add_server(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewServer,
) -> Result<ServerView, Error> {
    caller.authorise(Action::InventoryAdd, project)?;
    check_name(&new.name)?;
    check_tags(&new.tags, TAGS_MAX)?;
    if new.disks.is_empty() || new.disks.len() > DISKS_MAX {
        return Err(Error::invalid(format!(
            "A server has 1 to {DISKS_MAX} disks."
        )));
    }
    if let Some(path) = twice(&new.disks) {
        return Err(Error::invalid(format!("The disk {path} is listed twice.")));
    }
    for socket in [&new.qmp_socket, &new.guest_agent_socket] {
        socket.as_deref().map_or(Ok(()), check_path)?;
    }
    if let Some(libvirt) = &new.libvirt {
        libvirt.check()?;
        if new.qmp_socket.is_some() || new.guest_agent_socket.is_some() {
            return Err(Error::invalid(
                "A domain of libvirt has no monitor and no guest agent for others.",
            ));
        }
    }
    let (libvirt_uri, libvirt_domain) = new
        .libvirt
        .map(|libvirt| (libvirt.uri, libvirt.domain))
        .unzip();
    let now = app.now();
    let mut volumes = Vec::with_capacity(new.disks.len());
    for (position, path) in new.disks.into_iter().enumerate() {
        let facts = examine(app, &path).await?;
        let name = format!("{}-disk-{position}", new.name);
        let id = VolumeId::random(&*app.ids);
        volumes.push(volume(project, id, name, path, &facts, now));
    }
    let server = Server {
        id: new.id.unwrap_or_else(|| ServerId::random(&*app.ids)),
        project_id: project.clone(),
        name: new.name,
        qmp_socket: new.qmp_socket,
        guest_agent_socket: new.guest_agent_socket,
        libvirt_uri,
        libvirt_domain,
        created_at: now,
    };
    let mut tx = app.db.begin().await?;
    check_project(&mut tx, project).await?;
    insert_server(&mut tx, &server, &volumes).await?;
    audit::made("server", &server.id);
    tx.set_inventory_tags(&server.id.clone().into(), &new.tags)
        .await?;
    tx.commit().await?;
    Ok(ServerView {
        server,
        volumes,
        proven_at: None,
    })
}

pub(crate) async fn insert_server(
    tx: &mut Tx,
    server: &Server,
    volumes: &[Volume],
) -> Result<(), Error> {
    // A vault knows its resources by id alone, so a server and a volume cannot share one.
    if tx
        .find_volume(&ResourceId::from(server.id.clone()).into())
        .await?
        .is_some()
    {
        return Err(known(server.id.as_str()));
    }
    tx.insert_server(server)
        .await
        .map_err(|e| taken(e, server.id.as_str()))?;
    for (volume, position) in volumes.iter().zip(0..) {
        tx.insert_volume(volume)
            .await
            .map_err(|e| taken(e, &volume.path))?;
        let attachment = Attachment {
            volume_id: volume.id.clone(),
            server_id: server.id.clone(),
            position,
        };
        tx.insert_attachment(&attachment).await?;
    }
    Ok(())
}

/// By name.
pub async fn list_servers(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
) -> Result<Vec<ServerView>, Error> {
    caller.authorise(Action::InventoryList, project)?;
    let mut tx = app.db.read().await?;
    let filter = InventoryFilter::default();
    let listed = tx
        .list_servers(project, &filter, &Page::first(LISTED_MAX))
        .await?;
    let ids: Vec<_> = listed
        .rows
        .iter()
        .map(|s| ResourceId::from(s.id.clone()))
        .collect();
    let resources = ids.iter().map(|id| (id, ResourceType::Server));
    let stock = Stock::load(&mut tx, project, resources).await?;
    let mut proven: BTreeMap<_, _> = tx.proven_resources(project).await?.into_iter().collect();
    let view = |server: Server| ServerView {
        volumes: volumes_of(&stock, &server.id),
        proven_at: proven.remove(&ResourceId::from(server.id.clone())),
        server,
    };
    Ok(listed.rows.into_iter().map(view).collect())
}

/// Removes the server and its volumes; refused with `InventoryInUse` while any is protected or being restored.
pub async fn remove_server(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &ServerId,
) -> Result<(), Error> {
    caller.authorise(Action::InventoryRemove, project)?;
    let mut tx = app.db.begin().await?;
    let resource = ResourceId::from(id.clone());
    let stock = Stock::load(&mut tx, project, [(&resource, ResourceType::Server)]).await?;
    if stock.server(&resource).is_none() {
        return Err(Error::ServerNotFound {
            server_id: id.clone(),
        });
    }
    let volumes: Vec<_> = stock
        .disks_of(id)
        .into_iter()
        .map(|disk| disk.volume)
        .collect();
    release(&mut tx, &volumes, &[resource]).await?;
    tx.delete_server(id).await?;
    for volume in volumes {
        tx.delete_volume(&volume.id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Replaces the tags of a server or volume, by which vaults with `auto_bind` choose. Answers them.
pub async fn set_tags(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &ResourceId,
    tags: Vec<Tag>,
) -> Result<Vec<Tag>, Error> {
    caller.authorise(Action::InventoryAdd, project)?;
    check_tags(&tags, TAGS_MAX)?;
    let mut tx = app.db.begin().await?;
    check_known(&mut tx, project, id).await?;
    tx.set_inventory_tags(id, &tags).await?;
    let tags = tx.inventory_tags_of(id).await?;
    tx.commit().await?;
    Ok(tags)
}

pub async fn tags(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &ResourceId,
) -> Result<Vec<Tag>, Error> {
    caller.authorise(Action::InventoryList, project)?;
    let mut tx = app.db.read().await?;
    check_known(&mut tx, project, id).await?;
    Ok(tx.inventory_tags_of(id).await?)
}

async fn check_known(tx: &mut Tx, project: &ProjectId, id: &ResourceId) -> Result<(), Error> {
    let server = tx.find_server(&id.clone().into()).await?;
    let volume = tx.find_volume(&id.clone().into()).await?;
    let projects = [server.map(|s| s.project_id), volume.map(|v| v.project_id)];
    if projects.iter().flatten().any(|owner| owner == project) {
        return Ok(());
    }
    Err(Error::ResourceNotFound {
        resource_id: id.clone(),
    })
}

/// Locks the volumes and makes sure that no vault and no restore needs them or the `others`.
async fn release(tx: &mut Tx, volumes: &[&Volume], others: &[ResourceId]) -> Result<(), Error> {
    let ids: BTreeSet<_> = volumes.iter().map(|volume| volume.id.clone()).collect();
    let ids = Vec::from_iter(ids);
    for id in &ids {
        tx.lock_volume(id).await?;
    }
    let mut resources: Vec<_> = ids.iter().cloned().map(ResourceId::from).collect();
    resources.extend_from_slice(others);
    if let Some(protected) = tx.vault_resources_by_id(&resources).await?.first() {
        return Err(in_use(format!(
            "{} is protected by the vault {}",
            protected.resource_id, protected.vault_id
        )));
    }
    if let Some(target) = tx.restore_targets_of(&ids).await?.first() {
        return Err(in_use(format!(
            "the volume {} is being restored",
            target.volume_id
        )));
    }
    Ok(())
}

pub(crate) async fn examine(app: &App, path: &str) -> Result<DiskFacts, Error> {
    check_place(path)?;
    app.disks
        .examine(path)
        .await
        .map_err(|error| Error::DiskUnusable {
            path: path.to_owned(),
            trouble: error.trouble(),
            reason: error.to_string(),
        })
}

/// An export is named by its server, in whose spelling we have no say.
fn check_place(place: &str) -> Result<(), Error> {
    if is_nbd_uri(place) {
        return Ok(());
    }
    check_path(place)
}

/// One spelling for each place, so that the same disk is not taken twice under two.
fn check_path(path: &str) -> Result<(), Error> {
    let refuse = |what: &str| Err(Error::invalid(format!("The path {path} {what}.")));
    let Some(parts) = path.strip_prefix('/').filter(|path| !path.contains('\0')) else {
        return refuse("is not absolute");
    };
    if parts.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("must be written without `//`, `.`, `..` and a `/` at its end");
    }
    Ok(())
}

pub(crate) async fn check_project(tx: &mut Tx, project: &ProjectId) -> Result<(), Error> {
    match tx.find_project(project).await? {
        Some(_) => Ok(()),
        None => Err(Error::ProjectNotFound {
            project_id: project.clone(),
        }),
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let length = name.chars().count();
    if (1..=NAME_LENGTH_MAX).contains(&length) {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "A name has 1 to {NAME_LENGTH_MAX} characters."
        )))
    }
}

pub(crate) fn volume(
    project: &ProjectId,
    id: VolumeId,
    name: String,
    path: String,
    facts: &DiskFacts,
    now: Timestamp,
) -> Volume {
    Volume {
        id,
        project_id: project.clone(),
        name,
        path,
        format: facts.format,
        size_bytes: facts.size_bytes,
        version: 0,
        created_at: now,
    }
}

fn volumes_of(stock: &Stock, server: &ServerId) -> Vec<Volume> {
    let disks = stock.disks_of(server).into_iter();
    disks.map(|disk| disk.volume.clone()).collect()
}

fn twice(paths: &[String]) -> Option<&String> {
    let mut seen = BTreeSet::new();
    paths.iter().find(|path| !seen.insert(*path))
}

pub(crate) fn in_use(message: String) -> Error {
    Error::InventoryInUse { message }
}

pub(crate) fn taken(error: strongroom_db::Error, what: &str) -> Error {
    match error {
        strongroom_db::Error::Conflict(_) => known(what),
        other => other.into(),
    }
}

fn known(what: &str) -> Error {
    Error::AlreadyInInventory {
        message: format!("{what}, or its id, is in the inventory already"),
    }
}
