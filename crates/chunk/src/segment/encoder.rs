//! Writing an index segment while its entries arrive in order: memory for the filter, not for the entries.

use super::filter::FilterBuilder;
use super::{IndexEntry, IndexedPack, PACK_BYTES, block_mac_input};
use crate::keys::HEADER_OF_THESE_KEYS;
use crate::trailer::{BlockHasher, Section, SectionKind, Trailer};
use crate::{Header, Keys, Kind};

/// Makes the bytes of a segment. What [`SegmentEncoder::take`] returns, call by call, and then
/// [`SegmentEncoder::finish`], is the object.
#[derive(Debug)]
pub struct SegmentEncoder {
    header: Header,
    keys: Keys,
    /// Not taken yet.
    ready: Vec<u8>,
    length: u64,
    hasher: BlockHasher,
    entries_from: u64,
    last: Option<IndexEntry>,
    filter: FilterBuilder,
}

impl SegmentEncoder {
    /// `header` must come from the same `keys`.
    pub fn new(header: Header, keys: &Keys, packs: &[IndexedPack]) -> Self {
        debug_assert_eq!(header.kind, Kind::IndexSegment);
        let mut bytes = header.encode().to_vec();
        bytes.reserve(packs.len() * PACK_BYTES);
        for pack in packs {
            bytes.extend(pack.id.0);
            bytes.extend(pack.length.to_le_bytes());
            bytes.extend(pack.kind.to_u16().to_le_bytes());
            bytes.extend([0; 6]);
        }
        let mut encoder = Self {
            header,
            keys: keys.clone(),
            ready: Vec::new(),
            length: 0,
            hasher: BlockHasher::default(),
            entries_from: bytes.len() as u64,
            last: None,
            filter: FilterBuilder::default(),
        };
        encoder.append(&bytes);
        encoder
    }

    /// Entries come in ascending order; one that equals the last is left out.
    pub fn push(&mut self, entry: IndexEntry) {
        debug_assert!(self.last <= Some(entry), "index entries come in order");
        if self.last == Some(entry) {
            return;
        }
        let mut bytes = [0; super::ENTRY_BYTES];
        bytes[..16].copy_from_slice(&entry.prefix.to_bytes());
        bytes[16..20].copy_from_slice(&entry.pack.to_le_bytes());
        bytes[20..].copy_from_slice(&entry.slot.to_le_bytes());
        self.append(&bytes);
        self.filter.push(entry.prefix);
        self.last = Some(entry);
    }

    /// The bytes that are ready, if there are at least so many.
    pub fn take(&mut self, bytes_min: usize) -> Option<Vec<u8>> {
        (self.ready.len() >= bytes_min).then(|| std::mem::take(&mut self.ready))
    }

    pub fn finish(mut self) -> Vec<u8> {
        let entries_end = self.length;
        let filter = std::mem::take(&mut self.filter).finish();
        self.append(&filter);
        let mac_from = self.length;
        let section = |kind, from, to| Section::new(kind, from, to - from);
        let table_from = crate::HEADER_BYTES as u64;
        let mut sections = vec![
            section(SectionKind::PackTable, table_from, self.entries_from),
            section(SectionKind::Entries, self.entries_from, entries_end),
            section(SectionKind::Filter, entries_end, mac_from),
        ];
        let input = block_mac_input(&sections, &self.hasher.clone().finish());
        let mac = self.keys.block_mac(&self.header, &input);
        let mac = mac.expect(HEADER_OF_THESE_KEYS);
        self.append(&mac);
        sections.push(section(SectionKind::BlockMac, mac_from, self.length));
        let hashes = std::mem::take(&mut self.hasher).finish();
        let trailer = Trailer::encode(&self.header, self.length, &sections, &hashes);
        self.ready.extend(trailer);
        self.ready
    }

    fn append(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.ready.extend_from_slice(bytes);
        self.length += bytes.len() as u64;
    }
}
