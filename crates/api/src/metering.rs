use axum::extract::State;
use strongroom_service::metering;
use strongroom_service::rows::{UsageFilter, VaultResource};
use strongroom_types::gib_ceil;
use strongroom_wire::metering::{ListStorageUsageQuery, StorageUsage, StorageUsageList, Summary};

use crate::auth::Tenant;
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Query};
use crate::{ApiError, ApiState};

/// Show the capacity and use of all vaults together.
#[utoipa::path(get, path = "/v3/{project_id}/vaults/summary", tag = "vaults",
    responses((status = 200, body = Summary)))]
pub(crate) async fn show_summary(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
) -> Result<Json<Summary>, ApiError> {
    let total = metering::summary(&state.app, &caller, &project).await?;
    Ok(Json(Summary {
        size: total.size_gb,
        used_size: gib_ceil(total.used_bytes),
    }))
}

/// Show how many backups each protected resource has and what they take.
#[utoipa::path(get, path = "/v3/{project_id}/storage_usage", tag = "vaults",
    params(ListStorageUsageQuery), responses((status = 200, body = StorageUsageList)))]
pub(crate) async fn show_storage_usage(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListStorageUsageQuery>,
) -> Result<Json<StorageUsageList>, ApiError> {
    let page = page(query.limit, query.offset, query.marker, DEFAULT_LIMIT);
    let filter = UsageFilter {
        resource_id: query.resource_id,
        resource_type: query.resource_type,
    };
    let (rows, resource_count) =
        metering::storage_usage(&state.app, &caller, &project, &filter, &page).await?;
    Ok(Json(StorageUsageList {
        storage_usage: rows.into_iter().map(usage).collect(),
        resource_count,
    }))
}

fn usage(row: VaultResource) -> StorageUsage {
    StorageUsage {
        resource_id: row.resource_id,
        resource_name: row.name,
        resource_type: row.resource_type,
        backup_count: row.backup_count,
        backup_size: row.backup_bytes,
        backup_size_multiaz: 0,
    }
}
