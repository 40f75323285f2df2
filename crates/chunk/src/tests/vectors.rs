//! The test vectors of `docs/formats`: what they show must never change for version 1.

use std::fmt::Write;

use crate::*;

pub(super) const REPOSITORY: ObjectId = ObjectId([0x11; 16]);
pub(super) const OBJECT: ObjectId = ObjectId([0x22; 16]);

pub(super) fn root() -> Key {
    let mut bytes = [0; 32];
    for (byte, value) in bytes.iter_mut().zip(0..) {
        *byte = value;
    }
    Key(bytes)
}

pub(super) fn keys() -> Keys {
    Keys::derive(REPOSITORY, &root())
}

pub(super) fn header(kind: Kind) -> Header {
    Header {
        kind,
        generation: 0,
        repository: REPOSITORY,
        object: OBJECT,
        salt: [0x33; 32],
    }
}

/// Two frames: one raw with two chunks, one raw with one.
pub(super) fn pack() -> FinishedPack {
    fill(PackBuilder::new(header(Kind::DataPack), &keys()))
}

fn fill(mut pack: PackBuilder) -> FinishedPack {
    let keys = keys();
    let frame = |texts: &[&str]| -> (Vec<u8>, Vec<(ContentId, u32)>) {
        let chunks = texts
            .iter()
            .map(|text| {
                let length = u32::try_from(text.len()).unwrap();
                (keys.chunk_id(text.as_bytes()), length)
            })
            .collect();
        (texts.concat().into_bytes(), chunks)
    };
    for texts in [&["first chunk", "second"][..], &["third chunk"]] {
        let (bytes, chunks) = frame(texts);
        pack.push(Codec::Raw, bytes, &chunks);
    }
    pack.finish()
}

pub(super) fn leaf() -> Node {
    let entry = |text: &str, offset, slot| LeafEntry {
        id: keys().chunk_id(text.as_bytes()),
        offset,
        length: 8192,
        place: Place { pack: OBJECT, slot },
    };
    Node::Leaf(vec![entry("a", 0, 5), entry("b", 12288, 2)])
}

pub(super) fn inner() -> Node {
    let child = |position, slot| Child {
        position,
        id: keys().node_id(&[position]),
        place: Place { pack: OBJECT, slot },
    };
    Node::Inner {
        level: 1,
        children: vec![child(0, 0), child(9, 1), child(255, 2)],
    }
}

pub(super) fn segment() -> Segment {
    let entry = |text: &str, slot| IndexEntry {
        prefix: keys().chunk_id(text.as_bytes()).prefix(),
        pack: 0,
        slot,
    };
    Segment {
        packs: vec![IndexedPack {
            id: OBJECT,
            kind: Kind::DataPack,
            length: 4096,
        }],
        entries: vec![entry("a", 0), entry("b", 1), entry("c", 2)],
    }
}

/// As segments were before they had a filter.
pub(super) fn first_form_segment() -> Vec<u8> {
    let text = include_str!("../../../../docs/formats/vectors/index-segment-1.hex");
    hex::decode(text.split_whitespace().collect::<String>()).unwrap()
}

fn check(name: &str, expected: &str, actual: &[u8]) {
    let expected: String = expected.split_whitespace().collect();
    assert_eq!(hex::encode(actual), expected, "{name}");
}

macro_rules! vector {
    ($name:literal, $actual:expr) => {
        check(
            $name,
            include_str!(concat!("../../../../docs/formats/vectors/", $name, ".hex")),
            $actual,
        )
    };
}

#[test]
fn ids_and_keys() {
    let keys = keys();
    vector!("chunk-id", &keys.chunk_id(b"strongroom").0);
    vector!("node-id", &keys.node_id(b"strongroom").0);
    vector!("point-id", &keys.point_id("strongroom").0);
    let salt = [0x55; 32];
    let wrapped = Key([0x44; 32]).wrap(REPOSITORY, &salt, 0, &root());
    vector!("wrapped-key", &wrapped);
    let unwrapped = Key([0x44; 32]).unwrap(REPOSITORY, &salt, 0, &wrapped);
    assert_eq!(unwrapped.unwrap().0, root().0);
    let other = Key([0x45; 32]).unwrap(REPOSITORY, &salt, 0, &wrapped);
    assert_eq!(other.unwrap_err(), Error::Unauthentic);
    let swapped = Key([0x44; 32]).unwrap(REPOSITORY, &salt, 1, &wrapped);
    assert_eq!(swapped.unwrap_err(), Error::Unauthentic);
}

