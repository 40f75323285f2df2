//! The filter section of an index segment: its entries in partitions, each with a filter of its own.

use std::ops::Range;

use super::fuse::{self, Probe, Shape};
use crate::bytes_io::{Reader, to_u32, to_usize};
use crate::ids::Prefix;
use crate::{Error, Result};

/// A partition is closed behind so many entries, as soon as the prefix changes.
const PARTITION_ENTRIES: u64 = 1 << 18;
pub(super) const FIXED_BYTES: usize = 24;
const DESCRIPTOR_BYTES: usize = 48;

/// Entries that follow each other, all entries of a prefix in the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Partition {
    first: Prefix,
    entries_from: u64,
    /// Offset in the section.
    fingerprints_from: usize,
    shape: Shape,
}

/// Which partitions a segment has, and how to ask their filters.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Partitions {
    list: Vec<Partition>,
    last: Prefix,
    entries: u64,
    section_bytes: usize,
    /// Partitions for each unit of the prefixes' first half.
    per_unit: f64,
}

impl Partitions {
    /// How many bytes of the section [`Partitions::decode`] needs; `start` are its first ones.
    pub(crate) fn head_bytes(start: &[u8]) -> Result<usize> {
        let mut reader = Reader::new(start);
        reader.take(16)?;
        let count = to_usize(reader.u32()?);
        reader.zeros(4)?;
        count
            .checked_mul(DESCRIPTOR_BYTES)
            .and_then(|bytes| bytes.checked_add(FIXED_BYTES))
            .ok_or(Error::Malformed("a count exceeds the object"))
    }

    /// The head of a section of `section_bytes` over so many entries.
    pub(crate) fn decode(head: &[u8], section_bytes: usize, entries: u64) -> Result<Self> {
        let mut reader = Reader::new(head);
        let last = Prefix::from_bytes(&reader.array()?);
        let count = reader.u32()?;
        reader.zeros(4)?;
        if reader.remaining() != to_usize(count).saturating_mul(DESCRIPTOR_BYTES) {
            return Err(Error::Malformed("a count exceeds the object"));
        }
        let mut list: Vec<Partition> = Vec::with_capacity(to_usize(count));
        let mut behind = head.len();
        while reader.remaining() > 0 {
            let partition = decode_partition(&mut reader)?;
            let in_order = match list.last() {
                None => partition.entries_from == 0,
                Some(before) => {
                    before.first < partition.first && before.entries_from < partition.entries_from
                }
            };
            if !in_order || partition.entries_from >= entries {
                return Err(Error::Malformed("partitions out of order"));
            }
            if partition.fingerprints_from != behind || partition.first > last {
                return Err(Error::Malformed("partitions contradict each other"));
            }
            behind += partition.shape.fingerprint_bytes();
            list.push(partition);
        }
        if behind != section_bytes || list.is_empty() != (entries == 0) {
            return Err(Error::Malformed("partitions do not fill the section"));
        }
        Ok(Self {
            per_unit: per_unit(&list, last, entries),
            list,
            last,
            entries,
            section_bytes,
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.list.len()
    }

    /// The first and the last prefix; nothing if there are no entries.
    pub(crate) fn span(&self) -> Option<(Prefix, Prefix)> {
        self.list.first().map(|first| (first.first, self.last))
    }

    /// The partition whose entries the prefix is among, if it is anywhere.
    #[inline]
    pub(crate) fn of(&self, prefix: Prefix) -> Option<usize> {
        let (first, last) = self.span()?;
        if prefix < first || prefix > last {
            return None;
        }
        // Ids are uniform: the guess is hardly ever wrong by more than one.
        let mut at = self.guess(prefix.0[0] - first.0[0]);
        while self.list[at].first > prefix {
            at -= 1;
        }
        while self
            .list
            .get(at + 1)
            .is_some_and(|next| next.first <= prefix)
        {
            at += 1;
        }
        Some(at)
    }

    /// Which partition lies so far behind the first prefix, if all are of one width.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is a guess, and bounded"
    )]
    #[inline]
    fn guess(&self, distance: u64) -> usize {
        ((distance as f64 * self.per_unit) as usize).min(self.list.len() - 1)
    }

