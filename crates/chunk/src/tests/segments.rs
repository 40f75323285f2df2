//! Index segments: what is in them is found, what is not is not, and no changed byte is believed.

use std::collections::HashMap;

use super::vectors::{header, keys, segment};
use crate::*;

/// Numbers that look like ids.
fn prefix(number: u64) -> Prefix {
    let hash = blake3::hash(&number.to_le_bytes());
    Prefix::from_bytes(hash.as_bytes()[..16].try_into().unwrap())
}

fn numbered(entries: u32) -> Segment {
    let pack = |number: u8| IndexedPack {
        id: ObjectId([number; 16]),
        kind: Kind::DataPack,
        length: 1 << 20,
    };
    let entry = |slot: u32| IndexEntry {
        prefix: prefix(slot.into()),
        pack: slot % 3,
        slot,
    };
    Segment {
        packs: (0..3).map(pack).collect(),
        entries: (0..entries).map(entry).collect(),
    }
}

/// A segment as it is used: checked, and searched where it lies.
struct Open<'a> {
    bytes: &'a [u8],
    lookup: Lookup,
}

impl<'a> Open<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self> {
        let length = bytes.len() as u64;
        let tail = usize::try_from(Outline::tail_bytes(bytes, length)?).unwrap();
        let tail = &bytes[bytes.len().saturating_sub(tail)..];
        let outline = Outline::decode(tail, length, &keys())?;
        let outline = outline.ok_or(Error::Malformed("without block MAC"))?;
        for number in 0..outline.block_count() {
            if !outline.block_matches(number, slice(bytes, outline.block(number))) {
                return Err(Error::Unauthentic);
            }
        }
        let filter = slice(bytes, outline.filter());
        let lookup = Lookup::new(&outline, &filter[..Lookup::head_bytes(filter)?])?;
        Ok(Self { bytes, lookup })
    }

    fn may_contain(&self, prefix: Prefix) -> bool {
        let partition = self.lookup.partition(prefix);
        partition.is_some_and(|p| self.lookup.probe(p, prefix).matches(self.bytes))
    }

    fn entry(&self, offset: u64) -> IndexEntry {
        let bytes = slice(self.bytes, offset..offset + IndexEntry::BYTES as u64);
        IndexEntry::from_bytes(bytes.try_into().unwrap())
    }

    fn slots(&self, prefix: Prefix) -> Vec<u32> {
        let Some(partition) = self.lookup.partition(prefix) else {
            return Vec::new();
        };
        let read = |offset| Ok::<_, ()>(self.entry(offset).prefix);
        let found = self.lookup.search(partition, prefix, read).unwrap();
        let entries = found.map(|number| self.entry(self.lookup.entry_offset(number)));
        entries
            .take_while(|e| e.prefix == prefix)
            .map(|e| e.slot)
            .collect()
    }
}

fn slice(bytes: &[u8], range: std::ops::Range<u64>) -> &[u8] {
    &bytes[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()]
}

#[test]
fn what_is_in_a_segment_is_found_and_what_is_not_is_mostly_ruled_out_by_the_filter() {
    for count in [1, 2, 3, 5, 17, 100, 1000, 40_000, 300_000, 600_000] {
        let bytes = numbered(count).encode(&header(Kind::IndexSegment), &keys());
        let open = Open::new(&bytes).unwrap();
        assert_eq!(open.lookup.partition_count() > 1, count > 1 << 18);
        for number in 0..count {
            let prefix = prefix(number.into());
            assert!(open.may_contain(prefix));
            assert_eq!(open.slots(prefix), [number]);
        }
        let strangers = 1 << 40..(1 << 40) + 100_000u64;
        let through = strangers
            .clone()
            .filter(|n| open.may_contain(prefix(*n)))
            .count();
        assert!(through < 500, "{through} of 100000 at {count} entries");
        assert!(
            strangers
                .into_iter()
                .take(1000)
                .all(|n| open.slots(prefix(n)).is_empty())
        );
        if count >= 1000 {
            let filter = bytes.len() - usize::try_from(count).unwrap() * IndexEntry::BYTES;
            assert!(filter * 8 < usize::try_from(count).unwrap() * 10 + 64 * 1024);
        }
    }
}

