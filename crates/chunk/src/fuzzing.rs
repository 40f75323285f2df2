//! Every decoder of this crate, for the fuzzer and the tests: any bytes, no panic, no great memory.

use crate::{
    Codec, ContentId, FrameDecompressor, Header, Key, Keys, Kind, Lookup, Node, ObjectId, Outline, Segment, Trailer,
    open_directory, open_object, scrub_object,
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
