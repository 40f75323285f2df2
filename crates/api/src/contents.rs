//! Our own extension: the content of a backup's disks, as images.

use std::io;
use std::ops::Range;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{StreamExt, stream};
use strongroom_service::contents::{self, HeldContent};
use strongroom_types::{BackupId, Chain, VolumeFormat};
use strongroom_wire::Code;
use strongroom_wire::contents::ContentQuery;
use tokio::sync::mpsc;
use tracing::Instrument;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::auth::Tenant;
use crate::extract::{Path, Query};
use crate::params::DiskPath;
use crate::ranges::{Wanted, wanted};
use crate::{ApiError, ApiState};

/// Pieces that wait for the client, of a chunk or 256 KiB of zeros each.
const PIECES_AHEAD: usize = 8;
/// A client that takes nothing for so long keeps the backup from being deleted no longer.
const SILENCE: Duration = Duration::from_mins(5);
/// Nor does one that takes little by little. It goes on with another request, from where it is.
const LONGEST: Duration = Duration::from_hours(24);

type Piece = io::Result<Bytes>;

pub(crate) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::default().routes(routes!(export_disk))
}

/// Copy the content of a disk out, as an image. One range of it at a time may be asked for; the same disk of the same backup gives the
/// same bytes each time. HEAD tells the size.
#[utoipa::path(get, path = "/strongroom/v1/{project_id}/backups/{backup_id}/disks/{resource_id}/content", tag = "backups",
    params(DiskPath, ContentQuery), responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = 206, content_type = "application/octet-stream", body = Vec<u8>, description = "The range that was asked for."),
        (status = 416, description = "The range lies behind the end.")))]
async fn export_disk(
    State(state): State<ApiState>,
    Tenant { caller, project }: Tenant,
    Path(path): Path<DiskPath>,
    Query(query): Query<ContentQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let format = query.format.unwrap_or(VolumeFormat::Raw);
    let place = (&path.backup_id, &path.resource_id);
    let (app, store) = (&state.app, &*state.contents);
    let held = contents::hold(app, store, &caller, &project, place, format).await?;
    let size = held.content.size_bytes();
    let etag = format!("\"{}.{format}\"", held.backup.id);
    let described = [
        (ACCEPT_RANGES, HeaderValue::from_static("bytes")),
        (ETAG, header(&etag)?),
    ];
    if method == Method::HEAD {
        return Ok((described, of_image(size), Body::empty()).into_response());
    }
    let (status, range) = match wanted(&headers, &etag, size) {
        Wanted::Whole => (StatusCode::OK, 0..size),
        Wanted::Part(range) => (StatusCode::PARTIAL_CONTENT, range),
        Wanted::Nothing => {
            let all = [(CONTENT_RANGE, header(&format!("bytes */{size}"))?)];
            return Ok((all, ApiError::of(Code::RangeNotSatisfiable)).into_response());
        }
    };
    let mut response = (status, described, of_image(range.end - range.start)).into_response();
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response.headers_mut().insert(CONTENT_RANGE, header(&part)?);
    }
    *response.body_mut() = body(held, range);
    Ok(response)
}

fn of_image(length: u64) -> [(axum::http::HeaderName, HeaderValue); 2] {
    [
        (
            CONTENT_TYPE,
            HeaderValue::from_static("application/octet-stream"),
        ),
        (CONTENT_LENGTH, HeaderValue::from(length)),
    ]
}

fn header(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text).map_err(ApiError::internal)
}

/// Ends early, with an error, where the content cannot be read: the connection breaks off, and nobody takes a part for the whole.
fn body(held: HeldContent, range: Range<u64>) -> Body {
    let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
    // Lives no longer than the body, but for the time that a silent client is given.
    let bringing = bring(held, range, pieces).in_current_span();
    tokio::spawn(tokio::time::timeout(LONGEST, bringing));
    Body::from_stream(stream::unfold(receiver, async |mut receiver| {
        receiver.recv().await.map(|piece: Piece| (piece, receiver))
    }))
}

/// Reads a part of the image for as long as the client takes it.
async fn bring(held: HeldContent, range: Range<u64>, pieces: mpsc::Sender<Piece>) {
    let HeldContent {
        backup,
        content,
        hold,
    } = held;
    let mut left = range.end - range.start;
    let mut stream = content.read(range);
    while left > 0 {
        let read = tokio::select! {
            read = stream.next() => read,
            () = pieces.closed() => break,
        };
        let piece = match read {
            Some(Ok(piece)) => Ok(piece),
            Some(Err(error)) => Err(broken(&backup.id, &Chain(&error).to_string())),
            None => Err(broken(&backup.id, "it ends before its end")),
        };
        let is_end = piece.is_err();
        left -= piece
            .as_ref()
            .map_or(0, |piece| left.min(piece.len() as u64));
        let taken = tokio::time::timeout(SILENCE, pieces.send(piece)).await;
        if is_end || !matches!(taken, Ok(Ok(()))) {
            break;
        }
    }
    drop(hold);
}

/// The client sees no more than that its connection broke off.
fn broken(backup: &BackupId, error: &str) -> io::Error {
    tracing::error!(%backup, error, "a disk that is copied out cannot be read");
    io::Error::other("the disk cannot be read")
}
