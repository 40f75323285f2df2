//! What must be known of an index segment before any part of it can be read and believed.

use std::ops::Range;

use super::filter::Partitions;
use super::fuse::Probe;
use super::{ENTRY_BYTES, IndexedPack, PACK_BYTES, block_mac_input, decode_packs};
use crate::header::HEADER_BYTES;
use crate::ids::Prefix;
use crate::trailer::{HASH_BLOCK_BYTES, SectionKind, Trailer};
use crate::{Error, Keys, Kind, ObjectId, Result};

const BLOCK: u64 = HASH_BLOCK_BYTES as u64;

/// Where the parts of a segment lie, and authentic hashes of its blocks: with them each block can be checked
/// when it is read for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    object: ObjectId,
    length: u64,
    packs: Range<u64>,
    entries: Range<u64>,
    filter: Range<u64>,
    /// Of the blocks of the stretch before the MAC; the last one may be shorter.
    hashes: Vec<[u8; 32]>,
}

impl Outline {
    /// How many of the object's last bytes [`Outline::decode`] needs. `tail` ends where the object ends.
    pub fn tail_bytes(tail: &[u8], object_length: u64) -> Result<u64> {
        let trailer = Trailer::length(tail, object_length)? as u64;
        let body = object_length - trailer;
        Ok(trailer + body % BLOCK + BLOCK.min(body - body % BLOCK))
    }

    /// Nothing for a segment that must be read whole, [`Segment::decode`](super::Segment::decode): the first
    /// ones had neither filter nor hashes of their own.
    pub fn decode(tail: &[u8], object_length: u64, keys: &Keys) -> Result<Option<Self>> {
        let trailer = Trailer::decode(tail, object_length)?;
        if trailer.header.kind != Kind::IndexSegment {
            return Err(Error::Malformed("an object of another kind"));
        }
        if trailer.header.repository != keys.repository() {
            return Err(Error::Malformed("an object of another repository"));
        }
        let Ok(mac) = trailer.section(SectionKind::BlockMac) else {
            return Ok(None);
        };
        let clear = [
            SectionKind::PackTable,
            SectionKind::Entries,
            SectionKind::Filter,
        ];
        let [packs, entries, filter] = clear.map(|kind| trailer.section(kind));
        let sections = [packs?, entries?, filter?];
        let ends = sections.map(|section| section.offset + section.length);
        let starts = sections.map(|section| section.offset);
        let in_order = starts == [HEADER_BYTES as u64, ends[0], ends[1]] && ends[2] == mac.offset;
        if !in_order || mac.length != 32 || mac.offset + mac.length != trailer.body_length {
            return Err(Error::Malformed("sections out of order"));
        }
        let whole =
            |section: usize, bytes: usize| sections[section].length.is_multiple_of(bytes as u64);
        if !whole(0, PACK_BYTES) || !whole(1, ENTRY_BYTES) {
            return Err(Error::Malformed("cut short"));
        }
        // The trailer's hash of the last blocks covers the MAC, which cannot cover itself.
        let start = mac.offset - mac.offset % BLOCK;
        let first = index(object_length)
            .checked_sub(tail.len())
            .and_then(|before| index(start).checked_sub(before));
        let last = first.ok_or(Error::Malformed("cut short"))?;
        let stretch = index(mac.offset - start);
        let (partial, rest) = tail[last..].split_at(stretch);
        let mut hashes = trailer.block_hashes;
        hashes.truncate(index(start / BLOCK));
        if !partial.is_empty() {
            hashes.push(*blake3::hash(partial).as_bytes());
        }
        let input = block_mac_input(&sections, &hashes);
        if keys.block_mac(&trailer.header, &input)?[..] != rest[..32] {
            return Err(Error::Unauthentic);
        }
        let [packs, entries, filter] = sections.map(|s| s.offset..s.offset + s.length);
        Ok(Some(Self {
            object: trailer.header.object,
            length: object_length,
            packs,
            entries,
            filter,
            hashes,
        }))
    }

