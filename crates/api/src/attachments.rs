//! Our own extension: backups that are served as disks.

use axum::extract::State;
use axum::http::StatusCode;
use strongroom_service::attachments::{self, AttachmentView, NewAttachment, Place};
use strongroom_types::{AttachmentTransport, nbd_uri, nbds_uri};
use strongroom_wire::CbrTime;
use strongroom_wire::attachments::{
    AttachBackupRequest, AttachedDisk, Attachment, AttachmentAnswer, AttachmentList,
    ListAttachmentsQuery,
};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Path, Query};
use crate::params::{AttachmentPath, BackupPath};
use crate::{ApiError, ApiState};

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(attach_backup))
        .routes(routes!(list_attachments))
        .routes(routes!(show_attachment, detach_backup))
}

/// Serve a backup as disks that machines run from.
#[utoipa::path(post, path = "/strongroom/v1/{project_id}/backups/{backup_id}/attachments", tag = "attachments",
    params(BackupPath), request_body = AttachBackupRequest, responses((status = 202, body = AttachmentAnswer)))]
async fn attach_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<BackupPath>,
    Json(request): Json<AttachBackupRequest>,
) -> Result<(StatusCode, Json<AttachmentAnswer>), ApiError> {
    let new = NewAttachment {
        read_only: request.attachment.read_only.unwrap_or(false),
        transport: request
            .attachment
            .transport
            .unwrap_or(AttachmentTransport::Unix),
    };
    let view = attachments::attach(&state.app, &caller, &project, &path.backup_id, new).await?;
    let answer = AttachmentAnswer {
        attachment: attachment(view),
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// List attached backups, newest first.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/attachments", tag = "attachments",
    params(ListAttachmentsQuery), responses((status = 200, body = AttachmentList)))]
async fn list_attachments(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Query(query): Query<ListAttachmentsQuery>,
) -> Result<Json<AttachmentList>, ApiError> {
    let page = page(query.limit, query.offset, query.marker, DEFAULT_LIMIT);
    let backup = query.backup_id.as_ref();
    let listed = attachments::list(&state.app, &caller, &project, backup, &page);
    let (views, count) = listed.await?;
    Ok(Json(AttachmentList {
        attachments: views.into_iter().map(attachment).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// Show where an attached backup is served.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/attachments/{attachment_id}", tag = "attachments",
    params(AttachmentPath), responses((status = 200, body = AttachmentAnswer)))]
async fn show_attachment(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<AttachmentPath>,
) -> Result<Json<AttachmentAnswer>, ApiError> {
    let view = attachments::get(&state.app, &caller, &project, &path.attachment_id).await?;
    Ok(Json(AttachmentAnswer {
        attachment: attachment(view),
    }))
}

/// Serve a backup no more, and throw away what was written over it.
#[utoipa::path(delete, path = "/strongroom/v1/{project_id}/attachments/{attachment_id}", tag = "attachments",
    params(AttachmentPath), responses((status = 204)))]
async fn detach_backup(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<AttachmentPath>,
) -> Result<StatusCode, ApiError> {
    attachments::detach(&state.app, &caller, &project, &path.attachment_id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn attachment(view: AttachmentView) -> Attachment {
    let row = view.attachment;
    let disks = view.disks.into_iter().map(|disk| {
        let (socket, uri) = match disk.place {
            Place::Socket(socket) => (socket.clone(), nbd_uri(&socket)),
            Place::Tls { export, server } => {
                let uri = server.map(|server| nbds_uri(&server, &export));
                (String::new(), uri.unwrap_or_default())
            }
        };
        AttachedDisk {
            backup_id: disk.backup.id,
            resource_id: disk.backup.resource_id,
            resource_name: disk.backup.resource_name,
            size_bytes: disk.backup.size_bytes,
            bootable: disk.backup.system_disk,
            socket,
            uri,
        }
    });
    Attachment {
        id: row.id,
        project_id: row.project_id,
        backup_id: row.backup_id,
        read_only: row.read_only,
        transport: row.transport,
        status: row.status,
        reason: row.reason,
        disks: disks.collect(),
        created_at: CbrTime(row.created_at),
        updated_at: CbrTime(row.updated_at),
    }
}
