//! A point as a disk that is read anywhere: the tree is walked for each read, and the frames that were opened last stay
//! in memory. Readers that go from front to back have the next frames fetched ahead of them.

mod ahead;
mod frames;
mod tree;

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use strongroom_chunk::ObjectId;
use tokio::sync::{Mutex, Semaphore};

use crate::engine::{Engine, Located};
use crate::points::StoredPoint;
use crate::sessions::Reading;
use crate::{Error, Result};
use ahead::Ahead;
use frames::Frames;
use tree::{Placed, Tree};

/// Chunks that one read waits for at the same time; several of them lie in one frame.
const CHUNKS_AT_ONCE: usize = 32;
/// Stretches that are fetched ahead at the same time, for all readers together.
const STRETCHES_AHEAD: usize = 4;

/// Reads any part of a point, for many readers at once. Collections wait for it as they do for a
/// [`crate::PointReader`], until it is dropped or [`PointView::end`] was called.
#[derive(Debug)]
pub struct PointView {
    shared: Arc<Shared>,
    ahead: Ahead,
    point: ObjectId,
    session: Mutex<Reading>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    tree: Tree,
    frames: Frames,
    room_ahead: Arc<Semaphore>,
}

impl PointView {
    pub(crate) fn open(
        engine: Arc<Engine>,
        id: ObjectId,
        point: &StoredPoint,
        session: Reading,
        cache_bytes: usize,
    ) -> Result<Self> {
        let root = point
            .root()
            .map_err(|error| Error::decoding("a point", error))?;
        let shared = Shared {
            tree: Tree::new(Arc::clone(&engine), root, point.size_bytes),
            frames: Frames::new(Arc::clone(&engine), cache_bytes),
            engine,
            room_ahead: Arc::new(Semaphore::new(STRETCHES_AHEAD)),
        };
        Ok(Self {
            shared: Arc::new(shared),
            ahead: Ahead::default(),
            point: id,
            session: Mutex::new(session),
        })
    }

    /// Of the whole image.
    pub fn size_bytes(&self) -> u64 {
        self.shared.tree.size_bytes()
    }

    /// Fills `buffer` with the bytes at `offset`, each of which was checked against the id of its chunk.
    ///
    /// [`Error::Corrupt`] and [`Error::Missing`] name the damaged object; what does not need it can still be read, and
    /// what was repaired meanwhile as well. Behind an error the buffer holds anything.
    pub async fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let range = self.inside(offset, buffer.len() as u64)?;
        let chunks = self.shared.tree.chunks(&range).await?;
        buffer.fill(0);
        let mut brought = stream::iter(&chunks)
            .map(|placed| async {
                Ok::<_, Error>((placed.offset, self.shared.chunk(placed).await?))
            })
            .buffer_unordered(CHUNKS_AT_ONCE);
        while let Some((begin, bytes)) = brought.try_next().await? {
            copy_overlap(&bytes, begin, buffer, offset);
        }
        if let Some(stretch) = self.ahead.after(&range) {
            self.fetch_ahead(stretch);
        }
        Ok(())
    }

    /// Where in a part of the image there is data, which may be zeros all the same: ranges in their order, that do not
    /// touch. What lies between them is a hole. Reads the tree alone, in memory that grows with `length`: ask for a few
    /// GiB at a time.
    pub async fn data_in(&self, offset: u64, length: u64) -> Result<Vec<Range<u64>>> {
        let range = self.inside(offset, length)?;
        let mut data: Vec<Range<u64>> = Vec::new();
        for chunk in self.shared.tree.chunks(&range).await? {
            let begin = chunk.offset.max(range.start);
            let end = chunk.end().min(range.end);
            match data.last_mut() {
                Some(last) if last.end == begin => last.end = end,
                _ => data.push(begin..end),
            }
        }
        Ok(data)
    }

    /// Brings a part of the image into memory, so that whoever reads it soon need not wait. What cannot be read is met again
    /// by who needs it.
    pub async fn bring(&self, stretch: &Range<u64>) {
        self.shared.bring(stretch).await;
    }

    /// Lets collections go that wait for this view, if its point is still there: what that needs stays anyhow, and is found
    /// again where a collection has put it. To be called now and then while a view is open for long.
    pub async fn let_collections_go(&self) -> Result<()> {
        let engine = &self.shared.engine;
        // Before the point, as when the view was opened.
        let new = Reading::begin(engine).await;
        match engine.points.read(self.point).await {
            Ok(_) => {
                let old = mem::replace(&mut *self.session.lock().await, new);
                old.end().await;
                Ok(())
            }
            Err(error) => {
                new.end().await;
                match error {
                    // The old session is all that keeps the data.
                    Error::Missing { .. } => Ok(()),
                    error => Err(error),
                }
            }
        }
    }

    /// Collections need not wait for it any more.
    pub async fn end(self) {
        self.session.into_inner().end().await;
    }

    fn inside(&self, offset: u64, length: u64) -> Result<Range<u64>> {
        match offset.checked_add(length) {
            Some(end) if end <= self.size_bytes() => Ok(offset..end),
            _ => Err(Error::Invalid(
                "the range reaches beyond the image".to_owned(),
            )),
        }
    }

    /// Lets a task of a few MiB bring what will be asked for, unless enough of them are at work.
    fn fetch_ahead(&self, stretch: Range<u64>) {
        let Ok(room) = Arc::clone(&self.shared.room_ahead).try_acquire_owned() else {
            return;
        };
        let stretch = stretch.start..stretch.end.min(self.size_bytes());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            shared.bring(&stretch).await;
            drop(room);
        });
    }
}

impl Shared {
    /// Opens the frames of a part of the image. What cannot be read is met again by who needs it.
    async fn bring(&self, stretch: &Range<u64>) {
        let Ok(chunks) = self.tree.chunks(stretch).await else {
            return;
        };
        stream::iter(&chunks)
            .for_each_concurrent(CHUNKS_AT_ONCE, async |placed| {
                drop(self.chunk(placed).await);
            })
            .await;
    }

    async fn chunk(&self, placed: &Placed) -> Result<Bytes> {
        let located = self.engine.locate_chunk(&placed.entry).await?;
        match self.frames.chunk(&located).await {
            Err(Error::Missing { .. }) => {
                let Located { pack, entry } = &located;
                let located = self.engine.relocate(pack, entry).await?;
                self.frames.chunk(&located).await
            }
            brought => brought,
        }
    }
}

/// Copies what of `bytes`, which lie at `begin`, belongs into the buffer, which lies at `offset`.
fn copy_overlap(bytes: &[u8], begin: u64, buffer: &mut [u8], offset: u64) {
    let index = |distance: u64| usize::try_from(distance).unwrap_or(usize::MAX);
    let skipped = index(offset.saturating_sub(begin)).min(bytes.len());
    let at = index(begin.saturating_sub(offset)).min(buffer.len());
    let length = (bytes.len() - skipped).min(buffer.len() - at);
    buffer[at..at + length].copy_from_slice(&bytes[skipped..skipped + length]);
}
