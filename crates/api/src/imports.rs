use axum::extract::State;
use strongroom_service::imports::{self, NewImport};
use strongroom_service::rows::WantedBackup;
use strongroom_types::ResourceType;
use strongroom_wire::imports::{
    SyncBackup, SyncBackupTask, SyncBackupsAnswer, SyncBackupsRequest, SyncVaultAnswer,
    SyncVaultRequest, SyncVaultTask,
};

use crate::auth::Tenant;
use crate::extract::Json;
use crate::{ApiError, ApiState};

/// Compare a hybrid vault with its storage unit: list what is new there, forget what is gone.
#[utoipa::path(post, path = "/v3/{project_id}/checkpoints/sync", tag = "restore points",
    request_body = SyncVaultRequest, responses((status = 200, body = SyncVaultAnswer)))]
pub(crate) async fn import_checkpoint(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<SyncVaultRequest>,
) -> Result<Json<SyncVaultAnswer>, ApiError> {
    let vault_id = request.sync.vault_id;
    let operation_log_id = imports::sync_vault(&state.app, &caller, &project, &vault_id).await?;
    Ok(Json(SyncVaultAnswer {
        sync: SyncVaultTask {
            operation_log_id,
            vault_id,
        },
    }))
}

/// List backups that another installation wrote into a storage unit, up to 50.
#[utoipa::path(post, path = "/v3/{project_id}/backups/sync", tag = "backups",
    request_body = SyncBackupsRequest, responses((status = 200, body = SyncBackupsAnswer)))]
pub(crate) async fn import_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Json(request): Json<SyncBackupsRequest>,
) -> Result<Json<SyncBackupsAnswer>, ApiError> {
    let wishes = request.sync.into_iter().map(new_import).collect();
    let begun = imports::sync_backups(&state.app, &caller, &project, wishes).await?;
    let task = |(backup_id, operation_log_id)| SyncBackupTask {
        backup_id,
        operation_log_id,
    };
    Ok(Json(SyncBackupsAnswer {
        sync: begun.into_iter().map(task).collect(),
    }))
}

fn new_import(wish: SyncBackup) -> NewImport {
    NewImport {
        bucket_name: wish.bucket_name.into_string(),
        wanted: WantedBackup {
            backup_id: wish.backup_id,
            backup_name: wish.backup_name.into_string(),
            image_path: wish.image_path.into_string(),
            resource_id: wish.resource_id,
            resource_name: wish.resource_name.into_string(),
            resource_type: wish.resource_type.unwrap_or(ResourceType::Native),
        },
    }
}