#[test]
fn every_place_of_a_chunk_is_found_though_a_partition_ends_there() {
    let mut segment = numbered(280_000);
    segment.entries.sort_unstable();
    let often = segment.entries[(1 << 18) - 5].prefix;
    let copies = (0..500).map(|slot| IndexEntry {
        prefix: often,
        pack: 1,
        slot: 1_000_000 + slot,
    });
    segment.entries.extend(copies);
    let bytes = segment.encode(&header(Kind::IndexSegment), &keys());
    let open = Open::new(&bytes).unwrap();
    assert_eq!(open.slots(often).len(), 501);
    let mut expected: HashMap<Prefix, usize> = HashMap::new();
    for entry in &segment.entries {
        *expected.entry(entry.prefix).or_default() += 1;
    }
    assert!(
        expected
            .iter()
            .all(|(prefix, count)| open.slots(*prefix).len() == *count)
    );
    assert_eq!(Segment::decode(&bytes, &keys()), Ok(segment));
}

#[test]
fn ids_that_lie_unevenly_are_found_too() {
    let mut segment = numbered(50_000);
    for (entry, number) in segment.entries.iter_mut().zip(0u64..) {
        let top = if number % 2 == 0 {
            number * number
        } else {
            u64::MAX - number
        };
        entry.prefix = Prefix([top, prefix(number).0[1]]);
    }
    let bytes = segment.encode(&header(Kind::IndexSegment), &keys());
    let open = Open::new(&bytes).unwrap();
    assert!(
        segment
            .entries
            .iter()
            .all(|e| open.slots(e.prefix) == [e.slot])
    );
    for number in 0..50_000u64 {
        assert!(open.slots(Prefix([number * number, 7])).is_empty());
    }
}

#[test]
fn no_changed_byte_is_believed() {
    let sound = segment().encode(&header(Kind::IndexSegment), &keys());
    assert!(Open::new(&sound).is_ok());
    for place in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[place] ^= 0x10;
        assert!(Open::new(&bytes).is_err(), "byte {place}");
        assert!(Segment::decode(&bytes, &keys()).is_err(), "byte {place}");
        assert!(Open::new(&sound[..place]).is_err(), "{place} bytes");
    }
}

/// The trailer's checksums need no key: only the MAC tells whose hashes and sections they are.
#[test]
fn a_segment_with_a_trailer_of_somebody_elses_is_refused() {
    use crate::trailer::{BlockHasher, Section};
    let header = header(Kind::IndexSegment);
    let ours = numbered(1000).encode(&header, &keys());
    let trailer = scrub_object(&ours).unwrap();
    let kinds = [
        SectionKind::PackTable,
        SectionKind::Entries,
        SectionKind::Filter,
        SectionKind::BlockMac,
    ];
    let sections = kinds.map(|kind| trailer.section(kind).unwrap());
    let again = |body: &[u8], sections: &[Section]| {
        let mut hasher = BlockHasher::default();
        hasher.update(body);
        let end = Trailer::encode(&header, body.len() as u64, sections, &hasher.finish());
        [body, &end].concat()
    };
    let body = &ours[..usize::try_from(trailer.body_length).unwrap()];
    assert_eq!(again(body, &sections), ours);

    let mut other_entry = body.to_vec();
    other_entry[sections[1].range().start + 20] ^= 1;
    let mut one_less = sections;
    one_less[1] = Section::new(kinds[1], sections[1].offset + 24, sections[1].length - 24);
    let mut table = sections;
    table[0] = Section::new(kinds[0], sections[0].offset, sections[0].length + 24);
    table[1] = one_less[1];
    for bytes in [
        again(&other_entry, &sections),
        again(body, &one_less),
        again(body, &table),
        again(body, &sections[..3]),
        again(&body[..body.len() - 1], &sections),
    ] {
        scrub_object(&bytes).ok();
        assert!(Open::new(&bytes).is_err());
        assert!(Segment::decode(&bytes, &keys()).is_err());
    }
}
