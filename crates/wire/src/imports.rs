//! Listing what another installation wrote: a vault as a whole, or backup by backup.

use serde::{Deserialize, Serialize};
use strongroom_types::{BackupId, OperationLogId, ResourceId, ResourceType, VaultId};
use utoipa::ToSchema;

use crate::values::{Label, Name};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncVaultRequest {
    pub sync: SyncVault,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncVault {
    /// A hybrid vault.
    pub vault_id: VaultId,
    /// Changes nothing: what is listed says itself how it was made.
    pub auto_trigger: Option<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncVaultAnswer {
    pub sync: SyncVaultTask,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncVaultTask {
    pub operation_log_id: OperationLogId,
    pub vault_id: VaultId,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncBackupsRequest {
    #[schema(min_items = 1, max_items = 50)]
    pub sync: Vec<SyncBackup>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncBackup {
    pub backup_id: BackupId,
    /// What it is called here.
    pub backup_name: Name,
    /// The storage unit of a hybrid vault.
    pub bucket_name: Label,
    /// `/`, or where one of the backup's points lies in the unit.
    pub image_path: Label,
    pub resource_id: ResourceId,
    pub resource_name: Label,
    pub resource_type: Option<ResourceType>,
    /// Seconds since 1970; the backup itself knows better.
    pub created_at: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncBackupsAnswer {
    /// In the order of the request.
    pub sync: Vec<SyncBackupTask>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SyncBackupTask {
    pub backup_id: BackupId,
    pub operation_log_id: OperationLogId,
}
