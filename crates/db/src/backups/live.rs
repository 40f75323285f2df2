//! What backups of running machines are about.

use serde::{Deserialize, Serialize};
use strongroom_types::{BackupId, ProjectId, VolumeId};

use crate::tx::on;
use crate::{Result, Tx};

/// What became of the wish that a guest holds its file systems still for the instant of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Quiesce {
    Frozen {
        file_systems: u64,
    },
    /// The backup is what a power cut leaves.
    Failed {
        /// For the owner.
        reason: String,
    },
}

/// The newest point of a volume that was made here, as a machine's bitmaps know it.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct LastSaved {
    /// The row that holds the point.
    pub backup_id: BackupId,
    #[sqlx(try_from = "i64")]
    pub size_bytes: u64,
}

impl Tx {
    pub async fn last_saved(
        &mut self,
        project: &ProjectId,
        volume: &VolumeId,
    ) -> Result<Option<LastSaved>> {
        const SQL: &str = "SELECT id AS backup_id, size_bytes FROM backup \
             WHERE project_id = $1 AND resource_id = $2 AND point_id IS NOT NULL AND image_type = 'backup' \
             AND status IN ('available', 'waiting_restore', 'restoring') \
             AND vault_id NOT IN (SELECT vault_id FROM storage_unit) ORDER BY protected_at DESC, id DESC LIMIT 1";
        Ok(
            on!(self, c => sqlx::query_as::<_, LastSaved>(SQL).bind(project).bind(volume)
            .fetch_optional(c).await)?,
        )
    }
}
