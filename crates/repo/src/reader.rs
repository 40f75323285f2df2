//! Reading a point. A task walks the tree ahead of the caller and starts fetches of a few MiB each; a
//! bounded number of them is under way, and their results are handed out in order: of the image, or of the packs.

mod fetch;
mod packed;
mod plan;

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::engine::Engine;
use crate::points::StoredPoint;
use crate::sessions::Reading;
use crate::{Error, Result};

/// Fetches under way; each opens up to 4 MiB of frames for 2 MiB of the image. More were no faster against a server 50
/// or 150 ms away, since each asks for up to four packs at once; sixteen took 30 to 80 MiB more memory than eight.
const FETCHES_MAX: usize = 8;

/// A stretch of a point's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub offset: u64,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Data(Bytes),
    /// So many zero bytes.
    Hole(u64),
}

/// What comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// What lies first in the image.
    Image,
    /// What lies first in a pack; for whole images only.
    Packs,
}

/// Bytes at an offset of the image.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
}

impl Piece {
    fn within(self, range: &Range<u64>) -> Self {
        let length = self.bytes.len() as u64;
        let skipped = range.start.saturating_sub(self.offset).min(length);
        let beyond = self.offset.saturating_add(length).saturating_sub(range.end);
        let kept = length.saturating_sub(beyond).max(skipped);
        let [skipped, kept] = [skipped, kept].map(|n| usize::try_from(n).unwrap_or(usize::MAX));
        Self {
            offset: self.offset.saturating_add(skipped as u64),
            bytes: self.bytes.slice(skipped..kept),
        }
    }
}

type Fetch = JoinHandle<Result<Vec<Piece>>>;

/// What the walk over the tree says. A walk that falls silent has not come to the end.
#[derive(Debug)]
enum Planned {
    Fetch(Fetch),
    /// Told in the order of packs only, where nobody sees them between the pieces.
    Holes(Vec<Range<u64>>),
    /// Behind the last fetch there are only zeros, in the order of the image.
    End,
}

/// Streams a point, each byte once, holes included.
#[derive(Debug)]
pub struct PointReader {
    /// Of the whole image.
    image_bytes: u64,
    /// What of it is read.
    range: Range<u64>,
    order: Order,
    /// In the order of the image, all before it was handed out. In the order of packs, so many bytes were.
    position: u64,
    fetches: mpsc::Receiver<Result<Planned>>,
    all_planned: bool,
    ready: VecDeque<Piece>,
    /// See [`Planned::Holes`].
    holes: VecDeque<Range<u64>>,
    /// Collections wait for it, until the last byte is handed out.
    session: Option<Reading>,
}

impl PointReader {
    pub(crate) fn start(
        engine: Arc<Engine>,
        point: &StoredPoint,
        range: Range<u64>,
        session: Reading,
        order: Order,
    ) -> Result<Self> {
        let root = point
            .root()
            .map_err(|error| Error::decoding("a point", error))?;
        let (sender, fetches) = mpsc::channel(FETCHES_MAX);
        if let Some(root) = root {
            tokio::spawn(plan::run(engine, root, range.clone(), order, sender));
        }
        Ok(Self {
            image_bytes: point.size_bytes,
            position: range.start,
            range,
            order,
            fetches,
            all_planned: root.is_none(),
            ready: VecDeque::new(),
            holes: VecDeque::new(),
            session: Some(session),
        })
    }

    /// How much is read in all.
    pub fn size_bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The next stretch: where the last one ended, unless the reader was asked for the order of the packs; nothing at
    /// the end. Every byte was checked against the id of its chunk. [`Error::Corrupt`] and [`Error::Missing`] name the
    /// damaged object; the reader is of no use behind an error.
    pub async fn next(&mut self) -> Result<Option<Segment>> {
        loop {
            if let Some(hole) = self.holes.pop_front() {
                let length = hole.end - hole.start;
                self.position += length;
                return Ok(Some(Segment {
                    offset: hole.start,
                    content: Content::Hole(length),
                }));
            }
            if let Some(piece) = self.ready.front() {
                let offset = piece.offset;
                return match self.hole_before(offset) {
                    Some(hole) => Ok(Some(hole)),
                    None => self.next_piece().map(Some),
                };
            }
            if self.all_planned {
                self.check_whole()?;
                let hole = self.hole_until(self.range.end);
                if let (None, Some(session)) = (&hole, self.session.take()) {
                    session.end().await;
                }
                return Ok(hole);
            }
            let gone = Error::Broken("a task that walks a tree");
            match self.fetches.recv().await.ok_or(gone)?? {
                Planned::End => self.all_planned = true,
                Planned::Holes(holes) => self.holes.extend(holes),
                Planned::Fetch(fetch) => {
                    let pieces = fetch.await.map_err(|_| Error::Broken("a reading task"))??;
                    let pieces: Vec<_> = pieces.into_iter().map(|p| self.trim(p)).collect();
                    self.ready.extend(pieces);
                }
            }
        }
    }

    /// In the order of packs, where nobody sees a gap: a point that is not all zeros is told of to its last byte.
    fn check_whole(&self) -> Result<()> {
        let half = self.position > 0 && self.position < self.range.end;
        match self.order {
            Order::Packs if half => Err(Error::Broken("a task that walks a tree")),
            Order::Packs | Order::Image => Ok(()),
        }
    }

    fn next_piece(&mut self) -> Result<Segment> {
        let piece = self.ready.pop_front();
        let Some(piece) = piece.filter(|p| self.fits(p)) else {
            return Err(Error::Corrupt {
                object: "a node".to_owned(),
                detail: "chunks overlap or reach beyond the end".to_owned(),
            });
        };
        self.position += piece.bytes.len() as u64;
        Ok(Segment {
            offset: piece.offset,
            content: Content::Data(piece.bytes),
        })
    }

    /// A chunk at either end of what is read may reach beyond it, but none beyond the image.
    fn trim(&self, piece: Piece) -> Piece {
        let end = piece.offset.checked_add(piece.bytes.len() as u64);
        if end.is_some_and(|end| end <= self.image_bytes) {
            piece.within(&self.range)
        } else {
            piece
        }
    }

    /// In the order of packs the walk has looked already.
    fn fits(&self, piece: &Piece) -> bool {
        let end = piece.offset.checked_add(piece.bytes.len() as u64);
        let in_place = piece.offset == self.position || self.order == Order::Packs;
        in_place && end.is_some_and(|end| end <= self.range.end)
    }

    /// The zeros between the last piece and this one.
    fn hole_before(&mut self, offset: u64) -> Option<Segment> {
        match self.order {
            Order::Image => self.hole_until(offset),
            Order::Packs => None,
        }
    }

    fn hole_until(&mut self, end: u64) -> Option<Segment> {
        let offset = self.position;
        let length = end.checked_sub(offset).filter(|length| *length > 0)?;
        self.position = end;
        Some(Segment {
            offset,
            content: Content::Hole(length),
        })
    }
}
