//! Restores that have not ended.

use serde::{Deserialize, Serialize};
use strongroom_types::{BackupId, OperationLogId, VolumeId};

use crate::JsonText;

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Restore {
    pub operation_log_id: OperationLogId,
    /// The backup that was asked for: a server's, a disk's, or one disk's of a server's.
    pub backup_id: BackupId,
    pub mappings: JsonText<Vec<RestoreMapping>>,
    pub power_on: bool,
}

/// One disk's backup and the volume that it overwrites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreMapping {
    pub backup_id: BackupId,
    pub volume_id: VolumeId,
}
