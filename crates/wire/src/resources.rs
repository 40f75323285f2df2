//! Resources as they are associated with a vault.

use serde::{Deserialize, Serialize};
use strongroom_types::{ProtectStatus, ResourceId, ResourceType, VaultId, VolumeId};
use utoipa::ToSchema;

use crate::values::{Label, ShortText};

/// A resource that a request names: at create, addresources and in a restore point's `resource_details`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceRequest {
    pub id: ResourceId,
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    pub name: Option<Label>,
    pub extra_info: Option<ResourceExtraRequest>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceExtraRequest {
    /// Disks of the server that its backups leave out.
    pub exclude_volumes: Option<Vec<VolumeId>>,
    /// When given, exactly these disks of the server are backed up.
    pub include_volumes: Option<Vec<IncludedVolumeRequest>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncludedVolumeRequest {
    pub id: VolumeId,
    pub os_version: Option<ShortText>,
}

/// A resource of a vault. Numbers are numbers here; in a restore point the same facts are strings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultResource {
    pub id: ResourceId,
    #[serde(rename = "type")]
    pub resource_type: ResourceType,
    pub name: String,
    pub auto_protect: bool,
    /// GB.
    pub size: u64,
    /// MB that this resource's backups take in the vault.
    pub backup_size: u64,
    pub backup_count: u64,
    #[schema(required)]
    pub protect_status: Option<ProtectStatus>,
    pub extra_info: ResourceExtra,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ResourceExtra {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_volumes: Option<Vec<VolumeId>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_volumes: Option<Vec<IncludedVolume>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct IncludedVolume {
    pub id: VolumeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddResourcesRequest {
    #[schema(min_items = 1, max_items = 256)]
    pub resources: Vec<ResourceRequest>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AddResourcesAnswer {
    pub add_resource_ids: Vec<ResourceId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoveResourcesRequest {
    #[schema(min_items = 1, max_items = 256)]
    pub resource_ids: Vec<ResourceId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetResourcesRequest {
    pub action: SetResourcesAction,
    #[schema(min_items = 1, max_items = 256)]
    pub resource_ids: Vec<ResourceId>,
}

/// Of automatic backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SetResourcesAction {
    Suspend,
    Unsuspend,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SetResourcesAnswer {
    pub set_resource_ids: Vec<ResourceId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrateResourcesRequest {
    pub destination_vault_id: VaultId,
    #[schema(min_items = 1, max_items = 256)]
    pub resource_ids: Vec<ResourceId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MigrateResourcesAnswer {
    pub migrated_resources: Vec<ResourceId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RemoveResourcesAnswer {
    pub remove_resource_ids: Vec<ResourceId>,
}
