//! What a client can ask of the export.

use std::collections::VecDeque;
use std::ops::Range;

use super::{Client, Ticket};
use crate::proto::Command;
use crate::{Error, Result};

/// A request of the calls that cut by themselves.
const PIECE_BYTES: u32 = 1 << 20;
/// Asked about at once. Longer requests would save little, and nbdkit 1.32 dies of one of 4 GiB.
const STATUS_BYTES: u32 = 1 << 30;
/// Requests that such a call keeps in flight.
const IN_FLIGHT: usize = 16;

impl Client {
    /// Asks for `length` bytes at `offset`; both multiples of the server's minimum, and not more than its maximum.
    pub fn start_read(&mut self, offset: u64, length: u32) -> Result<Ticket> {
        self.expect_allowed(offset, length)?;
        self.submit(Command::Read, 0, (offset, length), &[])
    }

    /// The bytes that were asked for. Give the buffer back to [`recycle`](Self::recycle).
    pub fn finish_read(&mut self, ticket: &Ticket) -> Result<Vec<u8>> {
        Ok(self.wait(ticket)?.into_buffer())
    }

    /// Fills `buffer` with the bytes at `offset`, however they are aligned. The range must lie inside the export.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let end = self.end_of(offset, buffer.len() as u64)?;
        let block = u64::from(self.info.block_sizes.minimum);
        let mut next = offset - offset % block;
        let last = end.next_multiple_of(block);
        let mut started = VecDeque::new();
        while next < last || !started.is_empty() {
            if next < last && started.len() < IN_FLIGHT {
                let length = self.piece_bytes(last - next);
                started.push_back((next, self.start_read(next, length)?));
                next += u64::from(length);
                continue;
            }
            let Some((at, ticket)) = started.pop_front() else {
                break;
            };
            let outcome = self.finish_read(&ticket);
            let content = match outcome {
                Ok(content) => content,
                Err(error) => return Err(self.abandon(started, error)),
            };
            copy_overlap(at, &content, offset, buffer);
            self.recycle(content);
        }
        Ok(())
    }

    /// Takes the answers to the rest of a call that has failed, so that none is left in flight.
    fn abandon(&mut self, rest: VecDeque<(u64, Ticket)>, error: Error) -> Error {
        for (_, ticket) in rest {
            // The first error is the one to tell.
            if let Ok(pending) = self.wait(&ticket) {
                self.recycle(pending.into_buffer());
            }
        }
        error
    }

    /// Sends bytes to be written at `offset`, aligned as reads are.
    ///
    /// Reads that are in flight are received first, so writes and reads do not overlap.
    pub fn start_write(&mut self, offset: u64, data: &[u8]) -> Result<Ticket> {
        let length = u32::try_from(data.len())
            .map_err(|_| Error::Request("a write of 4 GiB or more".to_owned()))?;
        self.expect_allowed(offset, length)?;
        self.submit(Command::Write, 0, (offset, length), data)
    }

    /// Returns when a write or another change that was started is done; it is durable after a flush.
    pub fn finish(&mut self, ticket: &Ticket) -> Result<()> {
        let pending = self.wait(ticket)?;
        self.recycle(pending.into_buffer());
        Ok(())
    }

    /// Writes `data` at `offset`, several requests in flight; both ends multiples of the server's minimum.
    pub fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        self.end_of(offset, data.len() as u64)?;
        self.change(offset, data.len() as u64, |client, at, length| {
            let start = usize::try_from(at - offset).expect("a place in the slice");
            let end = start + usize::try_from(length).expect("a piece of the slice");
            client.start_write(at, &data[start..end])
        })
    }

    /// Makes the range read as zeros, and lets the server give its space back.
    pub fn zero(&mut self, offset: u64, length: u64) -> Result<()> {
        self.end_of(offset, length)?;
        if self.info.flags.can_write_zeroes() {
            return self.change(offset, length, |client, at, length| {
                client.expect_allowed(at, length)?;
                client.submit(Command::WriteZeroes, 0, (at, length), &[])
            });
        }
        let zeros = vec![0; PIECE_BYTES as usize];
        self.change(offset, length, |client, at, length| {
            let length = usize::try_from(length).expect("at most as long as the zeros");
            client.start_write(at, &zeros[..length])
        })
    }

    /// Returns when everything that was written and answered survives a power cut. A server that cannot flush
    /// promises nothing.
    pub fn flush(&mut self) -> Result<()> {
        if !self.info.flags.can_flush() {
            return Ok(());
        }
        let ticket = self.submit(Command::Flush, 0, (0, 0), &[])?;
        self.finish(&ticket)
    }

    /// Asks what is at the beginning of `range`, and waits for the answer: lengths and flags, at least one of them.
    pub(super) fn status(
        &mut self,
        context: u32,
        flags: u16,
        range: Range<u64>,
    ) -> Result<Vec<(u32, u32)>> {
        let length = u32::try_from(range.end - range.start).unwrap_or(u32::MAX);
        let asked = (range.start, length.min(STATUS_BYTES));
        let ticket = self.submit(Command::BlockStatus, flags, asked, &[])?;
        let pending = self.wait(&ticket)?;
        pending
            .into_status(context)
            .ok_or_else(|| Error::protocol("no block status of the context asked for"))
    }

    /// Cuts a range into requests that `start` sends, and waits for all of them.
    fn change(
        &mut self,
        offset: u64,
        length: u64,
        mut start: impl FnMut(&mut Self, u64, u32) -> Result<Ticket>,
    ) -> Result<()> {
        let (mut next, end) = (offset, offset + length);
        let mut started = VecDeque::new();
        while next < end || !started.is_empty() {
            let outcome = if next < end && started.len() < IN_FLIGHT {
                let length = self.piece_bytes(end - next);
                let outcome = start(self, next, length);
                next += u64::from(length);
                outcome.map(|ticket| started.push_back((next, ticket)))
            } else {
                let (_, ticket) = started.pop_front().expect("it is not empty");
                self.finish(&ticket)
            };
            if let Err(error) = outcome {
                return Err(self.abandon(started, error));
            }
        }
        Ok(())
    }

    fn piece_bytes(&self, remaining: u64) -> u32 {
        let most = PIECE_BYTES.min(self.info.request_bytes_max());
        u32::try_from(remaining).unwrap_or(u32::MAX).min(most)
    }

    /// The end of a range that must lie inside the export.
    pub(super) fn end_of(&self, offset: u64, length: u64) -> Result<u64> {
        let end = offset.checked_add(length);
        let inside = end.filter(|end| *end <= self.info.size_bytes);
        inside.ok_or_else(|| {
            Error::Request(format!("{length} bytes at {offset} lie outside the export"))
        })
    }

    fn expect_allowed(&self, offset: u64, length: u32) -> Result<()> {
        self.end_of(offset, u64::from(length))?;
        let minimum = self.info.block_sizes.minimum;
        let is_aligned =
            offset.is_multiple_of(u64::from(minimum)) && length.is_multiple_of(minimum);
        if is_aligned && length > 0 && length <= self.info.request_bytes_max() {
            return Ok(());
        }
        let sizes = self.info.block_sizes;
        let sentence = format!("{length} bytes at {offset} are no request for {sizes:?}");
        Err(Error::Request(sentence))
    }
}

/// Copies what two stretches of the export have in common.
fn copy_overlap(at: u64, content: &[u8], offset: u64, buffer: &mut [u8]) {
    let start = at.max(offset);
    let end = (at + content.len() as u64).min(offset + buffer.len() as u64);
    let index = |place: u64, base: u64| usize::try_from(place - base).expect("a place in a slice");
    buffer[index(start, offset)..index(end, offset)]
        .copy_from_slice(&content[index(start, at)..index(end, at)]);
}
