//! Checkpoints: one run of backups over a vault.

use strongroom_db::Checkpoint;
use strongroom_types::{
    CheckpointId, ProjectId, ProtectStatus, ResourceId, ResourceType, VaultId, VolumeId,
};

use crate::resources::NewResource;
use crate::{App, Caller, Error};

#[derive(Debug, Clone)]
pub struct NewCheckpoint {
    pub vault_id: VaultId,
    /// 1 to 64 characters; made up when absent.
    pub name: Option<String>,
    pub description: String,
    pub incremental: bool,
    pub auto_trigger: bool,
    /// -1 (keep) or 1 to 36500 days.
    pub retention_days: i64,
    pub selection: Selection,
}

/// What to back up.
#[derive(Debug, Clone)]
pub enum Selection {
    WholeVault,
    Resources(Vec<ResourceId>),
    /// With disks to leave out of this run.
    Details(Vec<NewResource>),
}

#[derive(Debug, Clone)]
pub struct CheckpointView {
    /// Carries `skipped_resources`.
    pub checkpoint: Checkpoint,
    pub vault_name: String,
    pub resources: Vec<CheckpointResource>,
}

#[derive(Debug, Clone)]
pub struct CheckpointResource {
    pub id: ResourceId,
    pub resource_type: ResourceType,
    pub name: String,
    pub size_gb: u64,
    pub backup_bytes: u64,
    pub backup_count: u64,
    /// In the answer to a create: as it was before.
    pub protect_status: ProtectStatus,
    pub auto_protect: bool,
    pub exclude_volumes: Vec<VolumeId>,
}

pub async fn create(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    new: NewCheckpoint,
) -> Result<CheckpointView, Error> {
    todo!()
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &CheckpointId,
) -> Result<CheckpointView, Error> {
    todo!()
}
