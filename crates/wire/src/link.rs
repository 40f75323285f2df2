//! What two installations say to each other: our own extension, and the same on both ends. Blocks and their ids travel as bytes.

use serde::{Deserialize, Serialize};
use strongroom_types::{
    BackupId, BackupStatus, CheckpointId, CloudType, ObjectType, PolicyId, ProjectId, ProtectType,
    ReplicationId, ResourceId, Retention, VaultId,
};
use utoipa::{IntoParams, ToSchema};

use crate::time::CbrTime;
use crate::values::{Description, Label, Name, Offset, PageLimit};

/// Names the region that asks.
pub const PEER_HEADER: &str = "x-strongroom-peer";
/// The secret that both sides know.
pub const TOKEN_HEADER: &str = "x-strongroom-peer-token";
/// Bytes of a block's id.
pub const ID_BYTES: usize = 32;
/// Ids of one stretch and its blocks, and no more.
pub const STRETCH_BODY_BYTES_MAX: usize = 17 << 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeginReplicaRequest {
    pub replication_id: ReplicationId,
    pub source_project_id: ProjectId,
    pub source_checkpoint_id: CheckpointId,
    pub source_backup_id: BackupId,
    pub destination_project_id: ProjectId,
    pub destination_vault_id: VaultId,
    pub name: Name,
    pub description: Description,
    pub auto_trigger: bool,
    /// Of a copy that a policy sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<ReplicaRules>,
    pub server_id: ResourceId,
    pub server_name: Label,
    pub protected_at: CbrTime,
    #[schema(min_items = 1, max_items = 256)]
    pub disks: Vec<BeginReplicaDisk>,
}

/// Under which rules a copy is kept where it goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaRules {
    /// The policy, in the region that the copy comes from.
    pub policy_id: PolicyId,
    #[schema(value_type = Object)]
    pub retention: Retention,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeginReplicaDisk {
    pub source_backup_id: BackupId,
    pub volume_id: ResourceId,
    pub name: Label,
    pub size_bytes: u64,
    pub system_disk: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BeginReplicaAnswer {
    pub checkpoint_id: CheckpointId,
    pub backup_id: BackupId,
    /// Keys the ids of blocks during this transfer; 64 hex digits.
    pub block_key: String,
    /// Everything was sent.
    pub is_committed: bool,
    pub disks: Vec<BegunDisk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BegunDisk {
    pub source_backup_id: BackupId,
    pub backup_id: BackupId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CompareAnswer {
    /// The stretch is there as it is.
    pub same: bool,
    /// The numbers of the blocks to send, rising.
    #[schema(max_items = 256)]
    pub lacking: Vec<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitReplicaRequest {
    #[schema(min_items = 1, max_items = 256)]
    pub disks: Vec<CommitReplicaDisk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CommitReplicaDisk {
    pub backup_id: BackupId,
    /// Over what the disk must hold; 64 hex digits.
    pub digest: Label,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaAnswer {
    pub status: BackupStatus,
    pub progress: u64,
    /// Why it has failed; else empty.
    pub message: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PeerVaultsQuery {
    pub project_id: ProjectId,
    pub vault_id: Option<VaultId>,
    pub protect_type: Option<ProtectType>,
    pub cloud_type: Option<CloudType>,
    pub object_type: Option<ObjectType>,
    pub limit: Option<PageLimit>,
    pub offset: Option<Offset>,
}
