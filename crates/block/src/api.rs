use crate::Result;

/// A disk that is being backed up. It does not change while it is open.
///
/// Blocking: async callers use it on a blocking thread.
pub trait BlockSource: Send {
    /// The disk's size as its machine sees it.
    fn size_bytes(&self) -> u64;

    /// What lies at `offset`, and how far at least.
    ///
    /// Neighbouring extents may be of one kind; the length is 0 only at or after the end.
    fn next_extent(&mut self, offset: u64) -> Result<Extent>;

    /// Fills `buffer` with the bytes at `offset`; holes read as zeros. The range must lie inside
    /// the disk.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()>;
}

/// A disk that is being restored.
///
/// Nothing is durable before [`flush`](Self::flush) returned. Dropping a sink without a flush keeps
/// the image readable, but its content is then any mixture of before and after.
pub trait BlockSink: Send {
    /// The disk's size as its machine sees it.
    fn size_bytes(&self) -> u64;

    /// As [`BlockSource::next_extent`], so that a hole over a hole costs nothing.
    fn next_extent(&mut self, offset: u64) -> Result<Extent>;

    /// As [`BlockSource::read_at`], so that a restore writes only what differs.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// Writes `data` at `offset`. The range must lie inside the disk.
    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()>;

    /// Makes the range read as zeros, and gives its space back where the image can.
    fn zero_range(&mut self, offset: u64, length: u64) -> Result<()>;

    /// Does it read as zeros wherever this sink has not written yet? Then there is nothing to compare with.
    fn starts_blank(&self) -> bool {
        false
    }

    /// Returns when everything written so far survives a power cut.
    fn flush(&mut self) -> Result<()>;
}

/// A stretch of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// In bytes.
    pub length: u64,
    pub kind: ExtentKind,
}

impl Extent {
    pub const fn data(length: u64) -> Self {
        Self {
            length,
            kind: ExtentKind::Data,
        }
    }

    pub const fn hole(length: u64) -> Self {
        Self {
            length,
            kind: ExtentKind::Hole,
        }
    }

    /// The same extent, `limit` bytes long at most.
    #[must_use]
    pub fn up_to(self, limit: u64) -> Self {
        Self {
            length: self.length.min(limit),
            ..self
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentKind {
    /// Holds bytes, which may be zeros all the same.
    Data,
    /// Reads as zeros and need not be read.
    Hole,
}