#[test]
fn parity() {
    let pack = fill(PackBuilder::with_parity(header(Kind::DataPack), &keys()));
    let bytes = pack.pieces.concat();
    assert_eq!(bytes.len(), 74_552);
    vector!("parity-record", &bytes[320..848]);
    vector!("parity-pack-hash", &checksum(&bytes));
}

#[test]
fn objects() {
    vector!("pack", &pack().pieces.concat());
    let mut segment = segment();
    let bytes = segment.encode(&header(Kind::IndexSegment), &keys());
    vector!("index-segment", &bytes);
    assert_eq!(
        Segment::decode(&first_form_segment(), &keys()).as_ref(),
        Ok(&segment)
    );
    assert_eq!(Segment::decode(&bytes, &keys()), Ok(segment));
    let point = seal_object(&header(Kind::Point), &keys(), b"{\"name\":\"vector\"}");
    vector!("point", &point);
    let (_, text) = open_object(&point, Kind::Point, &keys()).unwrap();
    assert_eq!(text, b"{\"name\":\"vector\"}");
}

/// The same keys after a rotation; the second root key is the first one's bytes backwards.
fn rotated() -> Keys {
    let mut second = root();
    second.0.reverse();
    let keys = keys();
    keys.learn(&[second]);
    keys
}

#[test]
fn a_rotation_changes_seals_and_no_ids() {
    let keys = rotated();
    vector!("chunk-id", &keys.chunk_id(b"strongroom").0);
    vector!("point-id", &keys.point_id("strongroom").0);
    let header = Header {
        generation: keys.newest_generation(),
        ..header(Kind::Point)
    };
    assert_eq!(header.generation, 1);
    let text = b"{\"name\":\"vector\"}";
    let point = seal_object(&header, &keys, text);
    vector!("point-generation-1", &point);
    assert_eq!(open_object(&point, Kind::Point, &keys).unwrap().1, text);
    let before = super::vectors::keys();
    let refused = open_object(&point, Kind::Point, &before);
    assert_eq!(refused.unwrap_err(), Error::NewerKeys(1));
    // Who learns the newer keys later, reads both.
    let clone = before.clone();
    let mut second = root();
    second.0.reverse();
    before.learn(&[second]);
    assert!(open_object(&point, Kind::Point, &clone).is_ok());
    let old = seal_object(&super::vectors::header(Kind::Point), &keys, text);
    vector!("point", &old);
    assert!(open_object(&old, Kind::Point, &clone).is_ok());
}

#[test]
fn nodes() {
    for (name, node) in [("leaf", leaf()), ("inner", inner())] {
        let (id, bytes) = node.encode(&keys());
        match name {
            "leaf" => vector!("leaf", &[id.0.as_slice(), &bytes].concat()),
            _ => vector!("inner", &[id.0.as_slice(), &bytes].concat()),
        }
        assert_eq!(Node::decode(&bytes, id, &keys()), Ok(node));
    }
}

#[test]
fn cuts() {
    let mut image = vec![0; 2 << 20];
    blake3::Hasher::new()
        .update(b"strongroom chunker vector")
        .finalize_xof()
        .fill(&mut image);
    image[400 << 10..700 << 10].fill(0);
    let image = bytes::Bytes::from(image);
    let mut lines = String::new();
    for profile in Profile::ALL {
        let mut chunker = Chunker::new(keys().chunker(), profile);
        let mut lengths = Vec::new();
        let mut note = |piece| match piece {
            Piece::Chunk(chunk) => lengths.push((chunk.len() / BLOCK_BYTES).to_string()),
            Piece::Hole(length) => lengths.push(format!("hole:{}", length / 4096)),
        };
        chunker.push(&image, &mut note);
        chunker.finish(&mut note);
        writeln!(lines, "{}: {}", profile.as_str(), lengths.join(" ")).unwrap();
    }
    let expected = include_str!("../../../../docs/formats/vectors/cuts.txt");
    assert_eq!(lines, expected);
}

#[test]
fn hints_do_not_change_a_nodes_id() {
    let Node::Leaf(mut entries) = leaf() else {
        panic!("a leaf");
    };
    let (id, bytes) = leaf().encode(&keys());
    entries[0].place = Place {
        pack: ObjectId([0x66; 16]),
        slot: 77,
    };
    let (moved_id, moved) = Node::Leaf(entries).encode(&keys());
    assert_eq!(id, moved_id);
    assert_ne!(bytes, moved);
}
