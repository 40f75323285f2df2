//! Operation logs, the tasks of the wire.

use strongroom_db::{OperationLog, OperationLogFilter, Page};
use strongroom_types::{OperationLogId, ProjectId};

use crate::{Action, App, Caller, Error};

/// The page, newest first, and how many match in all.
pub async fn list(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    filter: &OperationLogFilter,
    page: &Page,
) -> Result<(Vec<OperationLog>, u64), Error> {
    caller.authorise(Action::TasksList, project)?;
    let mut tx = app.db.read().await?;
    let listed = tx.list_operation_logs(project, filter, page).await?;
    Ok((listed.rows, listed.total))
}

pub async fn get(
    app: &App,
    caller: &Caller,
    project: &ProjectId,
    id: &OperationLogId,
) -> Result<OperationLog, Error> {
    caller.authorise(Action::TasksGet, project)?;
    let mut tx = app.db.read().await?;
    let log = tx.find_operation_log(id).await?;
    log.filter(|log| log.project_id == *project)
        .ok_or_else(|| Error::OperationLogNotFound {
            operation_log_id: id.clone(),
        })
}
