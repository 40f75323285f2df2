use axum::extract::State;
use strongroom_service::checkpoints;
use strongroom_wire::checkpoints::{CheckpointAnswer, CreateCheckpointRequest};

use crate::auth::Tenant;
use crate::convert::checkpoints::{checkpoint, new_checkpoint};
use crate::extract::{Json, Path};
use crate::params::CheckpointPath;
use crate::{ApiError, ApiState};

/// Back up a vault's resources now.
#[utoipa::path(post, path = "/v3/{project_id}/checkpoints", tag = "restore points",
    request_body = CreateCheckpointRequest, responses((status = 200, body = CheckpointAnswer)))]
pub(crate) async fn create_checkpoint(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<CreateCheckpointRequest>,
) -> Result<Json<CheckpointAnswer>, ApiError> {
    let new = new_checkpoint(request.checkpoint)?;
    let view = checkpoints::create(&state.app, &caller, &project, new).await?;
    Ok(Json(CheckpointAnswer {
        checkpoint: checkpoint(view)?,
    }))
}

/// Show one restore point; what clients ask until it is available.
#[utoipa::path(get, path = "/v3/{project_id}/checkpoints/{checkpoint_id}", tag = "restore points",
    params(CheckpointPath), responses((status = 200, body = CheckpointAnswer)))]
pub(crate) async fn show_checkpoint(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<CheckpointPath>,
) -> Result<Json<CheckpointAnswer>, ApiError> {
    let view = checkpoints::get(&state.app, &caller, &project, &path.checkpoint_id).await?;
    Ok(Json(CheckpointAnswer {
        checkpoint: checkpoint(view)?,
    }))
}
