//! Decoders take any bytes without panicking, also bytes that are nearly right.

use proptest::prelude::*;

use super::vectors::{first_form_segment, header, inner, keys, leaf, pack, segment};
use crate::fuzzing::{decode_all, heal_damaged};
use crate::trailer::{BlockHasher, Section};
use crate::*;

fn samples() -> Vec<Vec<u8>> {
    vec![
        pack().pieces.concat(),
        segment().encode(&header(Kind::IndexSegment), &keys()),
        first_form_segment(),
        seal_object(&header(Kind::Point), &keys(), b"text"),
        leaf().encode(&keys()).1,
        inner().encode(&keys()).1,
        FrameCompressor::new(1).compress(&[3; 5000]).1,
    ]
}

/// An index segment of ours with entries of somebody else's behind its MAC, where no key is needed.
fn segment_with_foreign_entries() -> Vec<u8> {
    let header = header(Kind::IndexSegment);
    let ours = first_form_segment();
    let trailer = scrub_object(&ours).unwrap();
    let section = |kind| trailer.section(kind).unwrap();
    let [table, entries, mac] = [
        SectionKind::PackTable,
        SectionKind::Entries,
        SectionKind::Mac,
    ]
    .map(section);
    let mut body = ours[..mac.range().end].to_vec();
    let foreign = body.len() as u64;
    body.extend_from_within(table.range());
    body.extend_from_within(entries.range());
    let sections = [
        Section::new(SectionKind::PackTable, foreign, table.length),
        Section::new(SectionKind::Entries, foreign + table.length, entries.length),
        mac,
    ];
    let mut hasher = BlockHasher::default();
    hasher.update(&body);
    let trailer = Trailer::encode(&header, body.len() as u64, &sections, &hasher.finish());
    body.extend(trailer);
    body
}

#[test]
fn index_entries_that_the_mac_does_not_cover_are_refused() {
    let bytes = segment_with_foreign_entries();
    scrub_object(&bytes).unwrap();
    assert!(Segment::decode(&bytes, &keys()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        decode_all(&bytes);
    }

    #[test]
    fn nearly_right_bytes(
        sample in 0usize..7,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        shorten in any::<bool>(),
    ) {
        let mut bytes = samples().swap_remove(sample);
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        if shorten {
            bytes.truncate(cut.index(bytes.len()));
        }
        decode_all(&bytes);
    }

    /// A directory that someone with the key sealed, but whose content is anything.
    #[test]
    fn any_directory_content(plain in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(crate::pack::decode_directory(&plain, 96).is_err() || plain == [0; 8]);
    }

    /// A trailer whose checksum is right, but whose content is anything.
    #[test]
    fn any_trailer_content(lengths in any::<[u64; 4]>()) {
        let [body, object, offset, length] = lengths;
        let sections = [crate::trailer::Section::new(SectionKind::Directory, offset, length)];
        let bytes = Trailer::encode(&header(Kind::DataPack), body % (1 << 40), &sections, &[]);
        for object in [object, bytes.len() as u64] {
            if let Ok(trailer) = Trailer::decode(&bytes, object) {
                let _ = open_directory(&keys(), &trailer, &bytes);
            }
        }
    }

    /// A pack with any damage heals to what it was, or not at all.
    #[test]
    fn any_damage(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        heal_damaged(&bytes);
    }
}

/// The fuzzer's own seeds, whole and cut in every half.
#[test]
fn the_vectors_are_taken_by_every_target() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats/vectors");
    let mut seeds = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let Ok(bytes) = hex::decode(text.split_whitespace().collect::<String>()) else {
            continue;
        };
        for end in [bytes.len(), bytes.len() / 2, bytes.len() / 4] {
            decode_all(&bytes[..end]);
            heal_damaged(&bytes[..end]);
        }
        seeds += 1;
    }
    assert!(seeds > 8, "{seeds}");
}
