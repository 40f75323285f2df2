//! Reads of a disk what has changed since its last point, and takes the rest from that point.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use strongroom_nbd::Content;
use strongroom_repo::{Error, NewPoint, PointWriter, Repository, Reread, Source};
use strongroom_types::IdSource;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::back_up::{BackedUp, Piece, Pieces, adopted, write};
use super::{PIECE_BYTES, Progress, TransferError};
use crate::live::Pace;

/// Which stretches are read although they are said to be unchanged, to find out whether that is so.
#[derive(Debug, Clone)]
pub(crate) struct Audit {
    ids: Arc<dyn IdSource>,
    /// Unchanged bytes beside each piece that is read; the piece lies anywhere among them.
    beside: u64,
    /// Unchanged bytes before the next piece.
    next: u64,
    /// Those behind it that belong to it.
    behind: u64,
}

impl Audit {
    /// `permille` of what is unchanged, and one piece at least if there is as much; `unchanged` is how much that is, about.
    pub(crate) fn new(ids: Arc<dyn IdSource>, permille: u64, unchanged: u64) -> Self {
        let one_piece_in = PIECE_BYTES as u64 * 1000 / permille.clamp(1, 1000);
        let mut audit = Self {
            ids,
            beside: one_piece_in
                .min(unchanged)
                .saturating_sub(PIECE_BYTES as u64),
            next: 0,
            behind: 0,
        };
        audit.place_next();
        audit
    }

    fn place_next(&mut self) {
        let mut bytes = [0; 8];
        self.ids.fill(&mut bytes);
        let before = u64::from_le_bytes(bytes) % (self.beside + 1);
        self.next = self.behind + before;
        self.behind = self.beside - before;
    }

    /// How much of an unchanged stretch is skipped, and how much is read behind that.
    fn cut(&mut self, length: u64) -> (u64, u64) {
        if self.next >= length {
            self.next -= length;
            return (length, 0);
        }
        // Nearly at its end, a piece is read as a whole rather than in crumbs that hold no chunk.
        let read = length.min(PIECE_BYTES as u64);
        let skipped = self.next.min(length - read);
        self.place_next();
        (skipped, read)
    }
}

/// A disk of which is known what was written since a point.
pub(crate) trait ChangedDisk: Send + 'static {
    /// The next piece, in order; none at the end.
    fn next_piece(&mut self) -> strongroom_block::Result<Option<strongroom_nbd::Piece>>;

    /// Reads anything, between two pieces.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> strongroom_block::Result<()>;

    /// Makes what the writer would read again part of the pieces, where that is worth it.
    fn prepare(&mut self, _writer: &mut PointWriter) {}
}

/// Writes a new point over `since`, the name of the point that the changes are counted from. A point of the new name that is
/// committed already is adopted. [`Error::Changed`] if the audit finds that something else has changed; nothing is committed then.
pub(crate) async fn back_up_changes(
    repository: &Repository,
    (mut changes, again): (impl ChangedDisk, Again),
    (since, audit): (&str, Audit),
    pace: Arc<Pace>,
    new: NewPoint,
    progress: &Progress,
    cancel: &CancellationToken,
) -> Result<BackedUp, TransferError> {
    let read_again = Arc::new(AtomicU64::new(0));
    let reread = reread(again, &read_again, &pace);
    let mut writer = match repository.begin_point_over(new, reread).await {
        Ok(writer) => writer,
        Err(Error::PointExists(point)) => return Ok(adopted(*point)),
        Err(error) => return Err(TransferError::Repository(error)),
    };
    if writer.parent().is_none_or(|parent| parent.name != since) {
        return Err(TransferError::OtherParent);
    }
    changes.prepare(&mut writer);
    let read = move |pieces: &Pieces| read_changes(changes, audit, &pace, pieces);
    let mut backed_up = write(writer, read, progress, cancel).await?;
    backed_up.read_bytes += read_again.load(Ordering::Relaxed);
    Ok(backed_up)
}

/// Reads the disk in any order, beside its pieces.
pub(crate) type Again =
    Box<dyn FnMut(u64, &mut [u8]) -> strongroom_block::Result<()> + Send + 'static>;

fn reread(mut again: Again, bytes: &Arc<AtomicU64>, pace: &Arc<Pace>) -> Reread {
    let (bytes, pace) = (Arc::clone(bytes), Arc::clone(pace));
    let waits = Handle::current();
    Box::new(move |offset, buffer| {
        bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        // The engine's threads know of no runtime.
        let entered = waits.enter();
        pace.wait(buffer.len() as u64);
        drop(entered);
        let read = again(offset, buffer);
        read.map_err(|error| Arc::new(error) as Source)
    })
}

fn read_changes(
    mut changes: impl ChangedDisk,
    mut audit: Audit,
    pace: &Pace,
    pieces: &Pieces,
) -> strongroom_block::Result<()> {
    while let Some(piece) = changes.next_piece()? {
        let content = match piece.content {
            Content::Data(data) => {
                pace.wait(data.len() as u64);
                Piece::Data(Bytes::from(data))
            }
            Content::Hole => Piece::Hole(piece.length),
            Content::Unchanged => {
                if !pass_unchanged(
                    &mut changes,
                    &mut audit,
                    (piece.offset, piece.length),
                    pieces,
                )? {
                    return Ok(());
                }
                continue;
            }
        };
        if pieces.blocking_send(content).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// False if nobody waits for pieces any more.
fn pass_unchanged(
    changes: &mut impl ChangedDisk,
    audit: &mut Audit,
    (mut offset, length): (u64, u64),
    pieces: &Pieces,
) -> strongroom_block::Result<bool> {
    let end = offset + length;
    while offset < end {
        let (skipped, read) = audit.cut(end - offset);
        if skipped > 0 && pieces.blocking_send(Piece::Unchanged(skipped)).is_err() {
            return Ok(false);
        }
        offset += skipped;
        if read > 0 {
            let mut buffer = vec![0; usize::try_from(read).unwrap_or(PIECE_BYTES)];
            changes.read_at(offset, &mut buffer)?;
            if pieces
                .blocking_send(Piece::Audit(Bytes::from(buffer)))
                .is_err()
            {
                return Ok(false);
            }
            offset += read;
        }
    }
    Ok(true)
}
