//! Our own extension: what the machine of a backup was made of, and servers that are made of backups.

use serde::{Deserialize, Serialize};
use strongroom_types::{MachineRecord, OperationLogId};
use utoipa::ToSchema;

use crate::inventory::Server;
use crate::values::{InventoryName, LibvirtUri};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MachineAnswer {
    pub machine: MachineRecord,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreNewServerRequest {
    pub server: RestoreNewServer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreNewServer {
    pub name: InventoryName,
    /// A libvirt on the host that runs the service, which shall know the machine.
    pub libvirt_uri: Option<LibvirtUri>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestoreNewServerAnswer {
    pub server: Server,
    /// Where its images will lie, with `machine.sh` and `machine.xml`, which start it.
    pub folder: String,
    /// The task that fills them.
    pub job_id: OperationLogId,
}
