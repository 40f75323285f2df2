//! Our own extension: what the installation's operator offers for protection.

use serde::{Deserialize, Serialize};
use strongroom_types::{ProjectId, ResourceId, ServerId, ServerStatus, VolumeFormat, VolumeId};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{DiskPath, InventoryName, Offset, PageLimit};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddVolumeRequest {
    pub name: InventoryName,
    /// Absolute, on the host that runs the service.
    pub path: DiskPath,
    pub id: Option<VolumeId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeAnswer {
    pub volume: Volume,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VolumeList {
    pub volumes: Vec<Volume>,
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
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
    /// Paths of the disks; the first is the system disk.
    #[schema(min_items = 1, max_items = 60)]
    pub disks: Vec<DiskPath>,
    pub id: Option<ServerId>,
    /// The socket of the machine's QMP monitor.
    pub qmp: Option<DiskPath>,
    /// The socket of its guest agent.
    pub guest_agent: Option<DiskPath>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerAnswer {
    pub server: Server,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerList {
    pub servers: Vec<Server>,
    pub count: u64,
    pub offset: u64,
    pub limit: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Server {
    pub id: ServerId,
    pub project_id: ProjectId,
    pub name: String,
    pub status: ServerStatus,
    /// In their order; the first is the system disk.
    pub volumes: Vec<Volume>,
    #[schema(required)]
    pub qmp: Option<String>,
    #[schema(required)]
    pub guest_agent: Option<String>,
    pub created_at: CbrTime,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListInventoryQuery {
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last object of the page before.
    pub marker: Option<ResourceId>,
}
