//! Reading around what a disk cannot read any more. One bad sector is no reason to lose the rest of an object: it is
//! read in small pieces, and those that fail are holes, which parity or a copy may fill.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_store::{Fault, StorageKind, fault_of};

use super::Store;
use crate::{Error, Result, layout};

/// Tried first; where it fails, its pages are tried one by one.
const PIECE_BYTES: u64 = 64 << 10;
/// Disks have sectors of this length, and kernels read files in pages of it.
const PAGE_BYTES: u64 = 4 << 10;
/// A disk takes seconds for each page that it gives up. Behind so many the rest counts as lost.
const BAD_PAGES_MAX: u64 = 1024;
/// Holes that a message names.
const NAMED_MAX: usize = 4;

/// An object, or a range of it, as far as it can be read.
#[derive(Debug)]
pub(crate) struct Salvaged {
    /// With zeros in the holes.
    pub(crate) bytes: Bytes,
    pub(crate) holes: Holes,
}

/// What cannot be read of an object: sorted ranges of its bytes that do not touch.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Holes(Vec<Range<u64>>);

impl Holes {
    /// Behind all that were added before.
    fn add(&mut self, range: Range<u64>) {
        match self.0.last_mut() {
            Some(last) if last.end >= range.start => last.end = range.end,
            _ => self.0.push(range),
        }
    }

    /// Adds those of what was read next.
    pub(crate) fn extend(&mut self, behind: Self) {
        behind.0.into_iter().for_each(|range| self.add(range));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn hit(&self, range: &Range<u64>) -> bool {
        let holes = &mut self.0.iter();
        holes.any(|hole| hole.start < range.end && range.start < hole.end)
    }

    pub(crate) fn error(&self, object: &Path) -> Error {
        Error::Corrupt {
            object: object.to_string(),
            detail: self.to_string(),
        }
    }
}

impl fmt::Display for Holes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the disk cannot read")?;
        for (number, hole) in self.0.iter().take(NAMED_MAX).enumerate() {
            let comma = if number > 0 { "," } else { "" };
            write!(f, "{comma} bytes {} to {}", hole.start, hole.end)?;
        }
        if self.0.len() > NAMED_MAX {
            let more = self.0.len() - NAMED_MAX;
            let bytes: u64 = self.0.iter().map(|hole| hole.end - hole.start).sum();
            write!(f, " and {more} ranges more, {bytes} bytes in all")?;
        }
        Ok(())
    }
}

impl Salvaged {
    /// [`Error::Corrupt`] if anything could not be read.
    pub(crate) fn whole(self, object: &Path) -> Result<Bytes> {
        if self.holes.is_empty() {
            Ok(self.bytes)
        } else {
            Err(self.holes.error(object))
        }
    }
}

impl Store {
    /// Reads what can be read of an object.
    pub(crate) async fn salvage(&self, path: &Path) -> Result<Salvaged> {
        let objects = &self.storage.objects;
        let read = match objects.get(path).await {
            Ok(result) => {
                fits(path, result.meta.size)?;
                result.bytes().await
            }
            Err(error) => Err(error),
        };
        match read {
            Ok(bytes) => Ok(Salvaged {
                bytes,
                holes: Holes::default(),
            }),
            Err(error) => {
                let length = self.length_of_unreadable(path, error).await?;
                fits(path, length)?;
                self.piece_together(path, 0..length).await
            }
        }
    }

    /// Reads what can be read of a range that lies within an object.
    pub(crate) async fn salvage_range(&self, path: &Path, range: Range<u64>) -> Result<Salvaged> {
        let read = self.storage.objects.get_range(path, range.clone()).await;
        match read {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(Salvaged {
                bytes,
                holes: Holes::default(),
            }),
            Ok(_) => Err(cut_short(path)),
            Err(error) => self.salvage_failed(path, range, error).await,
        }
    }

