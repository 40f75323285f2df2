//! What peers ask: our own extension, for installations that know each other's token.

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::Deserialize;
use strongroom_service::peers::{self, BlockId, Comparison, PeerCaller, Stretch};
use strongroom_service::{Error, replicas};
use strongroom_types::BackupId;
use strongroom_wire::Code;
use strongroom_wire::link::{
    BeginReplicaAnswer, BeginReplicaRequest, CommitReplicaRequest, CompareAnswer, ID_BYTES,
    PEER_HEADER, PeerVaultsQuery, ReplicaAnswer, STRETCH_BODY_BYTES_MAX, TOKEN_HEADER,
};
use strongroom_wire::vaults::VaultList;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::convert::link::{begun, digests, new_replica, peer_filter};
use crate::convert::vaults::vault;
use crate::convert::{DEFAULT_LIMIT, page};
use crate::extract::{Json, Path, Query};
use crate::params::BackupPath;
use crate::{ApiError, ApiState, RequestId};

/// Bytes of a block; the last one of a disk may be shorter.
const BLOCK_BYTES: usize = 64 << 10;
/// Blocks of one stretch.
const BLOCKS_MAX: usize = 256;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default()
        .routes(routes!(list_peer_vaults))
        .routes(routes!(begin_replica))
        .routes(routes!(show_replica))
        .routes(routes!(commit_replica))
        .routes(routes!(compare_stretch))
        .routes(routes!(send_stretch))
}

/// A peer that has shown its token.
#[derive(Debug, Clone)]
pub(crate) struct Peer(PeerCaller);

impl FromRequestParts<ApiState> for Peer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let RequestId(request_id) = RequestId::from_request_parts(parts, state).await?;
        let header = |name: &str| {
            let value = parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok());
            value.ok_or(ApiError::of(Code::Unauthenticated))
        };
        let (region, token) = (header(PEER_HEADER)?, header(TOKEN_HEADER)?);
        Ok(Self(peers::authenticate(
            &state.app,
            region,
            token,
            &request_id,
        )?))
    }
}

#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct StretchPath {
    backup_id: BackupId,
    /// From 0, in steps of 16 MiB.
    #[param(value_type = u32)]
    number: String,
}

/// List the vaults of a project that the peer may send to.
#[utoipa::path(get, path = "/strongroom/v1/replication/vaults", tag = "replication", security(("peer" = [])),
    params(PeerVaultsQuery), responses((status = 200, body = VaultList)))]
pub(crate) async fn list_peer_vaults(
    State(state): State<ApiState>,
    Peer(caller): Peer,
    Query(query): Query<PeerVaultsQuery>,
) -> Result<Json<VaultList>, ApiError> {
    let page = page(query.limit, query.offset, None::<String>, DEFAULT_LIMIT);
    let project = query.project_id.clone();
    let filter = peer_filter(query);
    let (views, count) =
        replicas::list_vaults(&state.app, &caller, &project, &filter, &page).await?;
    Ok(Json(VaultList {
        vaults: views.into_iter().map(vault).collect(),
        count,
        offset: page.offset,
        limit: page.limit,
    }))
}

/// Begin a transfer, or find the one that was begun.
#[utoipa::path(post, path = "/strongroom/v1/replication/replicas", tag = "replication", security(("peer" = [])),
    request_body = BeginReplicaRequest, responses((status = 200, body = BeginReplicaAnswer)))]
pub(crate) async fn begin_replica(
    State(state): State<ApiState>,
    Peer(caller): Peer,
    Json(request): Json<BeginReplicaRequest>,
) -> Result<Json<BeginReplicaAnswer>, ApiError> {
    let replica = replicas::begin(&state.app, &caller, new_replica(request)).await?;
    Ok(Json(begun(replica)))
}

/// Show how far a transfer is.
#[utoipa::path(get, path = "/strongroom/v1/replication/replicas/{backup_id}", tag = "replication", security(("peer" = [])),
    params(BackupPath), responses((status = 200, body = ReplicaAnswer)))]
