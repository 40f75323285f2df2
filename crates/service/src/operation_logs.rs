//! Operation logs, the tasks of the wire.

use strongroom_db::{OperationLog, OperationLogFilter, Page};
use strongroom_types::{OperationLogId, ProjectId};

use crate::{App, Caller, Error};

/// The page, newest first, and how many match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &OperationLogFilter,
    page: &Page,
) -> Result<(Vec<OperationLog>, u64), Error> {
    todo!()
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &OperationLogId,
) -> Result<OperationLog, Error> {
    todo!()
}
