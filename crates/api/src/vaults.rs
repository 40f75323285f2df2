use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::expirations::{self, NewEnd};
use strongroom_service::vaults::{self, VaultCreation};
use strongroom_wire::vault_requests::{
    BatchUpdateVaultsRequest, CreateVaultRequest, UpdateExpirationRequest, UpdateVaultRequest,
};
use strongroom_wire::vaults::{
    BatchUpdateVaultsAnswer, CreateVaultAnswer, ListVaultsQuery, UpdateExpirationAnswer,
    VaultAnswer, VaultList,
};

use crate::auth::Tenant;
use crate::convert::vaults::{new_vault, order_taken, vault, vault_change, vault_filter};
use crate::convert::{DEFAULT_LIMIT, page, unsigned};
use crate::extract::{Json, Path, Query};
use crate::params::VaultPath;
use crate::{ApiError, ApiState};

/// Create a vault, or order one for a term.
#[utoipa::path(post, path = "/v3/{project_id}/vaults", tag = "vaults",
    request_body = CreateVaultRequest, responses((status = 200, body = CreateVaultAnswer)))]
pub(crate) async fn create_vault(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<CreateVaultRequest>,
) -> Result<Json<CreateVaultAnswer>, ApiError> {
    let new = new_vault(request.vault)?;
    let answer = match vaults::create(&state.app, &caller, &project, new).await? {
        VaultCreation::Created(view) => {
            let answer = VaultAnswer {
                vault: vault(*view),
            };
            CreateVaultAnswer::Created(Box::new(answer))
        }
        VaultCreation::Ordered(order) => CreateVaultAnswer::Ordered(order_taken(order)),
    };
    Ok(Json(answer))
}

/// List the vaults of the project, newest first.
#[utoipa::path(get, path = "/v3/{project_id}/vaults", tag = "vaults",
    params(ListVaultsQuery), responses((status = 200, body = VaultList)))]
pub(crate) async fn list_vaults(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListVaultsQuery>,
) -> Result<Json<VaultList>, ApiError> {
    let page = page(
        query.limit,
        query.offset,
        query.marker.clone(),
        DEFAULT_LIMIT,
    );
    let filter = vault_filter(query)?;
    let (views, count) = vaults::list(&state.app, &caller, &project, &filter, &page).await?;
    Ok(Json(VaultList {
        vaults: views.into_iter().map(vault).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// Show one vault.
#[utoipa::path(get, path = "/v3/{project_id}/vaults/{vault_id}", tag = "vaults",
    params(VaultPath), responses((status = 200, body = VaultAnswer)))]
pub(crate) async fn show_vault(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
) -> Result<Json<VaultAnswer>, ApiError> {
    let view = vaults::get(&state.app, &caller, &project, &path.vault_id).await?;
    Ok(Json(VaultAnswer { vault: vault(view) }))
}

/// Change a vault; what is absent stays as it is.
#[utoipa::path(put, path = "/v3/{project_id}/vaults/{vault_id}", tag = "vaults",
    params(VaultPath), request_body = UpdateVaultRequest,
    responses((status = 200, body = VaultAnswer)))]
pub(crate) async fn update_vault(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<UpdateVaultRequest>,
) -> Result<Json<VaultAnswer>, ApiError> {
    let change = vault_change(request.vault)?;
    let view = vaults::update(&state.app, &caller, &project, &path.vault_id, change).await?;
    Ok(Json(VaultAnswer { vault: vault(view) }))
}

/// Change the notices of every vault of the project.
#[utoipa::path(put, path = "/v3/{project_id}/vaults/batch-update", tag = "vaults",
    request_body = BatchUpdateVaultsRequest,
    responses((status = 200, body = BatchUpdateVaultsAnswer)))]
pub(crate) async fn batch_update_vaults(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<BatchUpdateVaultsRequest>,
) -> Result<Json<BatchUpdateVaultsAnswer>, ApiError> {
    let change = request.vault;
    let threshold = change.threshold.map(|percent| unsigned(percent.get()));
    let updated =
        vaults::update_all(&state.app, &caller, &project, change.smn_notify, threshold).await?;
    Ok(Json(BatchUpdateVaultsAnswer {
        updated_vaults_id: updated,
    }))
}

/// Move the ends of those backups of a vault that expire.
#[utoipa::path(put, path = "/v3/{project_id}/vaults/{vault_id}/update-backup-expiration-time",
    tag = "vaults", params(VaultPath), request_body = UpdateExpirationRequest,
    responses((status = 200, body = UpdateExpirationAnswer)))]
pub(crate) async fn update_expiration_time(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<UpdateExpirationRequest>,
) -> Result<Json<UpdateExpirationAnswer>, ApiError> {
    let day = request.expect_expiration_date.into_string();
    let new = NewEnd {
        day: day.clone(),
        zone: request.time_zone.into_string(),
    };
    let moved = expirations::update(&state.app, &caller, &project, &path.vault_id, new).await?;
    Ok(Json(UpdateExpirationAnswer {
        affected_backups_count: moved.affected,
        new_expiration_day: day,
        operation_log_id: moved.operation_log_id,
    }))
}

/// Delete a vault and every backup in it.
#[utoipa::path(delete, path = "/v3/{project_id}/vaults/{vault_id}", tag = "vaults",
    params(VaultPath), responses((status = 204)))]
pub(crate) async fn delete_vault(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
) -> Result<StatusCode, ApiError> {
    vaults::delete(&state.app, &caller, &project, &path.vault_id).await?;
    Ok(StatusCode::NO_CONTENT)
}
