//! Holes anywhere in a pack with parity heal, to the byte.

use std::ops::Range;

use super::vectors::{header, keys};
use crate::*;

const HOLE: usize = 64 << 10;

/// A pack with so many bytes of frames.
fn pack(frame_bytes: usize) -> Vec<u8> {
    let keys = keys();
    let mut pack = PackBuilder::with_parity(header(Kind::DataPack), &keys);
    let mut content = vec![0; frame_bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut content);
    for frame in content.chunks(100_000) {
        let chunk = (keys.chunk_id(frame), u32::try_from(frame.len()).unwrap());
        pack.push(Codec::Raw, frame.to_vec(), &[chunk]);
    }
    let finished = pack.finish();
    let bytes = finished.pieces.concat();
    assert_eq!(finished.length, bytes.len() as u64);
    assert!(scrub_object(&bytes).unwrap().has_parity());
    bytes
}

fn damaged(sound: &[u8], hole: Range<usize>, with: u8) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for byte in &mut bytes[hole] {
        *byte = if with == 0 { 0 } else { *byte ^ with };
    }
    bytes
}

fn heals(sound: &[u8], hole: Range<usize>, with: u8) {
    let healed = heal(damaged(sound, hole.clone(), with));
    assert!(healed.is_ok(), "{hole:?} of {}: {healed:?}", sound.len());
    assert!(healed.unwrap() == sound, "{hole:?} of {}", sound.len());
}

#[test]
fn a_hole_anywhere_heals() {
    // Nothing, one block, ragged ends, about the limit between the shapes, a short last group and a whole one.
    let limit = (4 << 20) - 1000;
    let lengths = [
        0,
        1,
        5000,
        65_000,
        70_000,
        700_000,
        limit - 600,
        limit + 4000,
        8 << 20,
    ];
    for length in lengths {
        let sound = pack(length);
        assert!(heal(sound.clone()).unwrap() == sound);
        let last = sound.len().saturating_sub(HOLE);
        // Every kind of border lies in the last 300 KiB, or repeats from the beginning on.
        let step = 1021 + sound.len() / 64;
        let places = (0..last).step_by(step);
        let ends = last.saturating_sub(300_000)..last;
        for place in places.chain(ends.step_by(4001)).chain([0, last]) {
            let end = sound.len().min(place + HOLE);
            for with in [0, 0x5a] {
                heals(&sound, place..end, with);
            }
        }
    }
}

#[test]
fn a_flipped_byte_anywhere_heals() {
    let sound = pack(20_000);
    for place in (0..sound.len())
        .step_by(173)
        .chain(sound.len() - 300..sound.len())
    {
        heals(&sound, place..place + 1, 0x10);
    }
}

#[test]
fn what_was_cut_off_or_added_at_the_end_heals() {
    for length in [3000, 5 << 20] {
        let sound = pack(length);
        for cut in [1, 191, 192, 1000, 40_000, HOLE] {
            assert!(heal(sound[..sound.len() - cut].to_vec()).unwrap() == sound);
        }
        let longer = [sound.as_slice(), &[7; 5000]].concat();
        assert!(heal(longer).unwrap() == sound);
    }
}

#[test]
fn two_holes_heal_in_a_large_pack_and_more_do_not_heal_wrongly() {
    let sound = pack(9 << 20);
    let mut bytes = damaged(&sound, 10_000..70_000, 0);
    bytes[5 << 20..(5 << 20) + HOLE].fill(9);
    assert!(heal(bytes.clone()).unwrap() == sound);
    bytes[3 << 20..(3 << 20) + 10].fill(9);
    assert!(heal(bytes).is_err());
    // One block and its sum: the weighted sum alone brings it back.
    let trailer = scrub_object(&sound).unwrap();
    let start = usize::try_from(trailer.section(SectionKind::Parity).unwrap().offset).unwrap();
    let mut bytes = damaged(&sound, 200_000..200_001, 1);
    bytes[start + 40_000] ^= 1;
    assert!(heal(bytes).unwrap() == sound);
}

#[test]
fn what_is_no_pack_with_parity_is_refused() {
    for bytes in [Vec::new(), vec![0; 1000], b"STRGHEAL".repeat(1000)] {
        assert!(heal(bytes).is_err());
    }
    let plain = super::vectors::pack().pieces.concat();
    assert!(heal(plain).is_err());
}