    /// The id that the segment was written with.
    pub fn object(&self) -> ObjectId {
        self.object
    }

    /// Of the whole object, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn entry_count(&self) -> u64 {
        (self.entries.end - self.entries.start) / ENTRY_BYTES as u64
    }

    pub fn pack_count(&self) -> u64 {
        (self.packs.end - self.packs.start) / PACK_BYTES as u64
    }

    pub fn block_count(&self) -> usize {
        self.hashes.len()
    }

    /// Where a block lies that [`Outline::block_matches`] knows.
    pub fn block(&self, number: usize) -> Range<u64> {
        let from = number as u64 * BLOCK;
        from..self.filter.end.min(from + BLOCK)
    }

    /// The numbers of the blocks that these bytes are in.
    pub fn blocks_of(&self, range: &Range<u64>) -> Range<usize> {
        index(range.start / BLOCK)..index(range.end.div_ceil(BLOCK))
    }

    pub fn block_matches(&self, number: usize, bytes: &[u8]) -> bool {
        let hash = self.hashes.get(number);
        hash.is_some_and(|hash| blake3::hash(bytes).as_bytes() == hash)
    }

    /// Where the pack table lies; see [`Outline::decode_packs`].
    pub fn packs(&self) -> Range<u64> {
        self.packs.clone()
    }

    pub fn decode_packs(&self, bytes: &[u8]) -> Result<Vec<IndexedPack>> {
        decode_packs(bytes)
    }

    /// Where entries lie, by their numbers.
    pub fn entries(&self, numbers: Range<u64>) -> Range<u64> {
        let at = |number: u64| self.entries.start + number * ENTRY_BYTES as u64;
        at(numbers.start)..at(numbers.end)
    }

    /// Where the head of the filter section begins and how long it may be.
    pub fn filter(&self) -> Range<u64> {
        self.filter.clone()
    }
}

/// Looks up ids in the bytes of a segment that stay where they are.
#[derive(Debug, Clone, Default)]
pub struct Lookup {
    partitions: Partitions,
    filter_from: u64,
    entries_from: u64,
}

impl Lookup {
    /// What [`Lookup::head_bytes`] needs.
    pub const START_BYTES: u64 = super::filter::FIXED_BYTES as u64;

    /// How much of [`Outline::filter`] is needed; `start` has its first [`Lookup::START_BYTES`].
    pub fn head_bytes(start: &[u8]) -> Result<usize> {
        Partitions::head_bytes(start)
    }

    pub fn new(outline: &Outline, head: &[u8]) -> Result<Self> {
        let section = index(outline.filter.end - outline.filter.start);
        Ok(Self {
            partitions: Partitions::decode(head, section, outline.entry_count())?,
            filter_from: outline.filter.start,
            entries_from: outline.entries.start,
        })
    }

    pub fn partition_count(&self) -> usize {
        self.partitions.count()
    }

    /// The first and the last prefix; nothing in an empty segment.
    pub fn span(&self) -> Option<(Prefix, Prefix)> {
        self.partitions.span()
    }

    /// The partition in which the prefix is, if it is in the segment.
    #[inline]
    pub fn partition(&self, prefix: Prefix) -> Option<usize> {
        self.partitions.of(prefix)
    }

    /// Where the bytes lie that the partition's filter has.
    pub fn fingerprints(&self, partition: usize) -> Range<u64> {
        let range = self.partitions.fingerprints(partition);
        self.filter_from + range.start as u64..self.filter_from + range.end as u64
    }

    /// What to ask the bytes of the segment about a prefix.
    #[inline]
    pub fn probe(&self, partition: usize, prefix: Prefix) -> Probe {
        let probe = self.partitions.probe(partition, prefix);
        probe.behind(index(self.filter_from))
    }

