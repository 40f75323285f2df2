use axum::extract::State;
use strongroom_service::protectables::{self, ProtectableKind};
use strongroom_wire::protectables::{ListProtectablesQuery, ProtectableAnswer, ProtectableList};

use crate::auth::Tenant;
use crate::convert::page;
use crate::convert::protectables::{DEFAULT_LIMIT, protectable, protectable_filter};
use crate::extract::{Json, Path, Query};
use crate::params::{ProtectablePath, ProtectableType, ProtectablesPath};
use crate::{ApiError, ApiState};

impl From<ProtectableType> for ProtectableKind {
    fn from(word: ProtectableType) -> Self {
        match word {
            ProtectableType::Server => Self::Server,
            ProtectableType::Disk => Self::Disk,
        }
    }
}

/// List what can be protected, with the reasons against what cannot.
#[utoipa::path(get, path = "/v3/{project_id}/protectables/{protectable_type}/instances",
    tag = "protectables", params(ProtectablesPath, ListProtectablesQuery),
    responses((status = 200, body = ProtectableList)))]
pub(crate) async fn list_protectable(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<ProtectablesPath>,
    Query(query): Query<ListProtectablesQuery>,
) -> Result<Json<ProtectableList>, ApiError> {
    let kind = path.protectable_type.into();
    let page = page(
        query.limit,
        query.offset,
        query.marker.clone(),
        DEFAULT_LIMIT,
    );
    let filter = protectable_filter(query);
    let (views, count) =
        protectables::list(&state.app, &caller, &project, kind, &filter, &page).await?;
    Ok(Json(ProtectableList {
        instances: views.into_iter().map(protectable).collect(),
        count,
    }))
}

/// Show one server or disk that could be protected.
#[utoipa::path(get,
    path = "/v3/{project_id}/protectables/{protectable_type}/instances/{instance_id}",
    tag = "protectables", params(ProtectablePath),
    responses((status = 200, body = ProtectableAnswer)))]
pub(crate) async fn show_protectable(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<ProtectablePath>,
) -> Result<Json<ProtectableAnswer>, ApiError> {
    let kind = path.protectable_type.into();
    let view = protectables::get(&state.app, &caller, &project, kind, &path.instance_id).await?;
    Ok(Json(ProtectableAnswer {
        instance: protectable(view),
    }))
}
