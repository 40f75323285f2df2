use axum::extract::State;
use strongroom_service::operation_logs;
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
    let filter = operation_log_filter(query)?;
    let (rows, count) = operation_logs::list(&state.app, &caller, &project, &filter, &page).await?;
    Ok(Json(OperationLogList {
        operation_logs: rows.into_iter().map(operation_log).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
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
