//! Which resources a vault protects.

use serde::{Deserialize, Serialize};
use strongroom_db::IncludedVolume;
use strongroom_types::{ProjectId, ResourceId, ResourceType, VaultId, VolumeId};

use crate::{App, Caller, Error};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewResource {
    pub id: ResourceId,
    pub resource_type: ResourceType,
    /// Shown in the vault instead of the inventory's name.
    pub name: Option<String>,
    pub exclude_volumes: Option<Vec<VolumeId>>,
    pub include_volumes: Option<Vec<IncludedVolume>>,
}

/// Adds resources; one that is in this vault already gets the new exclusions. Answers their ids.
pub async fn add(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    resources: Vec<NewResource>,
) -> Result<Vec<ResourceId>, Error> {
    todo!()
}

/// Answers at once; a job deletes each resource's backups in this vault, and then it leaves the vault.
pub async fn remove(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    vault_id: &VaultId,
    resource_ids: Vec<ResourceId>,
) -> Result<Vec<ResourceId>, Error> {
    todo!()
}
