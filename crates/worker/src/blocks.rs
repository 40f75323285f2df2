//! Disks as two installations speak of them: stretches of blocks, each named by a keyed hash of its bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use strongroom_repo::{Content, Error, PointId, PointReader, Repository};
use strongroom_service::peers::BlockId;

/// What is compared: disks change in place, so blocks lie where they lay.
pub(crate) const BLOCK_BYTES: usize = 64 << 10;
/// What is asked for and sent at a time, and what a crash may have to send again.
pub(crate) const STRETCH_BYTES: u64 = 16 << 20;
/// Names a block of zeros, which is never sent.
pub(crate) const ZERO: BlockId = [0; 32];

/// How many stretches a disk has.
pub(crate) const fn stretches(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(STRETCH_BYTES)
}

/// How many bytes a stretch of a disk has; none beyond its end.
pub(crate) fn stretch_bytes(size_bytes: u64, number: u64) -> u64 {
    let begin = number.saturating_mul(STRETCH_BYTES);
    size_bytes.saturating_sub(begin).min(STRETCH_BYTES)
}

/// The ids of the blocks of a stretch; the last block of a disk may be short.
pub(crate) fn block_ids(key: &[u8; 32], stretch: &[u8]) -> Vec<BlockId> {
    let blocks = stretch.chunks(BLOCK_BYTES);
    blocks.map(|block| block_id(key, block)).collect()
}

pub(crate) fn block_id(key: &[u8; 32], block: &[u8]) -> BlockId {
    if block.iter().all(|byte| *byte == 0) {
        ZERO
    } else {
        *blake3::keyed_hash(key, block).as_bytes()
    }
}

/// Says what a whole disk holds, from the ids of its blocks in order.
#[derive(Debug)]
pub(crate) struct DiskHash(blake3::Hasher);

impl DiskHash {
    pub(crate) fn new(key: &[u8; 32], size_bytes: u64) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(key);
        hasher.update(&size_bytes.to_le_bytes());
        Self(hasher)
    }

    pub(crate) fn add(&mut self, ids: &[BlockId]) {
        for id in ids {
            self.0.update(id);
        }
    }

    pub(crate) fn finish(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

/// Reads a point stretch by stretch.
#[derive(Debug)]
pub(crate) struct StretchReader {
    reader: PointReader,
    waiting: VecDeque<Content>,
    left: u64,
}

impl StretchReader {
    pub(crate) async fn open(repository: &Repository, point: &PointId) -> Result<Self, Error> {
        let reader = repository.read_point(point).await?;
        Ok(Self {
            left: reader.size_bytes(),
            reader,
            waiting: VecDeque::new(),
        })
    }

    /// The next stretch; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        if self.left == 0 {
            // The reader is done only once it has been asked for more than there is.
            return self.reader.next().await.map(|_| None);
        }
        let wanted = to_usize(self.left.min(STRETCH_BYTES));
        let mut stretch = Vec::with_capacity(wanted);
        while stretch.len() < wanted {
            if self.waiting.is_empty() {
                let segment = self.reader.next().await?;
                let segment = segment.ok_or(Error::Broken("a point that ends early"))?;
                self.waiting.push_back(segment.content);
            }
            self.take(&mut stretch, wanted);
        }
        self.left -= wanted as u64;
        Ok(Some(stretch))
    }

    /// Moves bytes that wait into the stretch, as far as they fit.
    fn take(&mut self, stretch: &mut Vec<u8>, wanted: usize) {
        let room = wanted - stretch.len();
        let rest = match self.waiting.pop_front() {
            Some(Content::Data(mut data)) => {
                let fitting = data.split_to(data.len().min(room));
                stretch.extend_from_slice(&fitting);
                (!data.is_empty()).then_some(Content::Data(data))
            }
            Some(Content::Hole(length)) => {
                let fitting = length.min(room as u64);
                stretch.resize(stretch.len() + to_usize(fitting), 0);
                (length > fitting).then_some(Content::Hole(length - fitting))
            }
            None => None,
        };
        self.waiting.extend(rest);
    }
}

/// Bytes of a point from an offset on, zeros behind its end.
pub(crate) async fn read_at(
    repository: &Repository,
    point: &PointId,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, Error> {
    let size = repository.get_point(point).await?.size_bytes;
    let end = offset.saturating_add(length).min(size);
    let mut bytes = Vec::with_capacity(to_usize(length));
    if offset < end {
        let mut reader = repository.read_point_range(point, offset..end).await?;
        while let Some(segment) = reader.next().await? {
            match segment.content {
                Content::Data(data) => bytes.extend_from_slice(&data),
                Content::Hole(hole) => bytes.resize(bytes.len() + to_usize(hole), 0),
            }
        }
    }
    bytes.resize(to_usize(length), 0);
    Ok(bytes)
}

/// A stretch as runs of bytes and of zeros, for a writer.
pub(crate) fn runs(stretch: Vec<u8>, ids: &[BlockId]) -> Vec<Content> {
    let stretch = Bytes::from(stretch);
    let mut runs = Vec::new();
    let mut begin = 0;
    while begin < ids.len() {
        let is_zero = ids[begin] == ZERO;
        let more = ids[begin..]
            .iter()
            .take_while(|id| (**id == ZERO) == is_zero);
        let end = begin + more.count();
        let first = begin * BLOCK_BYTES;
        let last = (end * BLOCK_BYTES).min(stretch.len());
        runs.push(if is_zero {
            Content::Hole((last - first) as u64)
        } else {
            Content::Data(stretch.slice(first..last))
        });
        begin = end;
    }
    runs
}

/// Stretches fit into memory, and so into a `usize`.
fn to_usize(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
