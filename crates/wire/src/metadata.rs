use serde::{Deserialize, Serialize};
use strongroom_types::BackupId;
use utoipa::ToSchema;

/// What was known about the machine when its backup began. Every text is JSON by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BackupMetadata {
    pub backup_id: BackupId,
    /// The backup as it is now.
    pub backups: String,
    /// `{}`: nothing is known about it.
    pub flavor: String,
    pub floatingips: Vec<String>,
    pub interface: String,
    pub ports: Vec<String>,
    /// `{}` of a disk that was attached to none.
    pub server: String,
    pub volumes: Vec<String>,
}
