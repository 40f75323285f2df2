use axum::extract::State;
use strongroom_service::migrations;
use strongroom_service::resources::{self, Schedule};
use strongroom_wire::resources::{
    AddResourcesAnswer, AddResourcesRequest, MigrateResourcesAnswer, MigrateResourcesRequest,
    RemoveResourcesAnswer, RemoveResourcesRequest, SetResourcesAction, SetResourcesAnswer,
    SetResourcesRequest,
};

use crate::auth::Tenant;
use crate::convert::check_count;
use crate::convert::resources::new_resource;
use crate::extract::{Json, Path};
use crate::params::VaultPath;
use crate::{ApiError, ApiState};

/// Associate resources with a vault, or change what is excluded of those that are.
#[utoipa::path(post, path = "/v3/{project_id}/vaults/{vault_id}/addresources", tag = "vaults",
    params(VaultPath), request_body = AddResourcesRequest,
    responses((status = 200, body = AddResourcesAnswer)))]
pub(crate) async fn add_vault_resource(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<AddResourcesRequest>,
) -> Result<Json<AddResourcesAnswer>, ApiError> {
    check_count("resources", &request.resources, 1..=256)?;
    let new = request.resources.into_iter().map(new_resource).collect();
    let ids = resources::add(&state.app, &caller, &project, &path.vault_id, new).await?;
    Ok(Json(AddResourcesAnswer {
        add_resource_ids: ids,
    }))
}

/// Leave resources out of automatic backups, or take them in again.
#[utoipa::path(put, path = "/v3/{project_id}/vaults/{vault_id}/set-resources", tag = "vaults",
    params(VaultPath), request_body = SetResourcesRequest,
    responses((status = 200, body = SetResourcesAnswer)))]
pub(crate) async fn set_vault_resource(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<SetResourcesRequest>,
) -> Result<Json<SetResourcesAnswer>, ApiError> {
    check_count("resource_ids", &request.resource_ids, 1..=256)?;
    let schedule = match request.action {
        SetResourcesAction::Suspend => Schedule::Suspend,
        SetResourcesAction::Unsuspend => Schedule::Resume,
    };
    let (vault, ids) = (&path.vault_id, request.resource_ids);
    let ids = resources::set_schedule(&state.app, &caller, &project, vault, ids, schedule).await?;
    Ok(Json(SetResourcesAnswer {
        set_resource_ids: ids,
    }))
}

/// Move resources and their backups to another vault of the same type.
#[utoipa::path(post, path = "/v3/{project_id}/vaults/{vault_id}/migrateresources", tag = "vaults",
    params(VaultPath), request_body = MigrateResourcesRequest,
    responses((status = 200, body = MigrateResourcesAnswer)))]
pub(crate) async fn migrate_vault_resource(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<MigrateResourcesRequest>,
) -> Result<Json<MigrateResourcesAnswer>, ApiError> {
    check_count("resource_ids", &request.resource_ids, 1..=256)?;
    let (from, to) = (&path.vault_id, &request.destination_vault_id);
    let ids = request.resource_ids;
    let ids = migrations::migrate(&state.app, &caller, &project, from, to, ids).await?;
    Ok(Json(MigrateResourcesAnswer {
        migrated_resources: ids,
    }))
}

/// Dissociate resources from a vault and delete their backups in it.
#[utoipa::path(post, path = "/v3/{project_id}/vaults/{vault_id}/removeresources", tag = "vaults",
    params(VaultPath), request_body = RemoveResourcesRequest,
    responses((status = 200, body = RemoveResourcesAnswer)))]
pub(crate) async fn remove_vault_resource(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VaultPath>,
    Json(request): Json<RemoveResourcesRequest>,
) -> Result<Json<RemoveResourcesAnswer>, ApiError> {
    check_count("resource_ids", &request.resource_ids, 1..=256)?;
    let ids = request.resource_ids;
    let ids = resources::remove(&state.app, &caller, &project, &path.vault_id, ids).await?;
    Ok(Json(RemoveResourcesAnswer {
        remove_resource_ids: ids,
    }))
}
