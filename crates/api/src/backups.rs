use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::{Action, backups};
use strongroom_wire::backups::{
    BackupAnswer, BackupList, ListBackupsQuery, RestoreAnswer, RestoreBackupRequest,
    UpdateBackupRequest,
};

use crate::auth::Tenant;
use crate::convert::backups::{
    Shown, backup, backup_filter, backup_page, backup_sort, new_restore,
};
use crate::extract::{Json, Path, Query};
use crate::params::BackupPath;
use crate::{ApiError, ApiState};

/// List backups, newest first unless `sort` says otherwise.
#[utoipa::path(get, path = "/v3/{project_id}/backups", tag = "backups",
    params(ListBackupsQuery), responses((status = 200, body = BackupList)))]
pub(crate) async fn list_backups(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListBackupsQuery>,
) -> Result<Json<BackupList>, ApiError> {
    let page = backup_page(&query);
    let shown = shown(&state, query.show_replication.unwrap_or(false));
    let sort = backup_sort(query.sort.as_ref())?;
    let (views, count) = if lists_nothing(&query, shown.availability_zone) {
        caller.authorise(Action::BackupsList, &project)?;
        (vec![], 0)
    } else {
        let filter = backup_filter(query)?;
        backups::list(&state.app, &caller, &project, &filter, &sort, &page).await?
    };
    Ok(Json(BackupList {
        backups: views.into_iter().map(|view| backup(view, shown)).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// Everything lies in one zone.
fn lists_nothing(query: &ListBackupsQuery, zone: &str) -> bool {
    let asked = query.resource_az.as_ref();
    asked.is_some_and(|asked| asked.as_str() != zone)
}

/// `replication` adds the records of copies, of which a list shows none unless it is asked to.
fn shown(state: &ApiState, replication: bool) -> Shown<'_> {
    Shown {
        availability_zone: &state.app.settings.availability_zone,
        replication,
        region: &state.app.settings.region,
    }
}

/// Show one backup, with its disks.
#[utoipa::path(get, path = "/v3/{project_id}/backups/{backup_id}", tag = "backups",
    params(BackupPath), responses((status = 200, body = BackupAnswer)))]
pub(crate) async fn show_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
) -> Result<Json<BackupAnswer>, ApiError> {
    let view = backups::get(&state.app, &caller, &project, &path.backup_id).await?;
    Ok(Json(BackupAnswer {
        backup: backup(view, shown(&state, true)),
    }))
}

/// Rename a backup.
#[utoipa::path(put, path = "/v3/{project_id}/backups/{backup_id}", tag = "backups",
    params(BackupPath), request_body = UpdateBackupRequest,
    responses((status = 200, body = BackupAnswer)))]
pub(crate) async fn update_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
    Json(request): Json<UpdateBackupRequest>,
) -> Result<Json<BackupAnswer>, ApiError> {
    let name = request.backup.name.into_string();
    let view = backups::rename(&state.app, &caller, &project, &path.backup_id, name).await?;
    Ok(Json(BackupAnswer {
        backup: backup(view, shown(&state, true)),
    }))
}

/// Delete a backup.
#[utoipa::path(delete, path = "/v3/{project_id}/backups/{backup_id}", tag = "backups",
    params(BackupPath), responses((status = 204)))]
pub(crate) async fn delete_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
) -> Result<StatusCode, ApiError> {
    backups::delete(&state.app, &caller, &project, &path.backup_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Write a backup back onto a server or a disk.
#[utoipa::path(post, path = "/v3/{project_id}/backups/{backup_id}/restore", tag = "backups",
    params(BackupPath), request_body = RestoreBackupRequest,
    responses((status = 202, body = RestoreAnswer)))]
pub(crate) async fn restore_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
    Json(request): Json<RestoreBackupRequest>,
) -> Result<(StatusCode, Json<RestoreAnswer>), ApiError> {
    let new = new_restore(request.restore)?;
    let job_id = backups::restore(&state.app, &caller, &project, &path.backup_id, new).await?;
    Ok((StatusCode::ACCEPTED, Json(RestoreAnswer { job_id })))
}
