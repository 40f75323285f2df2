//! BLAKE3 of each MiB that passes, and on the way, at no extra cost, hashes of the 64 KiB blocks inside: they are
//! inner nodes of the same hash trees.

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};

use crate::trailer::{HASH_BLOCK_BYTES, Trailer};

/// What [`BlockHasher::inner_hashes`] are of; a part of [`HASH_BLOCK_BYTES`].
const INNER_BYTES: usize = 64 << 10;
pub(crate) const INNER_HASH_BYTES: usize = 16;

pub(crate) type InnerHash = [u8; INNER_HASH_BYTES];

/// Hashes an object's bytes while they are written.
#[derive(Debug, Clone, Default)]
pub(crate) struct BlockHasher {
    done: Vec<[u8; 32]>,
    /// Inner nodes of the open MiB.
    open: Vec<ChainingValue>,
    inner: Vec<InnerHash>,
    current: blake3::Hasher,
    filled: usize,
}

impl BlockHasher {
    pub(crate) fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            // Only now: what ends with its object may be the root of its tree.
            if self.filled == INNER_BYTES {
                self.close_inner();
            }
            let (head, rest) = bytes.split_at(bytes.len().min(INNER_BYTES - self.filled));
            self.current.update(head);
            self.filled += head.len();
            bytes = rest;
        }
    }

    pub(crate) fn finish(mut self) -> Vec<[u8; 32]> {
        if self.filled == 0 {
            return self.done;
        }
        let root = if self.open.is_empty() {
            self.current.finalize()
        } else {
            self.open.push(self.current.finalize_non_root());
            root_of(&self.open)
        };
        self.done.push(*root.as_bytes());
        self.done
    }

    /// As [`inner_hash`] of each 64 KiB so far, the last one maybe shorter.
    pub(crate) fn inner_hashes(&self) -> Vec<InnerHash> {
        let mut hashes = self.inner.clone();
        if self.filled > 0 {
            hashes.push(shortened(&self.current.finalize_non_root()));
        }
        hashes
    }

    fn close_inner(&mut self) {
        let value = self.current.finalize_non_root();
        self.inner.push(shortened(&value));
        self.open.push(value);
        if self.open.len() == HASH_BLOCK_BYTES / INNER_BYTES {
            self.done.push(*root_of(&self.open).as_bytes());
            self.open.clear();
        }
        // A reset one would remember the offset that it had.
        self.current = blake3::Hasher::new();
        self.current
            .set_input_offset((self.open.len() * INNER_BYTES) as u64);
        self.filled = 0;
    }
}

/// Compares a body that passes with the hashes of its trailer.
#[derive(Debug, Default)]
pub struct BodyChecker(BlockHasher);

impl BodyChecker {
    /// Takes the body's next bytes, from its first on.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The number of the first MiB that is not what was written; nothing if all are.
    pub fn first_bad_block(self, trailer: &Trailer) -> Option<usize> {
        let found = self.0.finish();
        let same = found.iter().zip(&trailer.block_hashes);
        let matching = same.take_while(|(found, written)| found == written).count();
        (matching < found.len().max(trailer.block_hashes.len())).then_some(matching)
    }
}

/// The hash of some bytes that lie at `offset` of an object: the beginning of the chaining value that BLAKE3 has for
/// them while it hashes the MiB around. `offset` is a multiple of a power of two not below the bytes' number.
pub(crate) fn inner_hash(offset: usize, bytes: &[u8]) -> InnerHash {
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset((offset % HASH_BLOCK_BYTES) as u64);
    hasher.update(bytes);
    shortened(&hasher.finalize_non_root())
}

fn shortened(value: &ChainingValue) -> InnerHash {
    *value.first_chunk().expect("a chaining value has 32 bytes")
}

fn root_of(values: &[ChainingValue]) -> blake3::Hash {
    let (left, right) = values.split_at(left_of(values.len()));
    merge_subtrees_root(&node_of(left), &node_of(right), Mode::Hash)
}

fn node_of(values: &[ChainingValue]) -> ChainingValue {
    if let [value] = values {
        return *value;
    }
    let (left, right) = values.split_at(left_of(values.len()));
    merge_subtrees_non_root(&node_of(left), &node_of(right), Mode::Hash)
}

/// The left subtree of a BLAKE3 tree is the largest that is complete and leaves something to the right.
fn left_of(values: usize) -> usize {
    values.next_power_of_two() / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inner_nodes_change_no_hash() {
        let mut bytes = vec![0; 3 * HASH_BLOCK_BYTES + 5];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let inner = INNER_BYTES;
        for length in [
            0,
            1,
            inner - 1,
            inner,
            inner + 1,
            2 * inner,
            3 * inner + 7,
            HASH_BLOCK_BYTES - 1,
            HASH_BLOCK_BYTES,
            HASH_BLOCK_BYTES + 1,
            HASH_BLOCK_BYTES + inner,
            3 * HASH_BLOCK_BYTES + 5,
        ] {
            let bytes = &bytes[..length];
            let mut hasher = BlockHasher::default();
            for portion in bytes.chunks(50_001) {
                hasher.update(portion);
            }
            let inner: Vec<_> = bytes
                .chunks(inner)
                .enumerate()
                .map(|(number, block)| inner_hash(number * INNER_BYTES, block))
                .collect();
            assert_eq!(hasher.inner_hashes(), inner, "{length}");
            let hashes = bytes.chunks(HASH_BLOCK_BYTES).map(blake3::hash);
            let hashes: Vec<_> = hashes.map(|hash| *hash.as_bytes()).collect();
            assert_eq!(hasher.finish(), hashes, "{length}");
        }
    }
}
