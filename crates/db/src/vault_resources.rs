//! Resources in their vaults.

use serde::{Deserialize, Serialize};
use strongroom_types::{ProtectStatus, ResourceId, ResourceType, Timestamp, VaultId, VolumeId};

use crate::JsonText;

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct VaultResource {
    pub resource_id: ResourceId,
    pub vault_id: VaultId,
    pub resource_type: ResourceType,
    pub name: String,
    #[sqlx(try_from = "i64")]
    pub size_gb: u64,
    pub protect_status: ProtectStatus,
    pub auto_protect: bool,
    /// Disks of a server that its backups leave out.
    pub exclude_volumes: Option<JsonText<Vec<VolumeId>>>,
    /// When given, exactly these disks of a server are backed up.
    pub include_volumes: Option<JsonText<Vec<IncludedVolume>>>,
    #[sqlx(try_from = "i64")]
    pub backup_bytes: u64,
    #[sqlx(try_from = "i64")]
    pub backup_count: u64,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncludedVolume {
    pub id: VolumeId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
}
