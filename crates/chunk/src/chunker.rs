//! Cuts a block image into chunks whose borders depend on content, on the grid of [`BLOCK_BYTES`].
//!
//! Whether a chunk ends behind a grid block depends on that block alone, so data that moved by any
//! multiple of the grid is cut alike again. The decision is a keyed pseudo-random function of a
//! universal hash of the block: chunk lengths, which a storage provider may guess, tell nothing about
//! the key nor about how other content would be cut.

use std::ops::Range;

use bytes::Bytes;
use zeroize::Zeroize;

use crate::keys::Key;
use crate::{BLOCK_BYTES, Profile};

/// A stretch of an image, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes that are stored; not all zero in any grid block.
    Chunk(Bytes),
    /// So many zero bytes.
    Hole(u64),
}

/// Cuts one image, handed over in any portions from its first byte on.
#[derive(Debug)]
pub struct Chunker {
    judge: Judge,
    blocks_min: usize,
    blocks_max: usize,
    /// The open chunk as far as it lies in earlier portions; may end inside a grid block.
    pending: Vec<u8>,
    /// Zero bytes found since the last chunk and not reported yet.
    hole: u64,
}

impl Chunker {
    pub fn new(key: &Key, profile: Profile) -> Self {
        Self {
            judge: Judge::new(key, profile),
            blocks_min: profile.blocks_min(),
            blocks_max: profile.blocks_max(),
            pending: Vec::with_capacity(profile.chunk_bytes_max() + BLOCK_BYTES),
            hole: 0,
        }
    }

    /// Takes the image's next bytes. Chunks inside `data` share its memory.
    pub fn push(&mut self, data: &Bytes, out: &mut impl FnMut(Piece)) {
        self.push_compared(data, &[], out);
    }

    /// The same, with less to do: each of `chunks` is a range of `data`, in order, that equals a whole chunk of
    /// another image cut with this key and profile. The pieces are those of [`Chunker::push`].
    pub fn push_compared(
        &mut self,
        data: &Bytes,
        chunks: &[Range<usize>],
        out: &mut impl FnMut(Piece),
    ) {
        let mut position = 0;
        while position < data.len() {
            if self.pending.is_empty() {
                self.scan(data, position, chunks, out);
                return;
            }
            let missing = BLOCK_BYTES - self.pending.len() % BLOCK_BYTES;
            let taken = missing.min(data.len() - position);
            self.pending
                .extend_from_slice(&data[position..position + taken]);
            position += taken;
            if taken == missing {
                self.close_pending_block(out);
            }
        }
    }

    /// The image continues with `length` zero bytes; same result as pushing them.
    pub fn hole(&mut self, length: u64, out: &mut impl FnMut(Piece)) {
        const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
        let zeros = |count: usize| Bytes::from_static(&ZEROS).slice(..count);
        let block = BLOCK_BYTES as u64;
        let begun = (self.pending.len() % BLOCK_BYTES) as u64;
        let head = length.min((block - begun) % block);
        self.push(&zeros(small(head)), out);
        let whole = (length - head) / block * block;
        if whole > 0 {
            self.emit_pending(out);
            self.hole += whole;
        }
        self.push(&zeros(small(length - head - whole)), out);
    }

    /// Does the next byte begin a chunk, or a hole?
    pub fn is_between_chunks(&self) -> bool {
        self.pending.is_empty()
    }

    /// Reports the hole that was found so far. To be called between two chunks, before whole chunks are passed over that
    /// were cut with this key and profile already.
    pub fn close_hole(&mut self, out: &mut impl FnMut(Piece)) {
        debug_assert!(self.is_between_chunks(), "what is passed over begins here");
        if self.hole > 0 {
            out(Piece::Hole(std::mem::take(&mut self.hole)));
        }
    }

    /// The image ends here, maybe inside a grid block. Nothing is left behind this.
    pub fn finish(&mut self, out: &mut impl FnMut(Piece)) {
        let begun = self.pending.len() % BLOCK_BYTES;
        let whole = self.pending.len() - begun;
        if begun > 0 && is_zero(&self.pending[whole..]) {
            self.pending.truncate(whole);
            self.emit_pending(out);
            self.hole += begun as u64;
        }
        self.emit_pending(out);
        self.close_hole(out);
    }

    /// Cuts `data` from `position`, where a chunk begins, and keeps what is left of the last one.
    fn scan(
        &mut self,
        data: &Bytes,
        position: usize,
        chunks: &[Range<usize>],
        out: &mut impl FnMut(Piece),
    ) {
        let mut start = position;
        let mut end = position;
        let mut chunks = chunks.iter().peekable();
        while let Some(block) = data.get(end..end + BLOCK_BYTES) {
            while chunks.next_if(|chunk| chunk.start < start).is_some() {}
            if start == end
                && let Some(chunk) = chunks.next_if(|chunk| chunk.start == start)
                && self.ends_with(data, chunk)
            {
                self.emit(data.slice(chunk.clone()), out);
                (start, end) = (chunk.end, chunk.end);
                continue;
            }
            if is_zero(block) {
                if start < end {
                    self.emit(data.slice(start..end), out);
                }
                end += BLOCK_BYTES;
                start = end;
                self.hole += BLOCK_BYTES as u64;
                continue;
            }
            end += BLOCK_BYTES;
            if self.ends_chunk((end - start) / BLOCK_BYTES, block) {
                self.emit(data.slice(start..end), out);
                start = end;
            }
        }
        self.pending.extend_from_slice(&data[start..]);
    }

