//! Stretches that the caller vouches for: chunks of the parent, and whole subtrees, are carried over from it. The disk is
//! read only where a chunk does not lie wholly in such a stretch.
//!
//! `docs/decisions/0086-unchanged-stretches-are-carried-over.md` says why the pieces are those of an image that was read whole.

use std::fmt;
use std::sync::Arc;

use strongroom_chunk::{BLOCK_BYTES, Place, node_bytes};

use super::Unchanged;
use super::choose::CarriedNode;
use super::cut::Cutter;
use super::parent::{Found, ParentChunk, ParentNode, ParentTree};
use crate::engine::Engine;
use crate::{Buffers, Error, Result, Source};

/// Fills the buffer with the bytes of the image from this offset on; called on a thread that may wait. What it fails with
/// comes back as the source of [`Error::Reread`].
pub type Reread = Box<dyn FnMut(u64, &mut [u8]) -> Result<(), Source> + Send>;

/// So much is read at once.
const PORTION_BYTES: usize = 1 << 20;
const BUFFERS_IDLE_MAX: usize = 8;

pub(super) struct Carrier {
    parent: ParentTree,
    reread: Reread,
    buffers: Buffers,
    chunk_bytes_max: u64,
    size_bytes: u64,
    parent_bytes: u64,
    /// Nodes that follow each other, to be carried once it is known where the last chunk of the last one ends.
    held: Vec<(ParentNode, Place)>,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Carrier(..)")
    }
}

impl Carrier {
    /// Sizes of the image and of the parent's.
    pub(super) fn new(
        engine: &Arc<Engine>,
        parent: ParentTree,
        reread: Reread,
        (size_bytes, parent_bytes): (u64, u64),
    ) -> Self {
        Self {
            parent,
            reread,
            buffers: Buffers::new(PORTION_BYTES, BUFFERS_IDLE_MAX),
            chunk_bytes_max: engine.options.profile.chunk_bytes_max() as u64,
            size_bytes,
            parent_bytes,
            held: Vec::new(),
        }
    }

    /// Takes `cutter` over a stretch.
    pub(super) fn stretch(&mut self, cutter: &mut Cutter, stretch: Unchanged) -> Result<()> {
        let end = cutter.taken() + stretch.length;
        let behind = if stretch.same_behind { BLOCK_BYTES } else { 0 };
        let same_to = end + behind as u64;
        loop {
            let position = self.position(cutter);
            if position >= end {
                // Nodes are held to the end of a stretch only if the image ends with it.
                return self.carry_held(cutter, end);
            }
            match self.parent.at(position) {
                Found::Node(node) => match self.carriable_node(cutter, &node, end) {
                    Some(place) => {
                        self.parent.pass();
                        self.held.push((node, place));
                    }
                    None if self.held.is_empty() => self.parent.descend(),
                    None => self.settle(cutter)?,
                },
                _ if !self.held.is_empty() => self.settle(cutter)?,
                Found::Hole(until) => cutter.hole(until.min(end) - position)?,
                Found::Chunk(chunk) => match self.carriable_chunk(cutter, &chunk, (end, same_to)) {
                    Some(place) => cutter.carry_chunk(&chunk, place)?,
                    None => self.read(cutter, chunk.end().min(end))?,
                },
                Found::Unknown => self.read(cutter, end)?,
            }
        }
    }

    fn position(&self, cutter: &Cutter) -> u64 {
        let held = self.held.last().map(|(node, _)| node.end());
        held.map_or(cutter.taken(), |end| end.min(self.size_bytes))
    }

    /// A chunk ends in the new image where it ended in the parent if the block behind it is the same: it may have ended
    /// because that one was zero.
    fn carriable_chunk(
        &self,
        cutter: &Cutter,
        chunk: &ParentChunk,
        (end, same_to): (u64, u64),
    ) -> Option<Place> {
        let begins_here = cutter.is_between_chunks() && chunk.offset == cutter.taken();
        let ends_alike = chunk.end() <= end
            && (chunk.end() + BLOCK_BYTES as u64 <= same_to || end == self.size_bytes);
        let alike = begins_here && ends_alike;
        alike.then_some(chunk.place).flatten()
    }

    /// A subtree is the new image's if that has the same chunks beginning in its range: none other so far, and from
    /// its first one on the same bytes up to where the longest chunk would end, and a block behind.
    fn carriable_node(&self, cutter: &Cutter, node: &ParentNode, end: u64) -> Option<Place> {
        let begins_alike = !self.held.is_empty()
            || (cutter.is_between_chunks() && cutter.begun_before(node.begin));
        let ends_alike = node.end().saturating_add(self.chunk_bytes_max) <= end
            || (end == self.size_bytes && end == self.parent_bytes);
        let alike = begins_alike && ends_alike;
        alike.then(|| self.parent.place_of(node)).flatten()
    }

    /// Carries the nodes that are held, and goes on behind their last chunk. If that cannot be read, goes back to the
    /// node with what is lost, so that this is read from the disk.
    fn settle(&mut self, cutter: &mut Cutter) -> Result<()> {
        let Some((last, _)) = self.held.last().copied() else {
            return Ok(());
        };
        self.parent.return_to(last);
        let found = self.parent.at(last.end());
        if let Some(lost) = self.parent.lost_from()
            && let Some(first) = self.held.iter().position(|(node, _)| node.end() > lost)
        {
            self.parent.return_to(self.held[first].0);
            self.held.truncate(first);
            return Ok(());
        }
        let border = match found {
            Found::Chunk(chunk) if chunk.offset < last.end() => chunk.end(),
            _ => last.end(),
        };
        self.carry_held(cutter, border)
    }

    /// The last chunk of the nodes that are held ends at or before `border`, and nothing but zeros is between.
    fn carry_held(&mut self, cutter: &mut Cutter, border: u64) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let nodes = self.held.drain(..).map(|(node, place)| CarriedNode {
            level: node.level,
            number: node.begin / node_bytes(node.level),
            id: node.id,
            place,
        });
        cutter.carry_nodes(nodes, border)
    }

    /// Reads the disk up to `end`.
    fn read(&mut self, cutter: &mut Cutter, end: u64) -> Result<()> {
        while cutter.taken() < end {
            let offset = cutter.taken();
            let length = usize::try_from(end - offset).unwrap_or(usize::MAX);
            let mut buffer = self.buffers.take(length.min(PORTION_BYTES));
            (self.reread)(offset, buffer.bytes_mut())
                .map_err(|source| Error::Reread { offset, source })?;
            cutter.data(buffer.freeze(), &[])?;
        }
        Ok(())
    }
}
