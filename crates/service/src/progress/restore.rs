use strongroom_db::{Backup, Lease, Server, Volume};
use strongroom_types::OperationLogId;

use super::Failure;
use crate::{App, Error};

#[derive(Debug, Clone)]
pub struct RestoreWork {
    pub operation_log_id: OperationLogId,
    /// The backup that was asked for.
    pub backup: Backup,
    /// The server that the targets belong to.
    pub server: Option<Server>,
    pub disks: Vec<RestoreDisk>,
    pub power_on: bool,
}

#[derive(Debug, Clone)]
pub struct RestoreDisk {
    /// Has a point.
    pub backup: Backup,
    pub target: Volume,
}

/// Marks the backup and the operation log as running. The subject of a restore job is its operation log.
pub async fn start_restore(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
) -> Result<RestoreWork, Error> {
    todo!()
}

/// Every target's bytes are durable.
pub async fn finish_restore(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
) -> Result<(), Error> {
    todo!()
}

/// The targets may hold a mixture; the backup can be restored again.
pub async fn fail_restore(
    app: &App,
    lease: &Lease,
    operation_log_id: &OperationLogId,
    failure: Failure,
) -> Result<(), Error> {
    todo!()
}
