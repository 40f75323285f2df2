//! Dirty bitmaps that QEMU keeps in an image: what of the disk was written since each began.
//!
//! A bitmap is believed or not; what is wrong with it is a reason, never an error. Whoever writes the image without knowing of
//! bitmaps, as a [`Writer`](super::Writer) does, clears a bit of the header that vouches for them.

use std::path::Path;

use super::{Chain, Header, Image, be32, be64, small, words_from_bytes};
use crate::file::{ImageFile, Purpose};
use crate::{BlockSource, Result};

/// Of the header's autoclear features: the bitmaps are as the writes were.
const VOUCHED_FOR: u64 = 1 << 0;
const EXTENSION_END: u32 = 0;
const EXTENSION_BITMAPS: u32 = 0x2385_2875;
const EXTENSION_BYTES: usize = 24;
/// Of the extensions of version 3, where they begin is a field of the header.
const HEADER_LENGTH_FIELD: usize = 100;
const DIRECTORY_BYTES_MAX: u64 = 1 << 20;
const ENTRY_BYTES: usize = 24;
/// QEMU was not closed properly, or has the image open.
const IN_USE: u32 = 1 << 0;
/// It records.
const AUTO: u32 = 1 << 1;
const KIND_DIRTY: u8 = 1;
/// A bitmap of grains of 64 KiB has so much for 16 TiB.
const BITS_BYTES_MAX: u64 = 32 << 20;
const OFFSET_MASK: u64 = 0x00ff_ffff_ffff_fe00;
const ALL_ONES: u64 = 1;

/// Which grains of a disk were written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    size_bytes: u64,
    grain_bytes: u64,
    /// One for each grain, the lowest bit of a byte first.
    bits: Vec<u8>,
}

/// Opens a qcow2 image for reading as [`open_source`](crate::open_source) does. `bitmap` is the bitmap's name.
pub fn open_marked(path: &Path, bitmap: &str) -> Result<(Box<dyn BlockSource>, Known)> {
    let file = ImageFile::open(path, Purpose::Read)?;
    file.expect_sequential_reads();
    let image = Image::open(file, &mut Chain::default())?;
    let marks = read(&image.file, &image.header, bitmap)?;
    Ok((Box::new(image), marks))
}

/// What is found, or why it cannot be known; continues "it was read whole, because".
pub type Known<T = Marks> = std::result::Result<T, &'static str>;

impl Marks {
    /// Whether the byte at `offset` is marked, and how many bytes from there on are all like it. `offset` lies on the disk.
    pub fn at(&self, offset: u64) -> (bool, u64) {
        let first = offset / self.grain_bytes;
        let is_marked = self.is_marked(first);
        let end = self.size_bytes.div_ceil(self.grain_bytes);
        let mut next = first + 1;
        while next < end {
            // Most bytes are all alike.
            let like = if is_marked { 0xff } else { 0 };
            if next.is_multiple_of(8) && end - next >= 8 && self.bits[small(next / 8)] == like {
                next += 8;
            } else if self.is_marked(next) == is_marked {
                next += 1;
            } else {
                break;
            }
        }
        let until = (next * self.grain_bytes).min(self.size_bytes);
        (is_marked, until - offset)
    }

    /// In whole grains.
    pub fn marked_bytes(&self) -> u64 {
        let marked: u64 = self
            .bits
            .iter()
            .map(|byte| u64::from(byte.count_ones()))
            .sum();
        marked * self.grain_bytes
    }

    fn is_marked(&self, grain: u64) -> bool {
        self.bits[small(grain / 8)] >> (grain % 8) & 1 == 1
    }
}

/// An entry of the directory.
struct Entry {
    table_offset: u64,
    table_entries: u64,
    flags: u32,
    kind: u8,
    grain_bits: u8,
    extra_bytes: u32,
}

fn read(file: &ImageFile, header: &Header, name: &str) -> Result<Known> {
    if header.version < 3 || header.autoclear & VOUCHED_FOR == 0 {
        return Ok(Err("the image does not vouch for bitmaps"));
    }
    // Both can show another content without a write.
    if header.snapshots_offset != 0 || header.backing.is_some() {
        return Ok(Err("the image has snapshots, or builds on another one"));
    }
    let Some((offset, length)) = directory(file, header)? else {
        return Ok(Err("the image has no bitmaps"));
    };
    let mut directory = vec![0; small(length)];
    file.read_at(offset, &mut directory)?;
    let Some(entry) = Entry::find(&directory, name) else {
        return Ok(Err("the image has no bitmap of the last backup"));
    };
    if let Err(reason) = entry.check() {
        return Ok(Err(reason));
    }
    bits(file, header, &entry)
}

