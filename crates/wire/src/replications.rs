//! Copies to other regions, as tenants order them.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    BackupId, CheckpointId, CloudType, ObjectType, ProjectId, ProtectType, ReplicationId,
    ReplicationStatus, VaultId,
};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Description, Label, Name, Offset, PageLimit};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicateBackupRequest {
    pub replicate: ReplicateBackup,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicateBackup {
    pub destination_project_id: ProjectId,
    pub destination_region: Label,
    pub destination_vault_id: VaultId,
    pub name: Option<Name>,
    pub description: Option<Description>,
    /// Has no effect: every copy is as fast as the link.
    pub enable_acceleration: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicateBackupAnswer {
    pub replication: BackupReplication,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupReplication {
    pub backup_id: BackupId,
    pub replication_record_id: ReplicationId,
    pub project_id: ProjectId,
    pub provider_id: String,
    pub source_region: String,
    pub destination_region: String,
    pub destination_project_id: ProjectId,
    pub destination_vault_id: VaultId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicateVaultRequest {
    pub replicate: ReplicateVault,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicateVault {
    pub vault_id: VaultId,
    pub destination_project_id: ProjectId,
    pub destination_region: Label,
    pub destination_vault_id: VaultId,
    /// Marks the copies as automatic.
    pub auto_trigger: Option<bool>,
    /// Has no effect: every copy is as fast as the link.
    pub enable_acceleration: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicateVaultAnswer {
    pub replication: VaultReplication,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VaultReplication {
    pub vault_id: VaultId,
    pub project_id: ProjectId,
    pub provider_id: String,
    pub source_region: String,
    pub destination_region: String,
    pub destination_project_id: ProjectId,
    pub destination_vault_id: VaultId,
    /// What is on its way.
    pub backups: Vec<ReplicatedBackup>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicatedBackup {
    pub backup_id: BackupId,
    pub replication_record_id: ReplicationId,
}

/// A copy of a backup in another region, or on its way there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicationRecord {
    pub id: ReplicationId,
    pub status: ReplicationStatus,
    pub created_at: CbrTime,
    pub vault_id: VaultId,
    pub source_region: String,
    pub source_project_id: ProjectId,
    pub source_checkpoint_id: CheckpointId,
    pub source_backup_id: BackupId,
    pub destination_region: String,
    pub destination_project_id: ProjectId,
    pub destination_vault_id: VaultId,
    #[schema(required)]
    pub destination_checkpoint_id: Option<CheckpointId>,
    #[schema(required)]
    pub destination_backup_id: Option<BackupId>,
    pub extra_info: ReplicationExtra,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicationExtra {
    pub auto_trigger: bool,
    pub destination_vault_id: VaultId,
    /// The same: documents and a client spell it so.
    #[serde(rename = "destinatio_vault_id")]
    pub destinatio_vault_id: VaultId,
    /// 0 to 100.
    pub progress: u64,
    /// Empty while all is well.
    pub fail_code: String,
    pub fail_reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicationCapabilities {
    pub regions: Vec<RegionCapability>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegionCapability {
    /// This region.
    pub name: String,
    /// Where its copies can go.
    pub replication_destinations: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListExternalVaultsQuery {
    pub external_project_id: ProjectId,
    pub region_id: Label,
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
    /// With it, no other filter counts.
    pub vault_id: Option<VaultId>,
    pub protect_type: Option<ProtectType>,
    pub cloud_type: Option<CloudType>,
    pub object_type: Option<ObjectType>,
    /// As `object_type`: one client spells it so.
    pub objcet_type: Option<ObjectType>,
}
