//! The bytes of a segment, in memory or in a file.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use memmap2::Mmap;

#[derive(Debug)]
pub(crate) enum Content {
    Memory(Bytes),
    File { map: Mmap, file: File },
}

impl Content {
    /// A file that nobody changes: objects are written under another name, made durable and renamed, never opened
    /// for writing again.
    pub(crate) fn map(file: File) -> io::Result<Self> {
        // SAFETY: the bytes are only read as bytes, and every value read from them is checked against bounds, so a
        // change behind our back gives a wrong number at worst. A file that shrinks, or a disk that fails when
        // a page is read again, ends the process with SIGBUS: accepted, see docs/decisions/0034. Each block is
        // read through `read` before it is first used in place, so that a bad disk is mostly met there.
        #[expect(unsafe_code, reason = "mapping a file cannot be safe; see above")]
        let map = unsafe { Mmap::map(&file)? };
        Ok(Self::File { map, file })
    }

    pub(crate) fn length(&self) -> u64 {
        self.in_place().len() as u64
    }

    #[inline]
    pub(crate) fn in_place(&self) -> &[u8] {
        match self {
            Self::Memory(bytes) => bytes,
            Self::File { map, .. } => map,
        }
    }

    /// The bytes as the file has them now, with an error where the disk fails. `buffer` is used if it must be.
    pub(crate) fn read<'a>(
        &'a self,
        range: &Range<u64>,
        buffer: &'a mut Vec<u8>,
    ) -> io::Result<&'a [u8]> {
        let cut_short = || io::Error::from(io::ErrorKind::UnexpectedEof);
        match self {
            Self::Memory(bytes) => bytes.get(indices(range)).ok_or_else(cut_short),
            Self::File { file, .. } => {
                if range.end > self.length() {
                    return Err(cut_short());
                }
                buffer.resize(indices(range).len(), 0);
                file.read_exact_at(buffer, range.start)?;
                Ok(buffer)
            }
        }
    }
}

/// Objects fit the address space: their lengths were checked against what there is.
#[inline]
pub(crate) fn indices(range: &Range<u64>) -> Range<usize> {
    let index = |value| usize::try_from(value).expect("objects fit the address space");
    index(range.start)..index(range.end)
}
