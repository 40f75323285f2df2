//! What lies where: block status, walked to the end.

use std::collections::VecDeque;
use std::ops::Range;

use super::Client;
use crate::proto::{STATE_DIRTY, STATE_HOLE, STATE_ZERO, command_flags};
use crate::{Error, Result};

/// A stretch of an export about which a context says one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusExtent {
    /// In bytes, from the export's beginning.
    pub offset: u64,
    /// In bytes; never 0.
    pub length: u64,
    /// What the context says, in its own bits.
    pub flags: u32,
}

impl StatusExtent {
    pub const fn end(&self) -> u64 {
        self.offset + self.length
    }

    /// In `base:allocation`: reads as zeros, so need not be read.
    pub const fn is_zero(&self) -> bool {
        self.flags & STATE_ZERO != 0
    }

    /// In `base:allocation`: occupies nothing. That alone does not say what is read here.
    pub const fn is_hole(&self) -> bool {
        self.flags & STATE_HOLE != 0
    }

    /// In `qemu:dirty-bitmap:NAME`: written since the bitmap began to record.
    pub const fn is_dirty(&self) -> bool {
        self.flags & STATE_DIRTY != 0
    }
}

impl Client {
    /// What `context` says about `offset`, and how far at least: `length` bytes at most, which is not 0.
    pub fn extent_at(&mut self, context: &str, offset: u64, length: u64) -> Result<StatusExtent> {
        let id = self.context_id(context)?;
        let block = u64::from(self.info.block_sizes.minimum);
        let start = offset - offset % block;
        let end = self.end_of(offset, length)?.next_multiple_of(block);
        let stretches = self.status(id, command_flags::REQ_ONE, start..end)?;
        // Never empty, and no stretch of it.
        let (told, flags) = stretches[0];
        let length = start.saturating_add(told.into()).min(offset + length);
        let length = length.saturating_sub(offset);
        if length == 0 {
            return Err(Error::protocol("an extent that ends before it begins"));
        }
        Ok(StatusExtent {
            offset,
            length,
            flags,
        })
    }

    /// What `context` says about `range`, without gaps from its start to its end. Neighbours may say the same.
    ///
    /// Asks the server as it goes, so memory is bounded however fragmented the export is.
    pub fn extents(&mut self, context: &str, range: Range<u64>) -> Result<Extents<'_>> {
        if range.end > self.size_bytes() || range.start > range.end {
            let sentence = format!("{range:?} does not lie inside the export");
            return Err(Error::Request(sentence));
        }
        let walk = Walk::new(self.context_id(context)?, range);
        Ok(Extents { client: self, walk })
    }
}

/// Iterates over extents; made by [`Client::extents`]. Ends after the first error.
#[derive(Debug)]
pub struct Extents<'a> {
    client: &'a mut Client,
    walk: Walk,
}

impl Iterator for Extents<'_> {
    type Item = Result<StatusExtent>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.walk.next(self.client);
        if next.is_err() {
            self.walk.stop();
        }
        next.transpose()
    }
}

/// A place in the walk over a range.
#[derive(Debug)]
pub(super) struct Walk {
    context: u32,
    /// What the server has not been asked about.
    unknown: Range<u64>,
    known: VecDeque<StatusExtent>,
}

impl Walk {
    pub(super) fn new(context: u32, range: Range<u64>) -> Self {
        Self {
            context,
            unknown: range,
            known: VecDeque::new(),
        }
    }

    pub(super) fn next(&mut self, client: &mut Client) -> Result<Option<StatusExtent>> {
        if self.known.is_empty() && !self.unknown.is_empty() {
            self.ask(client)?;
        }
        Ok(self.known.pop_front())
    }

    fn ask(&mut self, client: &mut Client) -> Result<()> {
        let end = self.unknown.end;
        for (length, flags) in client.status(self.context, 0, self.unknown.clone())? {
            let offset = self.unknown.start;
            // The last extent may reach beyond what was asked for.
            let length = u64::from(length).min(end - offset);
            if length == 0 {
                break;
            }
            self.unknown.start += length;
            match self.known.back_mut() {
                Some(last) if last.flags == flags => last.length += length,
                _ => self.known.push_back(StatusExtent {
                    offset,
                    length,
                    flags,
                }),
            }
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.unknown.start = self.unknown.end;
        self.known.clear();
    }
}
