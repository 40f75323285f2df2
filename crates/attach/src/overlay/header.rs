use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::grains::GRAIN_BYTES;

const MAGIC: &[u8; 8] = b"SR-OVRLY";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 88;
const IDENTITY_BYTES: usize = 64;
/// In a sector of its own, since it changes.
const BOOT_OFFSET: u64 = 512;
pub(super) const BOOT_BYTES: usize = 36;
/// Where the maps begin, and what they are rounded up to.
const PAGE_BYTES: u64 = 4096;

/// The kernel that runs, by its random id.
pub(super) type Boot = [u8; BOOT_BYTES];

/// What an overlay says of itself, and where everything lies in it.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) size_bytes: u64,
    /// Of what lies below, padded with zeros.
    pub(super) identity: [u8; IDENTITY_BYTES],
}

impl Header {
    pub(super) fn new(size_bytes: u64, identity: &str) -> Self {
        let mut padded = [0; IDENTITY_BYTES];
        let bytes = &identity.as_bytes()[..identity.len().min(IDENTITY_BYTES)];
        padded[..bytes.len()].copy_from_slice(bytes);
        Self {
            size_bytes,
            identity: padded,
        }
    }

    /// Whether the file is empty, or its making was cut short.
    pub(super) fn is_still_missing(file: &File, wanted: &Self) -> io::Result<bool> {
        let length = file.metadata()?.len();
        if length == 0 {
            return Ok(true);
        }
        if length != wanted.file_bytes() {
            return Ok(false);
        }
        let mut bytes = [0; HEADER_BYTES];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes == [0; HEADER_BYTES])
    }

    /// None if this is no overlay, or one of another version.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; HEADER_BYTES];
        match file.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let word = |at: usize| {
            let word = <[u8; 4]>::try_from(&bytes[at..at + 4]).expect("4 bytes");
            u32::from_le_bytes(word)
        };
        let known = bytes[..8] == *MAGIC && word(8) == VERSION;
        if !known || u64::from(word(12)) != GRAIN_BYTES {
            return Ok(None);
        }
        let size = <[u8; 8]>::try_from(&bytes[16..24]).expect("8 bytes");
        let header = Self {
            size_bytes: u64::from_le_bytes(size),
            identity: bytes[24..].try_into().expect("64 bytes"),
        };
        let is_whole = file.metadata()?.len() == header.file_bytes();
        Ok(is_whole.then_some(header))
    }

    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        let grain_bytes = u32::try_from(GRAIN_BYTES).expect("64 KiB");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(grain_bytes.to_le_bytes());
        bytes.extend(self.size_bytes.to_le_bytes());
        bytes.extend(self.identity);
        file.write_all_at(&bytes, 0)
    }

    pub(super) fn read_boot(file: &File) -> io::Result<Boot> {
        let mut boot = [0; BOOT_BYTES];
        file.read_exact_at(&mut boot, BOOT_OFFSET)?;
        Ok(boot)
    }

    pub(super) fn write_boot(file: &File, boot: &Boot) -> io::Result<()> {
        file.write_all_at(boot, BOOT_OFFSET)
    }

    /// Whoever opens the file next trusts the safe map alone.
    pub(super) fn forget_boot(file: &File) -> io::Result<()> {
        Self::write_boot(file, &[0; BOOT_BYTES])
    }

    pub(super) fn grains(&self) -> u64 {
        self.size_bytes.div_ceil(GRAIN_BYTES)
    }

    /// What of the disk a grain holds; the last one may be short.
    pub(super) fn grain(&self, number: u64) -> Range<u64> {
        let start = number * GRAIN_BYTES;
        start..(start + GRAIN_BYTES).min(self.size_bytes)
    }

    /// A bit for each grain, the lowest of each byte first.
    pub(super) fn map_bytes(&self) -> u64 {
        self.grains().div_ceil(8)
    }

    pub(super) fn running_offset() -> u64 {
        PAGE_BYTES
    }

    pub(super) fn safe_offset(&self) -> u64 {
        Self::running_offset() + self.map_bytes().next_multiple_of(PAGE_BYTES)
    }

    pub(super) fn data_offset(&self) -> u64 {
        let end = self.safe_offset() + self.map_bytes();
        end.next_multiple_of(GRAIN_BYTES)
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.data_offset().saturating_add(self.size_bytes)
    }
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let identity = String::from_utf8_lossy(&self.identity);
        let identity = identity.trim_end_matches('\0');
        write!(f, "{identity} ({} bytes)", self.size_bytes)
    }
}

/// None where the system does not say.
pub(super) fn boot_id() -> Option<Boot> {
    let text = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    text.get(..BOOT_BYTES)?.try_into().ok()
}