/// Where the directory lies, if it is one that could be read.
fn directory(file: &ImageFile, header: &Header) -> Result<Option<(u64, u64)>> {
    let mut cluster = vec![0; small(header.cluster_bytes().min(file.size_bytes()))];
    file.read_at(0, &mut cluster)?;
    let start = small(u64::from(be32(&cluster, HEADER_LENGTH_FIELD)));
    let mut area = cluster.get(start..).unwrap_or_default();
    while area.len() >= 8 {
        let (kind, length) = (be32(area, 0), small(u64::from(be32(area, 4).min(1 << 21))));
        let Some(data) = area[8..].get(..length) else {
            return Ok(None);
        };
        match kind {
            EXTENSION_END => return Ok(None),
            EXTENSION_BITMAPS if length == EXTENSION_BYTES => {
                let (length, offset) = (be64(data, 8), be64(data, 16));
                let is_sane = (1..=DIRECTORY_BYTES_MAX).contains(&length)
                    && header.lies_inside(file, offset, length);
                return Ok(is_sane.then_some((offset, length)));
            }
            _ => {}
        }
        area = area[8..]
            .get(length.next_multiple_of(8)..)
            .unwrap_or_default();
    }
    Ok(None)
}

impl Entry {
    fn find(mut directory: &[u8], name: &str) -> Option<Self> {
        while directory.len() >= ENTRY_BYTES {
            let name_bytes = usize::from(u16::from_be_bytes([directory[18], directory[19]]));
            let extra_bytes = be32(directory, 20);
            let start = ENTRY_BYTES.checked_add(usize::try_from(extra_bytes).ok()?)?;
            let end = start.checked_add(name_bytes)?;
            if directory.get(start..end)? == name.as_bytes() {
                return Some(Self {
                    table_offset: be64(directory, 0),
                    table_entries: u64::from(be32(directory, 8)),
                    flags: be32(directory, 12),
                    kind: directory[16],
                    grain_bits: directory[17],
                    extra_bytes,
                });
            }
            directory = directory.get(end.checked_next_multiple_of(8)?..)?;
        }
        None
    }

    fn check(&self) -> Known<()> {
        if self.flags & IN_USE != 0 {
            return Err("its machine ended without closing the image");
        }
        let is_plain = self.flags == AUTO && self.extra_bytes == 0 && self.kind == KIND_DIRTY;
        if is_plain && (9..=31).contains(&self.grain_bits) {
            return Ok(());
        }
        Err("the bitmap of the last backup is not one that records")
    }
}

fn bits(file: &ImageFile, header: &Header, entry: &Entry) -> Result<Known> {
    let grain_bytes = 1_u64 << entry.grain_bits;
    let length = header.size_bytes.div_ceil(grain_bytes).div_ceil(8);
    let cluster = header.cluster_bytes();
    let table_bytes = entry.table_entries * 8;
    let is_sane = length <= BITS_BYTES_MAX
        && entry.table_entries == length.div_ceil(cluster)
        && header.lies_inside(file, entry.table_offset, table_bytes);
    if !is_sane {
        return Ok(Err("the bitmap of the last backup is not of this disk"));
    }
    let mut table = vec![0; small(table_bytes)];
    file.read_at(entry.table_offset, &mut table)?;
    let mut bits = vec![0; small(length)];
    for (part, word) in bits
        .chunks_mut(small(cluster))
        .zip(words_from_bytes(&table))
    {
        match word & OFFSET_MASK {
            0 if word == ALL_ONES => part.fill(0xff),
            0 if word == 0 => {}
            offset if word == offset && header.lies_inside(file, offset, part.len() as u64) => {
                file.read_at(offset, part)?;
            }
            _ => return Ok(Err("the bitmap of the last backup is damaged")),
        }
    }
    Ok(Ok(Marks {
        size_bytes: header.size_bytes,
        grain_bytes,
        bits,
    }))
}
