//! Our own extension: what a backup policy chooses beside its definition, which is CBR's.

use axum::extract::State;
use strongroom_service::policies;
use strongroom_service::policies::OptionsChange;
use strongroom_service::rows;
use strongroom_wire::policy_options::{
    PolicyOptions, PolicyOptionsAnswer, PolicyOptionsChange, PolicyOptionsRequest, PolicyProofs,
};
use strongroom_wire::values::ProofDays;

use crate::auth::Tenant;
use crate::extract::{Json, Path};
use crate::params::PolicyPath;
use crate::{ApiError, ApiState};

/// Show what a policy chooses when a guest does not freeze, and which of its backups are proven.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/policies/{policy_id}/options", tag = "policies",
    params(PolicyPath), responses((status = 200, body = PolicyOptionsAnswer)))]
pub(crate) async fn show_policy_options(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<PolicyPath>,
) -> Result<Json<PolicyOptionsAnswer>, ApiError> {
    let found = policies::get_options(&state.app, &caller, &project, &path.policy_id).await?;
    answer(&found)
}

/// Choose for a policy; what is absent stays as it is.
#[utoipa::path(put, path = "/strongroom/v1/{project_id}/policies/{policy_id}/options", tag = "policies",
    params(PolicyPath), request_body = PolicyOptionsRequest,
    responses((status = 200, body = PolicyOptionsAnswer)))]
pub(crate) async fn update_policy_options(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<PolicyPath>,
    Json(request): Json<PolicyOptionsRequest>,
) -> Result<Json<PolicyOptionsAnswer>, ApiError> {
    let (app, id) = (&state.app, &path.policy_id);
    let change = change(request.options);
    let changed = policies::change_options(app, &caller, &project, id, change).await?;
    answer(&changed)
}

fn change(request: PolicyOptionsChange) -> OptionsChange {
    let row = |proofs: PolicyProofs| rows::ProveOption {
        // At most 365.
        every_days: u32::try_from(proofs.every_days.get()).unwrap_or(u32::MAX),
    };
    OptionsChange {
        on_failed_freeze: request.on_failed_freeze,
        prove: request.prove.map(|prove| prove.map(row)),
    }
}

fn answer(options: &rows::PolicyOptions) -> Result<Json<PolicyOptionsAnswer>, ApiError> {
    let proofs = |prove: &rows::ProveOption| {
        let every_days = ProofDays::try_from(i64::from(prove.every_days))?;
        Ok(PolicyProofs { every_days })
    };
    let prove = options.prove.as_ref().map(proofs).transpose();
    Ok(Json(PolicyOptionsAnswer {
        options: PolicyOptions {
            on_failed_freeze: options.on_failed_freeze,
            prove: prove.map_err(|reason: String| ApiError::internal(reason))?,
        },
    }))
}
