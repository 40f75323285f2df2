//! Our own extension: what the machine of a backup was made of, and servers that are made of backups.

use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::backups::RestoredServer;
use strongroom_service::{backup_machines, backups};
use strongroom_wire::backup_machines::{
    MachineAnswer, RestoreNewServerAnswer, RestoreNewServerRequest,
};
use strongroom_wire::values::LibvirtUri;

use crate::auth::Tenant;
use crate::convert::inventory::server;
use crate::extract::{Json, Path};
use crate::params::BackupPath;
use crate::{ApiError, ApiState};

/// Show what the machine of a server's backup was made of.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/backups/{backup_id}/machine", tag = "backups",
    params(BackupPath), responses((status = 200, body = MachineAnswer)))]
pub(crate) async fn show_machine(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
) -> Result<Json<MachineAnswer>, ApiError> {
    let machine = backup_machines::get(&state.app, &caller, &project, &path.backup_id).await?;
    Ok(Json(MachineAnswer { machine }))
}

/// Restore a server's backup as a new server of the inventory, with images and a machine of its own.
#[utoipa::path(post, path = "/strongroom/v1/{project_id}/backups/{backup_id}/servers", tag = "backups",
    params(BackupPath), request_body = RestoreNewServerRequest,
    responses((status = 202, body = RestoreNewServerAnswer)))]
pub(crate) async fn restore_new_server(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
    Json(request): Json<RestoreNewServerRequest>,
) -> Result<(StatusCode, Json<RestoreNewServerAnswer>), ApiError> {
    let new = RestoredServer {
        name: request.server.name.into_string(),
        libvirt_uri: request.server.libvirt_uri.map(LibvirtUri::into_string),
    };
    let backup = &path.backup_id;
    let begun = backups::restore_as_new_server(&state.app, &caller, &project, backup, new);
    let begun = begun.await?;
    let answer = RestoreNewServerAnswer {
        server: server(begun.server),
        folder: begun.folder,
        job_id: begun.operation_log_id,
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}
