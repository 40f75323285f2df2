//! Which bytes of unchanged stretches will have to be read, told before they are: whoever reads a disk over a wire asks for them
//! together with what has changed, and so does not wait for each of them.

use std::fmt;
use std::ops::Range;

use strongroom_chunk::BLOCK_BYTES;

use super::parent::{Found, ParentTree};

/// Knows where the chunks of the parent begin and end. For threads that may wait.
pub struct Carriable {
    parent: ParentTree,
    /// Of the image.
    size_bytes: u64,
}

impl fmt::Debug for Carriable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carriable(..)")
    }
}

impl Carriable {
    pub(super) const fn new(parent: ParentTree, size_bytes: u64) -> Self {
        Self { parent, size_bytes }
    }

    /// The part of an unchanged stretch that is carried over without being read, if the image is cut as the parent was: what lies before
    /// and behind belongs to chunks that reach out of the stretch. Stretches must be asked about in order. Where cuts fall otherwise
    /// than in the parent, the writer reads more by itself.
    pub fn part_of(&mut self, stretch: Range<u64>) -> Range<u64> {
        let nothing = stretch.end..stretch.end;
        let start = match self.parent.at(stretch.start) {
            Found::Chunk(chunk) if chunk.offset < stretch.start => chunk.end(),
            Found::Unknown => return nothing,
            Found::Chunk(_) | Found::Node(_) | Found::Hole(_) => stretch.start,
        };
        if start >= stretch.end {
            return nothing;
        }
        if stretch.end == self.size_bytes {
            return start..stretch.end;
        }
        // A chunk that ends with the stretch may have ended because of what has changed behind it; a block of the stretch is left.
        let last = stretch.end - (BLOCK_BYTES as u64).min(stretch.end - start);
        let end = match self.found_at(last) {
            Found::Chunk(chunk) => chunk.offset.max(start),
            _ => last,
        };
        start..end
    }

    fn found_at(&mut self, position: u64) -> Found {
        loop {
            match self.parent.at(position) {
                Found::Node(_) => self.parent.descend(),
                found => return found,
            }
        }
    }
}
