//! Our own extension: what the installation's operator offers for protection.

use serde::{Deserialize, Serialize};
use strongroom_types::{ProjectId, ServerId, VolumeFormat, VolumeId};
use utoipa::ToSchema;

use crate::tags::{NewTag, Tag};
use crate::time::CbrTime;
use crate::values::{DiskPlace, InventoryName, LibvirtUri, SocketPath};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddVolumeRequest {
    pub name: InventoryName,
    /// Absolute, on the host that runs the service, or the URI of an export of an NBD server.
    pub path: DiskPlace,
    pub id: Option<VolumeId>,
    #[schema(max_items = 20)]
    pub tags: Option<Vec<NewTag>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeAnswer {
    pub volume: Volume,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeList {
    pub volumes: Vec<Volume>,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Volume {
    pub id: VolumeId,
    pub project_id: ProjectId,
    pub name: String,
    pub path: String,
    pub format: VolumeFormat,
    pub size_bytes: u64,
    /// The server it belongs to.
    #[schema(required)]
    pub server_id: Option<ServerId>,
    pub created_at: CbrTime,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddServerRequest {
    pub name: InventoryName,
    /// Where the disks lie; the first is the system disk.
    #[schema(min_items = 1, max_items = 60)]
    pub disks: Vec<DiskPlace>,
    pub id: Option<ServerId>,
    /// The socket of the machine's QMP monitor.
    pub qmp: Option<SocketPath>,
    /// The socket of its guest agent.
    pub guest_agent: Option<SocketPath>,
    /// Instead of these two, for a machine that libvirt runs.
    pub libvirt: Option<LibvirtRequest>,
    #[schema(max_items = 20)]
    pub tags: Option<Vec<NewTag>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LibvirtRequest {
    /// A libvirt on the host that runs the service, `qemu:///system`.
    pub uri: LibvirtUri,
    /// The name or the UUID of the domain.
    pub domain: InventoryName,
}

/// A machine that libvirt runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Libvirt {
    pub uri: String,
    pub domain: String,
}

/// The tags that a server or volume shall have instead of those that it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetInventoryTagsRequest {
    #[schema(max_items = 20)]
    pub tags: Vec<NewTag>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InventoryTags {
    pub tags: Vec<Tag>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerAnswer {
    pub server: Server,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerList {
    pub servers: Vec<Server>,
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Server {
    pub id: ServerId,
    pub project_id: ProjectId,
    pub name: String,
    /// In their order; the first is the system disk.
    pub volumes: Vec<Volume>,
    #[schema(required)]
    pub qmp: Option<String>,
    #[schema(required)]
    pub guest_agent: Option<String>,
    #[schema(required)]
    pub libvirt: Option<Libvirt>,
    /// When a machine was last seen to boot from a backup of it that is still there.
    #[schema(required)]
    pub proven_at: Option<CbrTime>,
    pub created_at: CbrTime,
}
