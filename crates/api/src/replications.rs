use axum::extract::State;
use strongroom_service::provider_of_vault;
use strongroom_service::replications::{self, Destination, NewReplication, NewVaultReplication};
use strongroom_types::ObjectType;
use strongroom_wire::replications::{
    BackupReplication, ListExternalVaultsQuery, RegionCapability, ReplicateBackupAnswer,
    ReplicateBackupRequest, ReplicateVaultAnswer, ReplicateVaultRequest, ReplicatedBackup,
    ReplicationCapabilities, VaultReplication,
};
use strongroom_wire::values::{Description, Name};
use strongroom_wire::vaults::VaultList;

use crate::auth::Tenant;
use crate::convert::replications::{external_list, external_query};
use crate::extract::{Json, Path, Query};
use crate::params::BackupPath;
use crate::{ApiError, ApiState};

/// Copy a backup to another region.
#[utoipa::path(post, path = "/v3/{project_id}/backups/{backup_id}/replicate", tag = "backups",
    params(BackupPath), request_body = ReplicateBackupRequest,
    responses((status = 200, body = ReplicateBackupAnswer)))]
pub(crate) async fn copy_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
    Json(request): Json<ReplicateBackupRequest>,
) -> Result<Json<ReplicateBackupAnswer>, ApiError> {
    let wish = request.replicate;
    let new = NewReplication {
        destination: Destination {
            region: wish.destination_region.into_string(),
            project_id: wish.destination_project_id,
            vault_id: wish.destination_vault_id,
        },
        name: wish.name.map(Name::into_string),
        description: wish.description.map(Description::into_string),
    };
    let copy =
        replications::copy_backup(&state.app, &caller, &project, &path.backup_id, new).await?;
    Ok(Json(ReplicateBackupAnswer {
        replication: BackupReplication {
            backup_id: copy.backup_id,
            replication_record_id: copy.id,
            project_id: copy.project_id,
            provider_id: provider_of_vault(ObjectType::Server).to_owned(),
            source_region: state.app.settings.region.clone(),
            destination_region: copy.destination_region,
            destination_project_id: copy.destination_project_id,
            destination_vault_id: copy.destination_vault_id,
        },
    }))
}

/// Copy what of a vault is not in another region yet.
#[utoipa::path(post, path = "/v3/{project_id}/checkpoints/replicate", tag = "restore points",
    request_body = ReplicateVaultRequest, responses((status = 200, body = ReplicateVaultAnswer)))]
pub(crate) async fn copy_checkpoint(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<ReplicateVaultRequest>,
) -> Result<Json<ReplicateVaultAnswer>, ApiError> {
    let wish = request.replicate;
    let destination = Destination {
        region: wish.destination_region.into_string(),
        project_id: wish.destination_project_id,
        vault_id: wish.destination_vault_id,
    };
    let new = NewVaultReplication {
        destination: destination.clone(),
        auto_trigger: wish.auto_trigger.unwrap_or(false),
    };
    let (vault, copies) =
        replications::copy_vault(&state.app, &caller, &project, &wish.vault_id, new).await?;
    let backups = copies.into_iter().map(|copy| ReplicatedBackup {
        backup_id: copy.backup_id,
        replication_record_id: copy.id,
    });
    Ok(Json(ReplicateVaultAnswer {
        replication: VaultReplication {
            provider_id: provider_of_vault(vault.object_type).to_owned(),
            vault_id: vault.id,
            project_id: vault.project_id,
            source_region: state.app.settings.region.clone(),
            destination_region: destination.region,
            destination_project_id: destination.project_id,
            destination_vault_id: destination.vault_id,
            backups: backups.collect(),
        },
    }))
}

/// Show where copies of this region's backups can go.
#[utoipa::path(get, path = "/v3/{project_id}/replication-capabilities", tag = "backups",
    responses((status = 200, body = ReplicationCapabilities)))]
pub(crate) async fn show_replication_capabilities(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
) -> Result<Json<ReplicationCapabilities>, ApiError> {
    let destinations = replications::destinations(&state.app, &caller, &project)?;
    let region = RegionCapability {
        name: state.app.settings.region.clone(),
        replication_destinations: destinations,
    };
    let regions = [region].into_iter();
    let regions = regions.filter(|region| !region.replication_destinations.is_empty());
    Ok(Json(ReplicationCapabilities {
        regions: regions.collect(),
    }))
}

/// List the vaults of a project in another region.
#[utoipa::path(get, path = "/v3/{project_id}/vaults/external", tag = "vaults",
    params(ListExternalVaultsQuery), responses((status = 200, body = VaultList)))]
pub(crate) async fn list_external_vaults(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListExternalVaultsQuery>,
) -> Result<Json<VaultList>, ApiError> {
    let region = query.region_id.as_str().to_owned();
    let query = external_query(query);
    let (app, page) = (&state.app, query.page.clone());
    let listed =
        replications::list_external_vaults(app, &caller, &project, &region, &query).await?;
    external_list(listed, &page).map(Json)
}
