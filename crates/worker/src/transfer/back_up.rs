use bytes::Bytes;
use strongroom_block::{BlockSource, ExtentKind};
use strongroom_repo::{Buffers, Commit, NewPoint, Point, PointWriter, Repository};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{BUFFERS_IDLE_MAX, PIECE_BYTES, PIECES_IN_FLIGHT, Progress, TransferError};

/// What the reading thread hands over, in order.
pub(super) enum Piece {
    Data(Bytes),
    Hole(u64),
    /// As in the parent; not read.
    Unchanged(u64),
    /// As in the parent, if the record of changes is right.
    Audit(Bytes),
}

pub(super) type Pieces = mpsc::Sender<Piece>;

/// A disk that is in the repository.
#[derive(Debug)]
pub struct BackedUp {
    pub commit: Commit,
    /// Of the disk, for this.
    pub read_bytes: u64,
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
) -> Result<BackedUp, TransferError> {
    let writer = match repository.begin_point(new).await {
        Ok(writer) => writer,
        Err(strongroom_repo::Error::PointExists(point)) => return Ok(adopted(*point)),
        Err(error) => return Err(TransferError::Repository(error)),
    };
    let read = |pieces: &Pieces| read_pieces(source, pieces);
    write(writer, read, progress, cancel).await
}

/// Writes what `read` hands over, on a thread that may wait, until it has seen the disk's end.
pub(super) async fn write(
    mut writer: PointWriter,
    read: impl FnOnce(&Pieces) -> strongroom_block::Result<()> + Send + 'static,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<BackedUp, TransferError> {
    let (sender, mut pieces) = mpsc::channel(PIECES_IN_FLIGHT);
    let reading = tokio::task::spawn_blocking(move || read(&sender));
    let mut read_bytes = 0;
    loop {
        let piece = tokio::select! {
            () = cancel.cancelled() => return Err(TransferError::Cancelled),
            piece = pieces.recv() => piece,
        };
        let Some(piece) = piece else { break };
        let (length, is_read) = piece.extent();
        let written = match piece {
            Piece::Data(data) => writer.write(data).await,
            Piece::Audit(data) => writer.audit(data).await,
            Piece::Hole(length) => writer.hole(length).await,
            Piece::Unchanged(length) => writer.unchanged(length).await,
        };
        written.map_err(TransferError::Repository)?;
        progress.advance(length);
        read_bytes += if is_read { length } else { 0 };
    }
    reading
        .await
        .map_err(|_| TransferError::Broken)?
        .map_err(TransferError::Disk)?;
    match writer.commit().await {
        Err(strongroom_repo::Error::PointExists(point)) => Ok(adopted(*point)),
        committed => Ok(BackedUp {
            commit: committed.map_err(TransferError::Repository)?,
            read_bytes,
        }),
    }
}

pub(super) fn adopted(point: Point) -> BackedUp {
    BackedUp {
        commit: Commit {
            bytes_scanned: point.bytes_scanned,
            bytes_new: point.bytes_new,
            bytes_stored: point.bytes_stored,
            point,
        },
        read_bytes: 0,
    }
}

impl Piece {
    /// Its length, and whether that was read from the disk.
    fn extent(&self) -> (u64, bool) {
        match self {
            Self::Data(data) | Self::Audit(data) => (data.len() as u64, true),
            Self::Hole(length) | Self::Unchanged(length) => (*length, false),
        }
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
