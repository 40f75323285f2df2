//! What could be protected: the inventory, in the shape of the clouds' compute and disk services.

use serde::{Deserialize, Serialize};
use strongroom_types::{ProjectId, ResourceId, ResourceType, ServerId, VaultId, VolumeId};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Label, Offset, PageLimit, ShortText};
use crate::vaults::Vault;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProtectableAnswer {
    pub instance: Protectable,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProtectableList {
    pub instances: Vec<Protectable>,
    /// In no published schema, but recorded from the public service.
    pub count: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Protectable {
    pub id: ResourceId,
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    pub name: String,
    /// GB.
    pub size: u64,
    /// The word of the compute or disk service: `ACTIVE`, `SHUTOFF`, `in-use`, `available`, …
    #[schema(example = "SHUTOFF")]
    pub status: String,
    pub protectable: Protectability,
    pub detail: ProtectableDetail,
    pub children: Vec<ProtectableDisk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Protectability {
    pub result: bool,
    /// Empty when the result is true.
    #[schema(example = "")]
    pub code: String,
    /// Why not; empty when the result is true.
    #[schema(example = "")]
    pub reason: String,
    /// The vault that protects it already.
    #[schema(required)]
    pub vault: Option<Box<Vault>>,
}

/// A disk of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProtectableDisk {
    pub id: ResourceId,
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    pub name: String,
    /// GB.
    pub size: u64,
    #[schema(example = "in-use")]
    pub status: String,
    pub detail: DiskDetail,
    /// Always empty: a disk has no parts.
    pub children: Vec<ResourceId>,
    /// The vault that protects the disk, by itself or with its server.
    #[schema(required)]
    pub vault_id: Option<VaultId>,
    #[schema(required)]
    pub vault_name: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ProtectableDetail {
    Server(ServerDetail),
    Disk(DiskDetail),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServerDetail {
    pub id: ServerId,
    pub name: String,
    pub status: String,
    pub tenant_id: ProjectId,
    pub created: CbrTime,
    #[serde(rename = "os-extended-volumes:volumes_attached")]
    pub volumes_attached: Vec<AttachedVolume>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AttachedVolume {
    pub id: VolumeId,
    #[schema(example = "/dev/vda")]
    pub device: String,
    #[serde(rename = "bootIndex")]
    #[schema(example = "0")]
    pub boot_index: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskDetail {
    pub id: VolumeId,
    pub name: String,
    pub status: String,
    /// GB.
    pub size: u64,
    pub created_at: CbrTime,
    /// "true" or "false", as text.
    #[schema(example = "false")]
    pub bootable: String,
    pub attachments: Vec<DiskAttachment>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiskAttachment {
    pub server_id: ServerId,
    pub volume_id: VolumeId,
    #[schema(example = "/dev/vda")]
    pub device: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListProtectablesQuery {
    /// Default 50.
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// The id of the last instance of the page before.
    pub marker: Option<ResourceId>,
    /// The whole name.
    pub name: Option<Label>,
    pub status: Option<ShortText>,
    pub id: Option<ResourceId>,
    /// The disks of this server.
    pub server_id: Option<ServerId>,
    pub enterprise_project_id: Option<ShortText>,
}
