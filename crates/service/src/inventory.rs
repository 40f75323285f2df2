//! The installation's inventory: volumes and servers that can be protected. For administrators.

use strongroom_db::{Server, Volume};
use strongroom_types::{ProjectId, ServerId, VolumeId};

use crate::{App, Caller, Error};

#[derive(Debug, Clone)]
pub struct NewVolume {
    /// Chosen by the caller or made up here.
    pub id: Option<VolumeId>,
    pub name: String,
    /// Absolute.
    pub path: String,
}

#[derive(Debug, Clone)]
pub struct NewServer {
    pub id: Option<ServerId>,
    pub name: String,
    /// Absolute paths, the system disk first. Each becomes a volume of the inventory.
    pub disks: Vec<String>,
    pub qmp_socket: Option<String>,
    pub guest_agent_socket: Option<String>,
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
}

pub async fn add_volume(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewVolume,
) -> Result<VolumeView, Error> {
    todo!()
}

pub async fn list_volumes(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
) -> Result<Vec<VolumeView>, Error> {
    todo!()
}

pub async fn remove_volume(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &VolumeId,
) -> Result<(), Error> {
    todo!()
}

pub async fn add_server(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewServer,
) -> Result<ServerView, Error> {
    todo!()
}

pub async fn list_servers(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
) -> Result<Vec<ServerView>, Error> {
    todo!()
}

/// Removes the server and the volumes that were added with it.
pub async fn remove_server(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &ServerId,
) -> Result<(), Error> {
    todo!()
}