pub(crate) async fn show_replica(
    State(state): State<ApiState>,
    Peer(caller): Peer,
    Path(path): Path<BackupPath>,
) -> Result<Json<ReplicaAnswer>, ApiError> {
    let replica = replicas::state(&state.app, &caller, &path.backup_id).await?;
    Ok(Json(ReplicaAnswer {
        status: replica.status,
        progress: replica.progress,
        message: replica.message,
    }))
}

/// Say that everything was sent, and what the disks must hold.
#[utoipa::path(post, path = "/strongroom/v1/replication/replicas/{backup_id}/commit", tag = "replication", security(("peer" = [])),
    params(BackupPath), request_body = CommitReplicaRequest, responses((status = 204)))]
pub(crate) async fn commit_replica(
    State(state): State<ApiState>,
    Peer(caller): Peer,
    Path(path): Path<BackupPath>,
    Json(request): Json<CommitReplicaRequest>,
) -> Result<StatusCode, ApiError> {
    let digests = digests(request)?;
    replicas::commit(&state.app, &caller, &path.backup_id, &digests).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask which blocks of a stretch are lacking. The body is the ids of its blocks, 32 bytes each.
#[utoipa::path(post, path = "/strongroom/v1/replication/disks/{backup_id}/stretches/{number}/compare",
    tag = "replication", security(("peer" = [])), params(StretchPath),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, body = CompareAnswer)))]
pub(crate) async fn compare_stretch(
    State(state): State<ApiState>,
    Peer(caller): Peer,
    Path(path): Path<StretchPath>,
    body: Body,
) -> Result<Json<CompareAnswer>, ApiError> {
    let body = read(body, BLOCKS_MAX * ID_BYTES).await?;
    let stretch = stretch(path, &body)?;
    let store = &*state.replicas;
    let answer = match replicas::compare(&state.app, store, &caller, &stretch).await? {
        Comparison::Same => CompareAnswer {
            same: true,
            lacking: Vec::new(),
        },
        Comparison::Lacking(lacking) => CompareAnswer {
            same: false,
            lacking,
        },
    };
    Ok(Json(answer))
}

/// Send the lacking blocks of a stretch. The body is how many ids follow, in two bytes, the lower first; the ids of all
/// blocks; and the lacking blocks. It is durable when the answer comes.
#[utoipa::path(put, path = "/strongroom/v1/replication/disks/{backup_id}/stretches/{number}",
    tag = "replication", security(("peer" = [])), params(StretchPath),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 204)))]
pub(crate) async fn send_stretch(
    State(state): State<ApiState>,
    Peer(caller): Peer,
    Path(path): Path<StretchPath>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let body = read(body, STRETCH_BODY_BYTES_MAX).await?;
    let (ids, blocks) = split(&body).ok_or_else(|| ApiError::invalid("body"))?;
    let stretch = stretch(path, ids)?;
    let store = &*state.replicas;
    replicas::receive(&state.app, store, &caller, &stretch, blocks).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ids and the blocks of a body.
fn split(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = body.split_first_chunk::<2>()?;
    let count = usize::from(u16::from_le_bytes(*count));
    let (ids, blocks) = rest.split_at_checked(count * ID_BYTES)?;
    (blocks.len() <= BLOCKS_MAX * BLOCK_BYTES).then_some((ids, blocks))
}

fn stretch(path: StretchPath, ids: &[u8]) -> Result<Stretch, ApiError> {
    let (ids, rest) = ids.as_chunks::<ID_BYTES>();
    if !rest.is_empty() || ids.is_empty() || ids.len() > BLOCKS_MAX {
        return Err(ApiError::invalid("body"));
    }
    let ids: Vec<BlockId> = ids.to_vec();
    let number: u32 = path
        .number
        .parse()
        .map_err(|_| ApiError::invalid("number"))?;
    Ok(Stretch {
        disk_id: path.backup_id,
        number: number.into(),
        ids,
    })
}

/// A body of bytes; the layer around all routes bounds the time.
async fn read(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    let broken = |_| ApiError::from(Error::ReplicaStale);
    to_bytes(body, bytes_max).await.map_err(broken)
}
