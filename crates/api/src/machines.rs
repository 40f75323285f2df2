//! What is known about machines: their agents now, and what they were when a backup began.

use axum::extract::State;
use strongroom_service::guests::{self, AskedResource};
use strongroom_service::metadata;
use strongroom_wire::agent_checks::{CheckAgentAnswer, CheckAgentRequest};
use strongroom_wire::metadata::BackupMetadata;

use crate::auth::Tenant;
use crate::convert::check_count;
use crate::convert::machines::{agent_status, backup_metadata};
use crate::extract::{Json, Path};
use crate::params::BackupPath;
use crate::{ApiError, ApiState};

/// Ask the agents inside servers whether they are there.
#[utoipa::path(post, path = "/v3/{project_id}/agent/check", tag = "protectables",
    request_body = CheckAgentRequest, responses((status = 200, body = CheckAgentAnswer)))]
pub(crate) async fn check_agent(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<CheckAgentRequest>,
) -> Result<Json<CheckAgentAnswer>, ApiError> {
    check_count("agent_status", &request.agent_status, 0..=64)?;
    let resources = request.agent_status.into_iter().map(|asked| AskedResource {
        id: asked.resource_id,
        resource_type: asked.resource_type,
    });
    let checks = guests::check(&state.app, &caller, &project, resources.collect()).await?;
    Ok(Json(CheckAgentAnswer {
        agent_status: checks.into_iter().map(agent_status).collect(),
    }))
}

/// Show what was known about the machine when its backup began.
#[utoipa::path(get, path = "/v3/{project_id}/backups/{backup_id}/metadata", tag = "backups",
    params(BackupPath), responses((status = 200, body = BackupMetadata)))]
pub(crate) async fn show_metadata(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
) -> Result<Json<BackupMetadata>, ApiError> {
    let view = metadata::get(&state.app, &caller, &project, &path.backup_id).await?;
    Ok(Json(backup_metadata(view, &state.app.settings)?))
}