    /// Reads around what made a read of this range fail.
    async fn salvage_failed(
        &self,
        path: &Path,
        range: Range<u64>,
        error: object_store::Error,
    ) -> Result<Salvaged> {
        if fault_of(&error) != Fault::Unreadable {
            let ranges = std::slice::from_ref(&range);
            return Err(self.explain(path, ranges, error).await);
        }
        let length = self.length_of_unreadable(path, error).await?;
        if range.end > length {
            return Err(cut_short(path));
        }
        self.piece_together(path, range).await
    }

    /// The length of an object that could not be read because of its bytes, and of these alone. Else the error:
    /// [`Error::Unavailable`] when the whole place is away.
    pub(super) async fn length_of_unreadable(
        &self,
        path: &Path,
        error: object_store::Error,
    ) -> Result<u64> {
        if fault_of(&error) != Fault::Unreadable || !self.is_otherwise_readable().await {
            return Err(Error::store("read", path, error));
        }
        match self.storage.objects.head(path).await {
            Ok(meta) => Ok(meta.size),
            Err(error) if fault_of(&error) == Fault::Unreadable => Err(Error::Corrupt {
                object: path.to_string(),
                detail: "the disk cannot read where it lies".to_owned(),
            }),
            Err(error) => Err(Error::store("read", path, error)),
        }
    }

    /// Tells a bad sector from a disk that is gone, of which every read fails: a config can be read. What a server
    /// cannot read is its own affair.
    pub(crate) async fn is_otherwise_readable(&self) -> bool {
        if self.storage.kind() == StorageKind::S3 {
            return false;
        }
        for name in layout::CONFIGS {
            let config = self.storage.objects.get(&Path::from(name)).await;
            if let Ok(config) = config
                && config.bytes().await.is_ok()
            {
                return true;
            }
        }
        false
    }

    async fn piece_together(&self, path: &Path, range: Range<u64>) -> Result<Salvaged> {
        let length = usize::try_from(range.end - range.start).map_err(|_| cut_short(path))?;
        let mut bytes = BytesMut::with_capacity(length);
        let mut holes = Holes::default();
        let mut bad_pages = 0;
        for piece in pieces(range, PIECE_BYTES) {
            if let Some(read) = self.piece(path, &piece).await? {
                bytes.extend_from_slice(&read);
                continue;
            }
            for page in pieces(piece, PAGE_BYTES) {
                let read = match bad_pages {
                    BAD_PAGES_MAX.. => None,
                    _ => self.piece(path, &page).await?,
                };
                if let Some(read) = read {
                    bytes.extend_from_slice(&read);
                } else {
                    bad_pages += 1;
                    bytes.resize(bytes.len() + index(page.end - page.start), 0);
                    holes.add(page);
                }
            }
        }
        Ok(Salvaged {
            bytes: bytes.freeze(),
            holes,
        })
    }

    /// Nothing if the disk cannot read it.
    async fn piece(&self, path: &Path, range: &Range<u64>) -> Result<Option<Bytes>> {
        match self.storage.objects.get_range(path, range.clone()).await {
            Ok(bytes) if bytes.len() as u64 == range.end - range.start => Ok(Some(bytes)),
            // Replaced meanwhile, by something else.
            Ok(_) => Err(cut_short(path)),
            Err(error) if fault_of(&error) == Fault::Unreadable => Ok(None),
            Err(error) => {
                let ranges = std::slice::from_ref(range);
                Err(self.explain(path, ranges, error).await)
            }
        }
    }
}

/// It is brought into memory: a file that only looks large must not end the process.
fn fits(path: &Path, length: u64) -> Result<()> {
    if length <= layout::bytes_max(path) {
        return Ok(());
    }
    Err(Error::Corrupt {
        object: path.to_string(),
        detail: "larger than anything of its kind".to_owned(),
    })
}

/// A range in parts that begin at multiples of `bytes`, but for the first.
fn pieces(range: Range<u64>, bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let mut start = range.start;
    std::iter::from_fn(move || {
        let end = range.end.min((start / bytes + 1) * bytes);
        let piece = start..end;
        start = end;
        (!piece.is_empty()).then_some(piece)
    })
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("a page fits into memory")
}

pub(super) fn cut_short(path: &Path) -> Error {
    Error::Corrupt {
        object: path.to_string(),
        detail: "cut short".to_owned(),
    }
}
