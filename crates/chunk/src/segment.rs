//! An index segment: which chunks and nodes lie in which packs, sorted by id.
//!
//! Everything has a fixed width, is aligned to eight bytes and little endian (ids are plain bytes), so
//! that a later reader may search it in place. It is kept in clear: keyed ids say nothing to others, and
//! the lengths of chunks, which might, stand only in the packs' sealed directories.

use crate::bytes_io::{Reader, to_usize};
use crate::header::HEADER_BYTES;
use crate::ids::Prefix;
use crate::keys::HEADER_OF_THESE_KEYS;
use crate::trailer::{BlockHasher, Section, SectionKind, Trailer};
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
        let mut bytes = header.encode().to_vec();
        bytes.reserve(self.packs.len() * PACK_BYTES + self.entries.len() * ENTRY_BYTES + 1024);
        for pack in &self.packs {
            bytes.extend(pack.id.0);
            bytes.extend(pack.length.to_le_bytes());
            bytes.extend(pack.kind.to_u16().to_le_bytes());
            bytes.extend([0; 6]);
        }
        let entries_start = bytes.len();
        for entry in &self.entries {
            bytes.extend(entry.prefix.to_bytes());
            bytes.extend(entry.pack.to_le_bytes());
            bytes.extend(entry.slot.to_le_bytes());
        }
        let entries_end = bytes.len();
        let mac = keys.mac(header, &bytes[HEADER_BYTES..]);
        let mac = mac.expect(HEADER_OF_THESE_KEYS);
        bytes.extend(mac);
        let section =
            |kind, from: usize, to: usize| Section::new(kind, from as u64, (to - from) as u64);
        let sections = [
            section(SectionKind::PackTable, HEADER_BYTES, entries_start),
            section(SectionKind::Entries, entries_start, entries_end),
            section(SectionKind::Mac, entries_end, bytes.len()),
        ];
        let mut hasher = BlockHasher::default();
        hasher.update(&bytes);
        let trailer = Trailer::encode(header, bytes.len() as u64, &sections, &hasher.finish());
        bytes.extend(trailer);
        bytes
    }

    pub fn decode(bytes: &[u8], keys: &Keys) -> Result<Self> {
        let trailer = crate::sealed::check_object(bytes, Kind::IndexSegment, keys)?;
        let table = trailer.section(SectionKind::PackTable)?.range();
        let entries = trailer.section(SectionKind::Entries)?.range();
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
        let packs = decode_packs(&bytes[table])?;
        let entries = decode_entries(&bytes[entries], packs.len())?;
        Ok(Self { packs, entries })
    }
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
        let entry = IndexEntry {
            prefix: Prefix::from_bytes(&reader.array()?),
            pack: reader.u32()?,
            slot: reader.u32()?,
        };
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
