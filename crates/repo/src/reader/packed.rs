//! Chunks in the order in which they lie in packs, for readers that write them anywhere: a frame is fetched and opened
//! once for all the places of the image that need it, and neighbours in a pack come with one request.

use std::collections::HashMap;
use std::ops::Range;

use strongroom_chunk::ObjectId;

use super::fetch::Wanted;
use crate::{Error, Result};

/// What is put in order together: some 2 GiB of an image, in about 5 MiB of memory. Tests have small images.
const CHUNKS_MAX: usize = if cfg!(test) { 64 } else { 1 << 16 };
/// Their directories are in memory meanwhile, up to 100 KiB each.
const PACKS_MAX: usize = 128;

/// A stretch of the image that was walked over, from its first chunk on.
#[derive(Debug)]
pub(super) struct Window {
    /// Up to here the image is told of.
    position: u64,
    size_bytes: u64,
    wanted: Vec<Wanted>,
    /// Each pack's turn: as the image needs them.
    turns: HashMap<ObjectId, usize>,
    holes: Vec<Range<u64>>,
}

impl Window {
    pub(super) fn new(size_bytes: u64) -> Self {
        Self {
            position: 0,
            size_bytes,
            wanted: Vec::new(),
            turns: HashMap::new(),
            holes: Vec::new(),
        }
    }

    /// Adds the next chunk of the image.
    pub(super) fn push(&mut self, wanted: Wanted) -> Result<()> {
        let end = wanted.offset.checked_add(wanted.entry.length.into());
        let end = end.filter(|end| wanted.offset >= self.position && *end <= self.size_bytes);
        let end = end.ok_or_else(|| Error::Corrupt {
            object: "a node".to_owned(),
            detail: "chunks overlap or reach beyond the end".to_owned(),
        })?;
        self.close(wanted.offset);
        self.position = end;
        let turn = self.turns.len();
        self.turns.entry(wanted.pack.id).or_insert(turn);
        self.wanted.push(wanted);
        Ok(())
    }

    /// Up to here there are only zeros.
    pub(super) fn close(&mut self, end: u64) {
        if self.position < end {
            self.holes.push(self.position..end);
            self.position = end;
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.wanted.len() >= CHUNKS_MAX || self.turns.len() >= PACKS_MAX
    }

    /// The holes, and the chunks frame by frame. The window is empty then.
    pub(super) fn take(&mut self) -> (Vec<Range<u64>>, Vec<Wanted>) {
        let turns = std::mem::take(&mut self.turns);
        let mut wanted = std::mem::take(&mut self.wanted);
        wanted.sort_unstable_by_key(|w| (turns[&w.pack.id], w.entry.frame, w.offset));
        (std::mem::take(&mut self.holes), wanted)
    }
}
