//! Our own extension: what the installation's operator offers for protection.

use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::inventory;
use strongroom_wire::inventory::{
    AddServerRequest, AddVolumeRequest, InventoryTags, ServerAnswer, ServerList,
    SetInventoryTagsRequest, VolumeAnswer, VolumeList,
};

use crate::auth::Tenant;
use crate::convert::inventory::{inventory_tags, new_server, new_volume, server, volume};
use crate::convert::vaults::tag;
use crate::extract::{Json, Path};
use crate::params::{InstancePath, ServerPath, VolumePath};
use crate::{ApiError, ApiState};

/// Add a disk to the inventory.
#[utoipa::path(post, path = "/strongroom/v1/{project_id}/volumes", tag = "inventory",
    request_body = AddVolumeRequest, responses((status = 201, body = VolumeAnswer)))]
pub(crate) async fn add_volume(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<AddVolumeRequest>,
) -> Result<(StatusCode, Json<VolumeAnswer>), ApiError> {
    let new = new_volume(request)?;
    let view = inventory::add_volume(&state.app, &caller, &project, new).await?;
    let answer = VolumeAnswer {
        volume: volume(view),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// List the disks of the project.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/volumes", tag = "inventory",
    responses((status = 200, body = VolumeList)))]
pub(crate) async fn list_volumes(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
) -> Result<Json<VolumeList>, ApiError> {
    let views = inventory::list_volumes(&state.app, &caller, &project).await?;
    let volumes: Vec<_> = views.into_iter().map(volume).collect();
    Ok(Json(VolumeList {
        count: volumes.len() as u64,
        volumes,
    }))
}

/// Remove a disk that nothing uses.
#[utoipa::path(delete, path = "/strongroom/v1/{project_id}/volumes/{volume_id}", tag = "inventory",
    params(VolumePath), responses((status = 204)))]
pub(crate) async fn remove_volume(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<VolumePath>,
) -> Result<StatusCode, ApiError> {
    inventory::remove_volume(&state.app, &caller, &project, &path.volume_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Add a server and its disks to the inventory.
#[utoipa::path(post, path = "/strongroom/v1/{project_id}/servers", tag = "inventory",
    request_body = AddServerRequest, responses((status = 201, body = ServerAnswer)))]
pub(crate) async fn add_server(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<AddServerRequest>,
) -> Result<(StatusCode, Json<ServerAnswer>), ApiError> {
    let new = new_server(request)?;
    let view = inventory::add_server(&state.app, &caller, &project, new).await?;
    let answer = ServerAnswer {
        server: server(view),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// List the servers of the project.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/servers", tag = "inventory",
    responses((status = 200, body = ServerList)))]
pub(crate) async fn list_servers(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
) -> Result<Json<ServerList>, ApiError> {
    let views = inventory::list_servers(&state.app, &caller, &project).await?;
    let servers: Vec<_> = views.into_iter().map(server).collect();
    Ok(Json(ServerList {
        count: servers.len() as u64,
        servers,
    }))
}

/// Remove a server that no vault protects, and the disks that came with it.
#[utoipa::path(delete, path = "/strongroom/v1/{project_id}/servers/{server_id}", tag = "inventory",
    params(ServerPath), responses((status = 204)))]
pub(crate) async fn remove_server(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<ServerPath>,
) -> Result<StatusCode, ApiError> {
    inventory::remove_server(&state.app, &caller, &project, &path.server_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Show the tags of a server or disk of the inventory.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/inventory/{instance_id}/tags", tag = "inventory",
    params(InstancePath), responses((status = 200, body = InventoryTags)))]
pub(crate) async fn show_inventory_tags(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<InstancePath>,
) -> Result<Json<InventoryTags>, ApiError> {
    let tags = inventory::tags(&state.app, &caller, &project, &path.instance_id).await?;
    Ok(Json(InventoryTags {
        tags: tags.into_iter().map(tag).collect(),
    }))
}

/// Replace the tags of a server or disk of the inventory.
#[utoipa::path(put, path = "/strongroom/v1/{project_id}/inventory/{instance_id}/tags", tag = "inventory",
    params(InstancePath), request_body = SetInventoryTagsRequest,
    responses((status = 200, body = InventoryTags)))]
pub(crate) async fn set_inventory_tags(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<InstancePath>,
    Json(request): Json<SetInventoryTagsRequest>,
) -> Result<Json<InventoryTags>, ApiError> {
    let tags = inventory_tags(request.tags)?;
    let id = &path.instance_id;
    let tags = inventory::set_tags(&state.app, &caller, &project, id, tags).await?;
    Ok(Json(InventoryTags {
        tags: tags.into_iter().map(tag).collect(),
    }))
}
