//! Our own extension: machines that are run from backups, and what they show.

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use strongroom_service::proofs;
use strongroom_wire::proofs::{ProofAnswer, ProofList, ShownProofAnswer};

use crate::auth::Tenant;
use crate::convert::proofs::{proof, shown_proof};
use crate::extract::{Json, Path};
use crate::params::{BackupPath, ProofPath};
use crate::{ApiError, ApiState};

/// Run a machine from a backup, apart from everything, and keep what it shows.
#[utoipa::path(post, path = "/strongroom/v1/{project_id}/backups/{backup_id}/proofs", tag = "backups",
    params(BackupPath), responses((status = 202, body = ProofAnswer)))]
pub(crate) async fn prove_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
) -> Result<(StatusCode, Json<ProofAnswer>), ApiError> {
    let row = proofs::start(&state.app, &caller, &project, &path.backup_id).await?;
    let answer = ProofAnswer { proof: proof(row) };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// List the proofs of a backup, newest first.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/backups/{backup_id}/proofs", tag = "backups",
    params(BackupPath), responses((status = 200, body = ProofList)))]
pub(crate) async fn list_proofs(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
) -> Result<Json<ProofList>, ApiError> {
    let rows = proofs::list(&state.app, &caller, &project, &path.backup_id).await?;
    let proofs: Vec<_> = rows.into_iter().map(proof).collect();
    Ok(Json(ProofList {
        count: proofs.len() as u64,
        proofs,
    }))
}

/// Show one proof, with what the machine said on its serial port.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/backups/{backup_id}/proofs/{proof_id}", tag = "backups",
    params(ProofPath), responses((status = 200, body = ShownProofAnswer)))]
pub(crate) async fn show_proof(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<ProofPath>,
) -> Result<Json<ShownProofAnswer>, ApiError> {
    let (backup, id) = (&path.backup_id, &path.proof_id);
    let row = proofs::get(&state.app, &caller, &project, backup, id).await?;
    Ok(Json(ShownProofAnswer {
        proof: shown_proof(row),
    }))
}

/// Show the machine's last screen.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/backups/{backup_id}/proofs/{proof_id}/screen", tag = "backups",
    params(ProofPath), responses((status = 200, content_type = "image/png", body = Vec<u8>)))]
pub(crate) async fn show_proof_screen(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<ProofPath>,
) -> Result<Response, ApiError> {
    let (backup, id) = (&path.backup_id, &path.proof_id);
    let screen = proofs::screen(&state.app, &caller, &project, backup, id).await?;
    Ok(([(CONTENT_TYPE, "image/png")], screen).into_response())
}
