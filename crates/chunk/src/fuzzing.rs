//! Every decoder of this crate, for the fuzzer and the tests: any bytes, no panic, no great memory.

use std::sync::OnceLock;

use crate::{
    Codec, ContentId, FrameDecompressor, Header, Key, Keys, Kind, Lookup, Node, ObjectId, Outline,
    PackBuilder, Segment, Trailer, heal, open_directory, open_object, scrub_object,
};

/// The keys of the test vectors, so that those are good seeds.
fn keys() -> Keys {
    let mut root = [0; 32];
    for (byte, value) in root.iter_mut().zip(0..) {
        *byte = value;
    }
    Keys::derive(ObjectId([0x11; 16]), &Key(root))
}

/// Decodes `bytes` as everything that they could be.
pub fn decode_all(bytes: &[u8]) {
    let keys = keys();
    // What is decoded is of no interest here, only that it ends.
    let _ = Header::decode(bytes);
    let _ = scrub_object(bytes);
    let length = bytes.len() as u64;
    let _ = Trailer::length(bytes, length);
    if let Ok(trailer) = Trailer::decode(bytes, length) {
        let _ = open_directory(&keys, &trailer, bytes);
    }
    let _ = Segment::decode(bytes, &keys);
    let _ = Outline::tail_bytes(bytes, length);
    decode_filter(bytes, &keys);
    for kind in [Kind::DataPack, Kind::Point, Kind::Session, Kind::Condemned] {
        let _ = open_object(bytes, kind, &keys);
    }
    decode_node(bytes, &keys);
    let _ = crate::pack::decode_directory(bytes, length);
    let mut decompressor = FrameDecompressor::default();
    let _ = decompressor.decompress(Codec::Zstd, bytes.to_vec(), 70_000);
    let _ = ContentId::from_hex(&String::from_utf8_lossy(bytes));
}

fn decode_filter(bytes: &[u8], keys: &Keys) {
    if let Ok(Some(outline)) = Outline::decode(bytes, bytes.len() as u64, keys) {
        let start = usize::try_from(outline.filter().start).unwrap_or(usize::MAX);
        let filter = bytes.get(start..).unwrap_or_default();
        let head = Lookup::head_bytes(filter).unwrap_or_default();
        let _ = Lookup::new(&outline, &filter[..head.min(filter.len())]);
    }
}

/// With the right id, so that the structure behind the check of the id is reached.
fn decode_node(bytes: &[u8], keys: &Keys) {
    let canonical = bytes.split_first_chunk().map(|(length, rest)| {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        &rest[..rest.len().min(length)]
    });
    let id = keys.node_id(canonical.unwrap_or_default());
    let _ = Node::decode(bytes, id, keys);
}

/// Each stretch of damage that [`heal_damaged`] reads from its bytes.
const DAMAGE_BYTES: usize = 8;

/// Heals `bytes` as if they were a damaged pack, and a sound pack with the damage that `bytes` tell: it comes back as it
/// was, or not at all.
pub fn heal_damaged(bytes: &[u8]) {
    let _ = heal(bytes.to_vec());
    let sound = pack_with_parity();
    let mut damaged = sound.clone();
    for damage in bytes.chunks_exact(DAMAGE_BYTES) {
        let number = |at: usize| usize::from(u16::from_le_bytes([damage[at], damage[at + 1]]));
        let start = (number(0) << 8 | usize::from(damage[2])) % sound.len();
        let end = sound.len().min(start + number(3));
        match damage[5] % 8 {
            0 => damaged.truncate(start),
            1 => damaged.extend_from_slice(&sound[start..end]),
            // As a disk that gives another sector than the one it was asked for.
            2 => {
                let to = number(6).min(damaged.len());
                let room = (damaged.len() - to).min(end - start);
                damaged[to..to + room].copy_from_slice(&sound[start..start + room]);
            }
            _ => {
                let hole = start.min(damaged.len())..end.min(damaged.len());
                damaged[hole].fill(damage[6]);
            }
        }
        damaged.truncate(2 * sound.len());
    }
    if let Ok(healed) = heal(damaged) {
        assert!(healed == *sound, "it heals to something else");
    }
}

fn pack_with_parity() -> &'static Vec<u8> {
    static PACK: OnceLock<Vec<u8>> = OnceLock::new();
    PACK.get_or_init(|| {
        let header = Header {
            kind: Kind::DataPack,
            generation: 0,
            repository: ObjectId([0x11; 16]),
            object: ObjectId([0x22; 16]),
            salt: [0x33; 32],
        };
        let keys = keys();
        let mut pack = PackBuilder::with_parity(header, &keys);
        let mut content = vec![0; 150_000];
        blake3::Hasher::new().finalize_xof().fill(&mut content);
        for frame in content.chunks(50_000) {
            let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
            pack.push(
                Codec::Raw,
                frame.to_vec(),
                &[(keys.chunk_id(frame), length)],
            );
        }
        pack.finish().pieces.concat()
    })
}
