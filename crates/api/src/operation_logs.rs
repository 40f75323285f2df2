use axum::extract::State;
use strongroom_service::{Action, operation_logs};
use strongroom_wire::operation_logs::{
    ListOperationLogsQuery, OperationLogAnswer, OperationLogList,
};

use crate::auth::Tenant;
use crate::convert::operation_logs::{operation_log, operation_log_filter};
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Path, Query};
use crate::params::OperationLogPath;
use crate::{ApiError, ApiState};

/// List tasks, newest first.
#[utoipa::path(get, path = "/v3/{project_id}/operation-logs", tag = "tasks",
    params(ListOperationLogsQuery), responses((status = 200, body = OperationLogList)))]
pub(crate) async fn list_op_logs(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListOperationLogsQuery>,
) -> Result<Json<OperationLogList>, ApiError> {
    let page = page(
        query.limit,
        query.offset,
        query.marker.clone(),
        DEFAULT_LIMIT,
    );
    let (rows, count) = if lists_nothing(&query) {
        caller.authorise(Action::TasksList, &project)?;
        (vec![], 0)
    } else {
        let filter = operation_log_filter(query)?;
        operation_logs::list(&state.app, &caller, &project, &filter, &page).await?
    };
    Ok(Json(OperationLogList {
        operation_logs: rows.into_iter().map(operation_log).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// No task has a destination: nothing is replicated.
const fn lists_nothing(query: &ListOperationLogsQuery) -> bool {
    query.destination_region.is_some() || query.destination_project_id.is_some()
}

/// Show one task.
#[utoipa::path(get, path = "/v3/{project_id}/operation-logs/{operation_log_id}", tag = "tasks",
    params(OperationLogPath), responses((status = 200, body = OperationLogAnswer)))]
pub(crate) async fn show_op_log(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<OperationLogPath>,
) -> Result<Json<OperationLogAnswer>, ApiError> {
    let row = operation_logs::get(&state.app, &caller, &project, &path.operation_log_id).await?;
    Ok(Json(OperationLogAnswer {
        operation_log: operation_log(row),
    }))
}
