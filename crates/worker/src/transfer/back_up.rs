use bytes::Bytes;
use strongroom_block::{BlockSource, ExtentKind};
use strongroom_repo::{Buffers, Commit, NewPoint, Point, Repository};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{BUFFERS_IDLE_MAX, PIECE_BYTES, PIECES_IN_FLIGHT, Progress, TransferError};

/// What the reading thread hands over, in order.
enum Piece {
    Data(Bytes),
    Hole(u64),
}

/// Reads `source` from end to end into a new point.
///
/// A point of that name that is committed already is adopted: the caller crashed after the commit, or an attempt
/// that was thought dead came first. Reading the
/// disk overlaps with everything the engine does; a bounded number of pieces waits between them.
pub async fn back_up(
    repository: &Repository,
    source: Box<dyn BlockSource>,
    new: NewPoint,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<Commit, TransferError> {
    let mut writer = match repository.begin_point(new).await {
        Ok(writer) => writer,
        Err(strongroom_repo::Error::PointExists(point)) => return Ok(adopted(*point)),
        Err(error) => return Err(TransferError::Repository(error)),
    };
    let (sender, mut pieces) = mpsc::channel(PIECES_IN_FLIGHT);
    let reading = tokio::task::spawn_blocking(move || read_pieces(source, &sender));
    loop {
        let piece = tokio::select! {
            () = cancel.cancelled() => return Err(TransferError::Cancelled),
            piece = pieces.recv() => piece,
        };
        let Some(piece) = piece else { break };
        let length = match piece {
            Piece::Data(data) => {
                let length = data.len() as u64;
                writer.write(data).await.map(|()| length)
            }
            Piece::Hole(length) => writer.hole(length).await.map(|()| length),
        };
        progress.advance(length.map_err(TransferError::Repository)?);
    }
    reading
        .await
        .map_err(|_| TransferError::Broken)?
        .map_err(TransferError::Disk)?;
    match writer.commit().await {
        Err(strongroom_repo::Error::PointExists(point)) => Ok(adopted(*point)),
        committed => committed.map_err(TransferError::Repository),
    }
}

fn adopted(point: Point) -> Commit {
    Commit {
        bytes_scanned: point.bytes_scanned,
        bytes_new: point.bytes_new,
        bytes_stored: point.bytes_stored,
        point,
    }
}

/// Runs on a blocking thread until the disk's end, an error, or a receiver that has gone.
fn read_pieces(
    mut source: Box<dyn BlockSource>,
    pieces: &mpsc::Sender<Piece>,
) -> strongroom_block::Result<()> {
    let size = source.size_bytes();
    let buffers = Buffers::new(PIECE_BYTES, BUFFERS_IDLE_MAX);
    let mut offset = 0;
    while offset < size {
        let extent = source.next_extent(offset)?.up_to(size - offset);
        let end = offset + extent.length;
        match extent.kind {
            ExtentKind::Hole => {
                if pieces.blocking_send(Piece::Hole(extent.length)).is_err() {
                    return Ok(());
                }
                offset = end;
            }
            ExtentKind::Data => {
                while offset < end {
                    let length = usize::try_from(end - offset)
                        .unwrap_or(usize::MAX)
                        .min(PIECE_BYTES);
                    let mut buffer = buffers.take(length);
                    source.read_at(offset, buffer.bytes_mut())?;
                    let data = buffer.freeze();
                    if pieces.blocking_send(Piece::Data(data)).is_err() {
                        return Ok(());
                    }
                    offset += length as u64;
                }
            }
        }
    }
    Ok(())
}
