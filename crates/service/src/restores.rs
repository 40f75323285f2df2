//! Restoring backups onto disks of the inventory.

use strongroom_db::RestoreMapping;
use strongroom_types::{BackupId, OperationLogId, ProjectId, ServerId, VolumeId};

use crate::{App, Caller, Error};

/// A server's backup takes `server_id` and mappings (none when it goes back to where it came from); a disk's
/// backup takes `volume_id`, and its mappings are ignored.
#[derive(Debug, Clone)]
pub struct NewRestore {
    pub server_id: Option<ServerId>,
    pub volume_id: Option<VolumeId>,
    pub mappings: Vec<RestoreMapping>,
    pub power_on: bool,
    /// The request asked for a restore of files, by `resource_id` or `details`; refused.
    pub of_files: bool,
}

/// Answers at once with the operation log to watch; a job overwrites the disks.
pub async fn restore(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &BackupId,
    new: NewRestore,
) -> Result<OperationLogId, Error> {
    todo!()
}
