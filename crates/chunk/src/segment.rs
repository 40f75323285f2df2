//! An index segment: which chunks and nodes lie in which packs, sorted by id.
//!
//! Everything has a fixed width, is aligned to eight bytes and little endian (ids are plain bytes), so
//! that it can be searched in place. It is kept in clear: keyed ids say nothing to others, and
//! the lengths of chunks, which might, stand only in the packs' sealed directories.

mod encoder;
mod filter;
mod fuse;
mod outline;

pub use encoder::SegmentEncoder;
pub use fuse::Probe;
pub use outline::{Lookup, Outline, Search};

use crate::bytes_io::{Reader, to_usize};
use crate::header::HEADER_BYTES;
use crate::ids::Prefix;
use crate::trailer::{Section, SectionKind};
use crate::{Error, Header, Keys, Kind, ObjectId, Result};

const PACK_BYTES: usize = 32;
const ENTRY_BYTES: usize = 24;

/// A pack that a segment speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedPack {
    pub id: ObjectId,
    /// [`Kind::DataPack`] or [`Kind::NodePack`].
    pub kind: Kind,
    /// Length of the whole object.
    pub length: u64,
}

/// One chunk or node: the pack is an index into the segment's pack table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct IndexEntry {
    pub prefix: Prefix,
    pub pack: u32,
    pub slot: u32,
}

impl IndexEntry {
    pub const BYTES: usize = ENTRY_BYTES;

    #[inline]
    pub fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (prefix, rest) = bytes.split_first_chunk().expect("24 bytes");
        let (pack, rest) = rest.split_first_chunk().expect("8 bytes");
        let (slot, _) = rest.split_first_chunk().expect("4 bytes");
        Self {
            prefix: Prefix::from_bytes(prefix),
            pack: u32::from_le_bytes(*pack),
            slot: u32::from_le_bytes(*slot),
        }
    }
}

impl IndexedPack {
    pub const BYTES: usize = PACK_BYTES;
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    pub packs: Vec<IndexedPack>,
    /// Sorted.
    pub entries: Vec<IndexEntry>,
}

impl Segment {
    /// The whole object. Sorts the entries. `header` must come from the same `keys`.
    pub fn encode(&mut self, header: &Header, keys: &Keys) -> Vec<u8> {
        self.entries.sort_unstable();
        let mut encoder = SegmentEncoder::new(*header, keys, &self.packs);
        for entry in &self.entries {
            encoder.push(*entry);
        }
        encoder.finish()
    }

    /// Reads a whole segment, of the first kind too.
    pub fn decode(bytes: &[u8], keys: &Keys) -> Result<Self> {
        let trailer = crate::sealed::check_object(bytes, Kind::IndexSegment, keys)?;
        let table = trailer.section(SectionKind::PackTable)?.range();
        let entries = trailer.section(SectionKind::Entries)?.range();
        // With a block MAC the trailer's hashes, which were checked, are authentic, and so are the sections.
        if Outline::decode(bytes, bytes.len() as u64, keys)?.is_none() {
            let mac = trailer.section(SectionKind::Mac)?.range();
            let clear = bytes.get(HEADER_BYTES..mac.start);
            let clear = clear.ok_or(Error::Malformed("sections out of order"))?;
            // The trailer is not authenticated: what lies behind the MAC could be anybody's.
            if table.end > mac.start || entries.end > mac.start {
                return Err(Error::Malformed("sections out of order"));
            }
            if keys.mac(&trailer.header, clear)? != bytes[mac] {
                return Err(Error::Unauthentic);
            }
        }
        let packs = decode_packs(&bytes[table])?;
        let entries = decode_entries(&bytes[entries], packs.len())?;
        Ok(Self { packs, entries })
    }
}

/// What the MAC over the blocks authenticates: where the sections lie, and a hash of each block before the MAC.
fn block_mac_input(sections: &[Section], hashes: &[[u8; 32]]) -> Vec<u8> {
    let mut input = Vec::with_capacity(sections.len() * 16 + hashes.len() * 32);
    for section in sections {
        input.extend(section.offset.to_le_bytes());
        input.extend(section.length.to_le_bytes());
    }
    input.extend(hashes.as_flattened());
    input
}

fn decode_packs(bytes: &[u8]) -> Result<Vec<IndexedPack>> {
    let mut reader = Reader::new(bytes);
    let mut packs = Vec::with_capacity(bytes.len() / PACK_BYTES);
    while reader.remaining() > 0 {
        let (id, length) = (ObjectId(reader.array()?), reader.u64()?);
        let kind = Kind::from_u16(reader.u16()?)?;
        reader.zeros(6)?;
        if !matches!(kind, Kind::DataPack | Kind::NodePack) {
            return Err(Error::Malformed("an index speaks of what is no pack"));
        }
        packs.push(IndexedPack { id, kind, length });
    }
    Ok(packs)
}

fn decode_entries(bytes: &[u8], packs: usize) -> Result<Vec<IndexEntry>> {
    let mut reader = Reader::new(bytes);
    let mut entries: Vec<IndexEntry> = Vec::with_capacity(bytes.len() / ENTRY_BYTES);
    while reader.remaining() > 0 {
        let entry = IndexEntry::from_bytes(&reader.array()?);
        if to_usize(entry.pack) >= packs {
            return Err(Error::Malformed("an index entry names no pack"));
        }
        if entries.last().is_some_and(|last| *last > entry) {
            return Err(Error::Malformed("an index out of order"));
        }
        entries.push(entry);
    }
    Ok(entries)
}