    /// The numbers of the partition's entries from the first on that is not before the prefix. `read` gives an entry's
    /// prefix by the offset of its bytes. About two distant reads: ids are uniform, so the place is computed, and
    /// corrected by what is found there.
    #[inline]
    pub fn search<E>(
        &self,
        partition: usize,
        prefix: Prefix,
        mut read: impl FnMut(u64) -> std::result::Result<Prefix, E>,
    ) -> std::result::Result<Range<u64>, E> {
        let mut search = self.start(partition, prefix);
        for _ in 0..Search::CORRECTIONS {
            let Some(number) = search.next() else { break };
            search.correct(read(self.entry_offset(number))?);
        }
        self.finish(search, read)
    }

    /// Begins what [`Lookup::search`] does in one go, for those who do it for many at once.
    #[inline]
    pub fn start(&self, partition: usize, prefix: Prefix) -> Search {
        let Range { start, end } = self.partitions.entries(partition);
        let (first, last) = self.partitions.bounds(partition);
        let spread = Spread::new(first, last, end - start);
        Search {
            at: (start + spread.distance(first, prefix)).min(end - 1),
            low: start,
            high: end,
            end,
            prefix,
            spread,
        }
    }

    /// Ends a search that was corrected or not: ever larger steps away from the guess until the prefix is between two
    /// of them.
    pub fn finish<E>(
        &self,
        search: Search,
        mut read: impl FnMut(u64) -> std::result::Result<Prefix, E>,
    ) -> std::result::Result<Range<u64>, E> {
        let Search {
            mut low,
            mut high,
            mut at,
            end,
            prefix,
            ..
        } = search;
        let mut is_before = |number| Ok(read(self.entry_offset(number))? < prefix);
        let mut step = 2;
        if low < high && is_before(at)? {
            low = at + 1;
            while low < high {
                at = (low + step).min(high - 1);
                if !is_before(at)? {
                    high = at;
                    break;
                }
                low = at + 1;
                step *= 2;
            }
        } else if low < high {
            high = at;
            while low < high {
                at = high.saturating_sub(step).max(low);
                if is_before(at)? {
                    low = at + 1;
                    break;
                }
                high = at;
                step *= 2;
            }
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if is_before(middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(low..end)
    }

    #[inline]
    pub fn entry_offset(&self, number: u64) -> u64 {
        self.entries_from + number * ENTRY_BYTES as u64
    }
}

/// A prefix that is looked for among the entries of a partition: which numbers are left, and which is the likeliest.
#[derive(Debug, Clone, Copy)]
pub struct Search {
    low: u64,
    high: u64,
    at: u64,
    end: u64,
    prefix: Prefix,
    spread: Spread,
}

impl Search {
    /// How often a guess is worth correcting before the search around it begins.
    pub const CORRECTIONS: usize = 2;

    /// The number of the entry to be read next; none when the place is known.
    #[inline]
    pub fn next(&self) -> Option<u64> {
        (self.low < self.high).then_some(self.at)
    }

    /// Takes what the entry at [`Search::next`] has for a prefix.
    #[inline]
    pub fn correct(&mut self, found: Prefix) {
        if found < self.prefix {
            self.low = self.at + 1;
            let on = self.spread.distance(found, self.prefix);
            self.at = self.at.saturating_add(on);
        } else {
            self.high = self.at;
            let back = self.spread.distance(self.prefix, found);
            self.at = self.at.saturating_sub(back);
        }
        if self.low < self.high {
            self.at = self.at.clamp(self.low, self.high - 1);
        }
    }
}

/// How many entries there are between two prefixes, if they are spread evenly.
#[derive(Debug, Clone, Copy)]
struct Spread(f64);

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is a guess, and what is made of it is checked against the bounds"
)]
impl Spread {
    fn new(first: Prefix, last: Prefix, entries: u64) -> Self {
        Self(entries as f64 / (last.0[0].saturating_sub(first.0[0]) as f64 + 1.0))
    }

    #[inline]
    fn distance(self, from: Prefix, to: Prefix) -> u64 {
        (to.0[0].saturating_sub(from.0[0]) as f64 * self.0) as u64
    }
}

fn index(value: u64) -> usize {
    usize::try_from(value).expect("objects fit the address space")
}