    /// Numbers of the partition's entries.
    pub(crate) fn entries(&self, partition: usize) -> Range<u64> {
        let end = self.list.get(partition + 1);
        self.list[partition].entries_from..end.map_or(self.entries, |next| next.entries_from)
    }

    /// Between which prefixes the partition's entries lie, more or less.
    pub(crate) fn bounds(&self, partition: usize) -> (Prefix, Prefix) {
        let end = self.list.get(partition + 1);
        (
            self.list[partition].first,
            end.map_or(self.last, |next| next.first),
        )
    }

    /// Where in the section the partition's fingerprints lie.
    pub(crate) fn fingerprints(&self, partition: usize) -> Range<usize> {
        let end = self.list.get(partition + 1);
        let end = end.map_or(self.section_bytes, |next| next.fingerprints_from);
        self.list[partition].fingerprints_from..end
    }

    /// What to ask the partition's fingerprints, by offsets in the section.
    #[inline]
    pub(crate) fn probe(&self, partition: usize, prefix: Prefix) -> Probe {
        let partition = &self.list[partition];
        partition
            .shape
            .probe(prefix.0[1])
            .behind(partition.fingerprints_from)
    }
}

/// All partitions but the last have as many entries as the first.
#[expect(clippy::cast_precision_loss, reason = "for a guess")]
fn per_unit(list: &[Partition], last: Prefix, entries: u64) -> f64 {
    let first = list.first().map_or(0, |first| first.first.0[0]);
    let of_each = list.get(1).map_or(entries, |next| next.entries_from).max(1);
    entries as f64 / of_each as f64 / (last.0[0].saturating_sub(first) as f64 + 1.0)
}

fn decode_partition(reader: &mut Reader<'_>) -> Result<Partition> {
    let first = Prefix::from_bytes(&reader.array()?);
    let seed = reader.u64()?;
    let (entries_from, fingerprints_from) = (reader.u64()?, reader.u64()?);
    let (segment_length, segment_count) = (reader.u32()?, reader.u32()?);
    let shape = Shape::new(seed, segment_length, segment_count);
    Ok(Partition {
        first,
        entries_from,
        fingerprints_from: usize::try_from(fingerprints_from)
            .map_err(|_| Error::Malformed("too large"))?,
        shape: shape.ok_or(Error::Malformed("a filter of impossible lengths"))?,
    })
}

/// Makes the section while the entries pass by.
#[derive(Debug, Default)]
pub(super) struct FilterBuilder {
    /// Of the partition that is being filled: half a prefix for each distinct one.
    keys: Vec<u64>,
    first: Prefix,
    last: Prefix,
    entries: u64,
    entries_from: u64,
    closed: Vec<(Prefix, u64, Shape)>,
    fingerprints: Vec<u8>,
}

impl FilterBuilder {
    pub(super) fn push(&mut self, prefix: Prefix) {
        let changed = self.keys.is_empty() || self.last != prefix;
        if changed {
            if self.entries - self.entries_from >= PARTITION_ENTRIES {
                self.close();
            }
            if self.keys.is_empty() {
                self.first = prefix;
            }
            self.keys.push(prefix.0[1]);
            self.last = prefix;
        }
        self.entries += 1;
    }

    fn close(&mut self) {
        let (shape, fingerprints) = fuse::build(&mut self.keys);
        self.closed.push((self.first, self.entries_from, shape));
        self.fingerprints.extend(fingerprints);
        self.keys.clear();
        self.entries_from = self.entries;
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if !self.keys.is_empty() {
            self.close();
        }
        let mut behind = FIXED_BYTES + self.closed.len() * DESCRIPTOR_BYTES;
        let mut bytes = Vec::with_capacity(behind + self.fingerprints.len());
        bytes.extend(self.last.to_bytes());
        bytes.extend(to_u32(self.closed.len()).to_le_bytes());
        bytes.extend([0; 4]);
        for (first, entries_from, shape) in &self.closed {
            bytes.extend(first.to_bytes());
            bytes.extend(shape.seed.to_le_bytes());
            bytes.extend(entries_from.to_le_bytes());
            bytes.extend((behind as u64).to_le_bytes());
            bytes.extend(shape.segment_length.to_le_bytes());
            bytes.extend(shape.segment_count.to_le_bytes());
            behind += shape.fingerprint_bytes();
        }
        bytes.extend(self.fingerprints);
        bytes
    }
}
