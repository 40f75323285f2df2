use bytes::Bytes;
use proptest::prelude::*;

use crate::*;

pub(super) fn keys() -> Keys {
    Keys::derive(ObjectId([7; 16]), &Key([42; 32]))
}

/// Blocks that are zero, constant or pseudo-random, and a tail shorter than a block.
fn image(blocks: &[u16], tail: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for seed in blocks {
        let mut block = [0; BLOCK_BYTES];
        if *seed > 3 {
            blake3::Hasher::new()
                .update(&seed.to_le_bytes())
                .finalize_xof()
                .fill(&mut block);
        }
        bytes.extend(block);
    }
    bytes.extend(std::iter::repeat_n(1, tail));
    bytes
}

fn cut(image: &[u8], portions: &[usize]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut chunker = Chunker::new(keys().chunker(), Profile::Default);
    let mut rest = Bytes::copy_from_slice(image);
    for length in portions.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let portion = rest.split_to((*length).clamp(1, rest.len()));
        if is_zero(&portion) {
            chunker.hole(portion.len() as u64, &mut |piece| pieces.push(piece));
        } else {
            chunker.push(&portion, &mut |piece| pieces.push(piece));
        }
    }
    chunker.finish(&mut |piece| pieces.push(piece));
    pieces
}

fn join(pieces: &[Piece]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Chunk(chunk) => bytes.extend(chunk),
            Piece::Hole(length) => {
                bytes.resize(bytes.len() + usize::try_from(*length).unwrap(), 0);
            }
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn cuts_do_not_depend_on_the_portions(
        blocks in prop::collection::vec(0u16..40, 0..120),
        tail in 0usize..BLOCK_BYTES,
        portions in prop::collection::vec(1usize..100_000, 1..8),
    ) {
        let image = image(&blocks, tail);
        let whole = cut(&image, &[usize::MAX]);
        prop_assert_eq!(&join(&whole), &image);
        prop_assert_eq!(&cut(&image, &portions), &whole);
        let mut last_was_hole = false;
        for piece in &whole {
            match piece {
                Piece::Chunk(chunk) => {
                    prop_assert!(chunk.len() <= Profile::Default.chunk_bytes_max());
                    prop_assert!(chunk.chunks(BLOCK_BYTES).all(|block| !is_zero(block)));
                }
                Piece::Hole(_) => prop_assert!(!last_was_hole),
            }
            last_was_hole = matches!(piece, Piece::Hole(_));
        }
    }
}

/// The offset and bytes of each chunk.
fn places(pieces: &[Piece]) -> Vec<(usize, Bytes)> {
    let mut offset = 0;
    let mut places = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Chunk(chunk) => {
                places.push((offset, chunk.clone()));
                offset += chunk.len();
            }
            Piece::Hole(length) => offset += usize::try_from(*length).unwrap(),
        }
    }
    places
}

/// Cuts `image` by portions of `portion` bytes, told which of them equal a chunk that `earlier` has there.
fn cut_compared(image: &[u8], earlier: &[Piece], portion: usize) -> Vec<Piece> {
    let known = places(earlier);
    let mut pieces = Vec::new();
    let mut chunker = Chunker::new(keys().chunker(), Profile::Default);
    for (number, data) in image.chunks(portion).enumerate() {
        let begin = number * portion;
        let equal = known.iter().filter_map(|(offset, chunk)| {
            let start = offset.checked_sub(begin)?;
            let range = start..start + chunk.len();
            (data.get(range.clone()) == Some(chunk.as_ref())).then_some(range)
        });
        let equal: Vec<_> = equal.collect();
        chunker.push_compared(&Bytes::copy_from_slice(data), &equal, &mut |piece| {
            pieces.push(piece);
        });
    }
    chunker.finish(&mut |piece| pieces.push(piece));
    pieces
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn cuts_do_not_depend_on_what_an_earlier_image_has(
        blocks in prop::collection::vec(0u16..400, 0..200),
        changes in prop::collection::vec((0usize..200, 0u16..400), 0..6),
        tails in (0usize..BLOCK_BYTES, 0usize..BLOCK_BYTES),
        portion in prop::sample::select(vec![20_000usize, 65_536, 300_000, 1 << 20]),
    ) {
        let earlier = cut(&image(&blocks, tails.0), &[usize::MAX]);
        let mut changed = blocks;
        for (position, seed) in changes {
            if let Some(block) = changed.get_mut(position) {
                *block = seed;
            }
        }
        let image = image(&changed, tails.1);
        prop_assert_eq!(cut_compared(&image, &earlier, portion), cut(&image, &[usize::MAX]));
    }
}

#[test]
fn moved_data_is_cut_alike() {
    let blocks: Vec<u16> = (100..1100).collect();
    let chunks = |image: &[u8]| -> std::collections::HashSet<Bytes> {
        cut(image, &[1 << 20])
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Chunk(chunk) => Some(chunk),
                Piece::Hole(_) => None,
            })
            .collect()
    };
    let original = chunks(&image(&blocks, 0));
    let mut moved = vec![5, 6, 7];
    moved.extend(&blocks);
    let moved = chunks(&image(&moved, 0));
    assert!(original.len() > 60, "{}", original.len());
    assert!(original.difference(&moved).count() <= 2);
}

#[test]
fn the_mean_chunk_is_near_the_target() {
    for profile in Profile::ALL {
        let mut chunker = Chunker::new(keys().chunker(), profile);
        let mut count = 0usize;
        let image = Bytes::from(image(&(4..8004).collect::<Vec<u16>>(), 0));
        chunker.push(&image, &mut |_| count += 1);
        chunker.finish(&mut |_| count += 1);
        let mean = 8000 / count;
        let target = profile.blocks_target();
        assert!(
            (target / 2..target * 2).contains(&mean),
            "{profile:?} {mean}"
        );
    }
}
