//! Raw images: the file's bytes are the disk's bytes.

use crate::file::ImageFile;
use crate::{BlockSink, BlockSource, Extent, Result};

/// A file or a device whose size stays what it was when it was opened.
#[derive(Debug)]
pub(crate) struct RawImage {
    file: ImageFile,
    size_bytes: u64,
    starts_blank: bool,
}

impl RawImage {
    pub(crate) fn new(file: ImageFile) -> Self {
        Self {
            size_bytes: file.size_bytes(),
            file,
            starts_blank: false,
        }
    }

    /// A file that was just made.
    pub(crate) fn blank(file: ImageFile) -> Self {
        Self {
            starts_blank: true,
            ..Self::new(file)
        }
    }
}

impl BlockSource for RawImage {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        self.file.next_extent(offset)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file
            .check_range(self.size_bytes, offset, buffer.len() as u64)?;
        self.file.read_at(offset, buffer)
    }
}

impl BlockSink for RawImage {
    fn size_bytes(&self) -> u64 {
        BlockSource::size_bytes(self)
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        BlockSource::next_extent(self, offset)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        BlockSource::read_at(self, offset, buffer)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.file
            .check_range(self.size_bytes, offset, data.len() as u64)?;
        self.file.write_at(offset, data)
    }

    fn zero_range(&mut self, offset: u64, length: u64) -> Result<()> {
        self.file.check_range(self.size_bytes, offset, length)?;
        self.file.zero_range(offset, length)
    }

    fn starts_blank(&self) -> bool {
        self.starts_blank
    }

    fn flush(&mut self) -> Result<()> {
        self.file.sync()
    }
}
