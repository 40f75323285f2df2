//! An open segment, for the fuzzer and the tests: any bytes, no panic, no great memory, no look-up without end.

use bytes::Bytes;
use strongroom_chunk::{
    Header, IndexEntry, IndexedPack, Key, Keys, Kind, ObjectId, Prefix, Segment,
};

use crate::OpenSegment;

const ENTRIES: u32 = 3000;
/// A place, and what is written there.
const CHANGE_BYTES: usize = 4;

fn keys() -> Keys {
    let mut root = [0; 32];
    for (byte, value) in root.iter_mut().zip(0..) {
        *byte = value;
    }
    Keys::derive(ObjectId([0x11; 16]), &Key(root))
}

/// Opens and asks `bytes` as a segment, and a sound segment with the changes that `bytes` tell.
pub fn open_segments(bytes: &[u8]) {
    let keys = keys();
    ask(Bytes::copy_from_slice(bytes), &keys);
    let mut changed = segment(&keys);
    for change in bytes.chunks_exact(CHANGE_BYTES) {
        let place = u32::from_le_bytes([change[0], change[1], change[2], 0]);
        let place = usize::try_from(place).unwrap_or(0) % changed.len();
        changed[place] ^= change[3];
    }
    ask(changed.into(), &keys);
}

fn ask(bytes: Bytes, keys: &Keys) {
    let Ok(segment) = OpenSegment::open_bytes(bytes, keys) else {
        return;
    };
    // What it says is of no interest, only that it ends.
    let _ = (segment.id(), segment.span(), segment.pack_count());
    let _ = segment.packs();
    let _ = segment.check_all();
    for number in (0..ENTRIES).step_by(100) {
        let _ = segment.find(prefix(number), &mut |_| true);
    }
}

fn prefix(number: u32) -> Prefix {
    // Spread over the whole range, as hashes are.
    let spread = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834);
    Prefix::from_bytes(&spread.to_be_bytes())
}

fn segment(keys: &Keys) -> Vec<u8> {
    let header = Header {
        kind: Kind::IndexSegment,
        generation: 0,
        repository: ObjectId([0x11; 16]),
        object: ObjectId([0x22; 16]),
        salt: [0x33; 32],
    };
    let entry = |number| IndexEntry {
        prefix: prefix(number),
        pack: 0,
        slot: number,
    };
    let mut segment = Segment {
        packs: vec![IndexedPack {
            id: ObjectId([0x44; 16]),
            kind: Kind::DataPack,
            length: 1 << 20,
        }],
        entries: (0..ENTRIES).map(entry).collect(),
    };
    segment.encode(&header, keys)
}
