use proptest::prelude::*;

use super::vectors::{header, keys};
use crate::*;

fn open(pack: &[u8]) -> Result<Vec<Vec<u8>>> {
    let keys = keys();
    let trailer = scrub_object(pack)?;
    let directory = open_directory(&keys, &trailer, pack)?;
    let key = keys.seal_key(&trailer.header)?;
    let mut decompressor = FrameDecompressor::default();
    let mut frames = Vec::new();
    for (number, entry) in (0..).zip(directory.frames()) {
        let range = entry.range();
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        let mut plain = vec![0; entry.plain_length as usize];
        let sealed = &pack[range];
        open_frame(&key, number, entry, sealed, &mut decompressor, &mut plain)?;
        frames.push(plain);
    }
    (0..)
        .map_while(|slot| directory.locate(slot))
        .map(|chunk| {
            let frame = &frames[chunk.frame as usize];
            let content = &frame[chunk.start as usize..][..chunk.length as usize];
            assert_eq!(keys.chunk_id(content), chunk.id);
            Ok(content.to_vec())
        })
        .collect()
}

fn build(chunks: &[Vec<u8>], per_frame: usize) -> Vec<u8> {
    let keys = keys();
    let mut compressor = FrameCompressor::new(1);
    let mut pack = PackBuilder::new(header(Kind::DataPack), &keys);
    for group in chunks.chunks(per_frame) {
        let (codec, bytes) = compressor.compress(&group.concat());
        let entries: Vec<_> = group
            .iter()
            .map(|chunk| (keys.chunk_id(chunk), u32::try_from(chunk.len()).unwrap()))
            .collect();
        pack.push(codec, bytes, &entries);
    }
    let finished = pack.finish();
    let bytes = finished.pieces.concat();
    assert_eq!(finished.length, bytes.len() as u64);
    bytes
}

fn chunk() -> impl Strategy<Value = Vec<u8>> {
    let random = prop::collection::vec(any::<u8>(), 1..5000);
    let plain = (any::<u8>(), 1usize..20_000).prop_map(|(byte, length)| vec![byte; length]);
    prop_oneof![random, plain]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn what_is_packed_is_unpacked(
        chunks in prop::collection::vec(chunk(), 0..40),
        per_frame in 1usize..6,
    ) {
        prop_assert_eq!(open(&build(&chunks, per_frame)).unwrap(), chunks);
    }

    #[test]
    fn any_changed_byte_is_noticed(place in any::<prop::sample::Index>(), change in 1u8..) {
        let chunks: Vec<Vec<u8>> = (1..9).map(|n| vec![n; 300 * usize::from(n)]).collect();
        let mut pack = build(&chunks, 3);
        let place = place.index(pack.len());
        pack[place] ^= change;
        prop_assert!(scrub_object(&pack).is_err());
    }
}

#[test]
fn random_data_stays_raw_and_text_does_not() {
    let mut random = vec![0; 100_000];
    blake3::Hasher::new().finalize_xof().fill(&mut random);
    let mut compressor = FrameCompressor::new(1);
    let (codec, stored) = compressor.compress(&random);
    assert_eq!((codec, stored), (Codec::Raw, random));
    let (codec, stored) = compressor.compress(&b"all work and no play ".repeat(5000));
    assert_eq!(codec, Codec::Zstd);
    assert!(stored.len() < 1000);
}

#[test]
fn another_repositorys_key_opens_nothing() {
    let pack = build(&[vec![1; 100]], 1);
    let trailer = scrub_object(&pack).unwrap();
    let other = Keys::derive(ObjectId([0x11; 16]), &Key([9; 32]));
    let refused = open_directory(&other, &trailer, &pack);
    assert_eq!(refused.unwrap_err(), Error::Unauthentic);
}

#[test]
fn frames_of_impossible_size_are_refused() {
    let mut plain = vec![0; FRAME_BYTES_MAX + 1];
    let (_, bomb) = FrameCompressor::new(1).compress(&plain);
    let mut decompressor = FrameDecompressor::default();
    let refused = decompressor.decompress(Codec::Zstd, bomb.clone(), 1000);
    assert!(refused.is_err());
    let header = header(Kind::DataPack);
    let key = keys().seal_key(&header).unwrap();
    let entry = FrameEntry {
        offset: 0,
        sealed_length: 0,
        plain_length: u32::try_from(plain.len()).unwrap(),
        codec: Codec::Zstd,
        first_slot: 0,
    };
    let refused = open_frame(&key, 0, &entry, &bomb, &mut decompressor, &mut plain);
    assert_eq!(
        refused.unwrap_err(),
        Error::Malformed("a frame is too large")
    );
}
