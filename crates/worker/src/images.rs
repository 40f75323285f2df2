//! Images at rest whose own bitmaps tell what has changed since the last backup.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_block::{BlockSource, Extent, ExtentKind, Known, Marks, Result, open_marked};
use strongroom_nbd::{Content, Piece};
use strongroom_types::BackupId;

use crate::transfer::ChangedDisk;

/// Bytes read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// A disk that nobody writes, under QEMU's lock, and which of it was written since a point.
pub(crate) struct ImageChanges {
    source: Box<dyn BlockSource>,
    marks: Marks,
    offset: u64,
}

/// An image that is open for reading, and its marks if they are to be believed.
pub(crate) struct OpenedImage {
    pub(crate) source: Box<dyn BlockSource>,
    pub(crate) marks: Known,
}

/// Opens a qcow2 image and looks for what QEMU has counted since the backup `since`.
pub(crate) fn open(path: &Path, since: &BackupId) -> Result<OpenedImage> {
    let (source, marks) = open_marked(path, &format!("strongroom-{since}"))?;
    Ok(OpenedImage { source, marks })
}

/// An image that is open once, under one lock, and read from several threads in turn.
#[derive(Clone)]
pub(crate) struct SharedSource {
    size_bytes: u64,
    source: Arc<Mutex<Box<dyn BlockSource>>>,
}

impl SharedSource {
    pub(crate) fn new(source: Box<dyn BlockSource>) -> Self {
        Self {
            size_bytes: source.size_bytes(),
            source: Arc::new(Mutex::new(source)),
        }
    }

    /// Sources keep nothing between two reads but caches, which a panic leaves whole.
    fn lock(&self) -> MutexGuard<'_, Box<dyn BlockSource>> {
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlockSource for SharedSource {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        self.lock().next_extent(offset)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.lock().read_at(offset, buffer)
    }
}

impl ImageChanges {
    pub(crate) fn new(source: Box<dyn BlockSource>, marks: Marks) -> Self {
        Self {
            source,
            marks,
            offset: 0,
        }
    }

    /// What is not marked is unchanged where it is there. It may be gone without a write, as after `qemu-img resize --shrink` and
    /// another `resize`, or without the image that it came from.
    fn unmarked(&mut self, length: u64) -> Result<(Content, u64)> {
        let extent = self.source.next_extent(self.offset)?.up_to(length);
        Ok(match extent.kind {
            ExtentKind::Hole => (Content::Hole, extent.length),
            ExtentKind::Data => (Content::Unchanged, extent.length),
        })
    }

    fn content(&mut self, length: u64) -> Result<(Content, u64)> {
        let extent: Extent = self.source.next_extent(self.offset)?;
        let extent = extent.up_to(length);
        if extent.kind == ExtentKind::Hole {
            return Ok((Content::Hole, extent.length));
        }
        let length = extent.length.min(PIECE_BYTES);
        let mut data = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.source.read_at(self.offset, &mut data)?;
        Ok((Content::Data(data), length))
    }
}

impl ChangedDisk for ImageChanges {
    fn next_piece(&mut self) -> Result<Option<Piece>> {
        let offset = self.offset;
        if offset >= self.source.size_bytes() {
            return Ok(None);
        }
        let (content, length) = match self.marks.at(offset) {
            (false, length) => self.unmarked(length)?,
            (true, length) => self.content(length)?,
        };
        self.offset += length;
        Ok(Some(Piece {
            offset,
            length,
            content,
        }))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.source.read_at(offset, buffer)
    }
}