    fn close_pending_block(&mut self, out: &mut impl FnMut(Piece)) {
        let start = self.pending.len() - BLOCK_BYTES;
        let block = &self.pending[start..];
        if is_zero(block) {
            self.pending.truncate(start);
            self.emit_pending(out);
            self.hole += BLOCK_BYTES as u64;
        } else if self.ends_chunk(self.pending.len() / BLOCK_BYTES, block) {
            self.emit_pending(out);
        }
    }

    /// Does the chunk that begins with `chunk`, the content of one, end with it here too? Nothing inside it ends one.
    fn ends_with(&self, data: &[u8], chunk: &Range<usize>) -> bool {
        let blocks = chunk.len() / BLOCK_BYTES;
        if chunk.is_empty() || !chunk.len().is_multiple_of(BLOCK_BYTES) || blocks > self.blocks_max
        {
            return false;
        }
        let last = &data[chunk.end - BLOCK_BYTES..chunk.end];
        let next = data.get(chunk.end..chunk.end + BLOCK_BYTES);
        next.is_some_and(is_zero) || self.ends_chunk(blocks, last)
    }

    fn ends_chunk(&self, blocks: usize, last: &[u8]) -> bool {
        blocks == self.blocks_max || (blocks >= self.blocks_min && self.judge.cuts_after(last))
    }

    fn emit_pending(&mut self, out: &mut impl FnMut(Piece)) {
        if !self.pending.is_empty() {
            let chunk = Bytes::copy_from_slice(&self.pending);
            self.pending.clear();
            self.emit(chunk, out);
        }
    }

    fn emit(&mut self, chunk: Bytes, out: &mut impl FnMut(Piece)) {
        self.close_hole(out);
        out(Piece::Chunk(chunk));
    }
}

fn small(length: u64) -> usize {
    usize::try_from(length).expect("less than a grid block")
}

/// Are all bytes zero? Looks at 64 at a time, so that data is told from a hole at its first line.
pub fn is_zero(bytes: &[u8]) -> bool {
    let mut lines = bytes.chunks_exact(64);
    lines.all(|line| line.iter().fold(0, |all, byte| all | byte) == 0)
        && lines.remainder().iter().all(|byte| *byte == 0)
}

const WORDS: usize = BLOCK_BYTES / 4;
/// The second pass of the hash uses the same words moved by so many.
const SHIFT: usize = 4;

/// The keyed decision on one grid block.
struct Judge {
    /// Key words of the universal hash NH.
    words: Box<[u32; WORDS + SHIFT]>,
    /// Key of the pseudo-random function over the hash.
    key: Key,
    threshold: u64,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judge(..)")
    }
}

impl Drop for Judge {
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl Judge {
    fn new(key: &Key, profile: Profile) -> Self {
        let mut stream =
            blake3::Hasher::new_keyed(&key.derive("strongroom v1 chunker hash").0).finalize_xof();
        let mut words = Box::new([0; WORDS + SHIFT]);
        for word in words.iter_mut() {
            let mut bytes = [0; 4];
            stream.fill(&mut bytes);
            *word = u32::from_le_bytes(bytes);
        }
        stream.zeroize();
        Self {
            words,
            key: key.derive("strongroom v1 chunker decision"),
            threshold: u64::MAX / profile.blocks_target() as u64,
        }
    }

    fn cuts_after(&self, block: &[u8]) -> bool {
        let mut hashed = [0; 16];
        let (first, second) = hashed.split_at_mut(8);
        first.copy_from_slice(&nh(&self.words[..WORDS], block).to_le_bytes());
        second.copy_from_slice(&nh(&self.words[SHIFT..], block).to_le_bytes());
        let random = blake3::keyed_hash(&self.key.0, &hashed);
        let (number, _) = random
            .as_bytes()
            .split_first_chunk()
            .expect("a hash has 32 bytes");
        u64::from_le_bytes(*number) < self.threshold
    }
}

/// The universal hash NH: sums of products of key-shifted 32-bit words, four apart so that the
/// compiler can compute lanes side by side.
fn nh(words: &[u32], block: &[u8]) -> u64 {
    let mut lanes = [0u64; 4];
    for (data, keys) in block.chunks_exact(32).zip(words.chunks_exact(8)) {
        for lane in 0..4 {
            let left = word(data, lane).wrapping_add(keys[lane]);
            let right = word(data, lane + 4).wrapping_add(keys[lane + 4]);
            lanes[lane] = lanes[lane].wrapping_add(u64::from(left) * u64::from(right));
        }
    }
    lanes.iter().fold(0, |sum, lane| sum.wrapping_add(*lane))
}

fn word(data: &[u8], index: usize) -> u32 {
    let bytes = &data[4 * index..4 * index + 4];
    u32::from_le_bytes(bytes.try_into().expect("four bytes"))
}
