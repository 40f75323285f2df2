//! Requests in flight, and the replies that complete them.

use std::io::{Read, Write};

use super::{Client, Ticket};
use crate::proto::{
    Chunk, ChunkKind, Command, ERROR_PAYLOAD_BYTES_MAX, ErrorCode, REPLY_HEAD_BYTES, ReplyHead,
    Request, STATUS_PAYLOAD_BYTES_MAX, decode_error, decode_hole, decode_status,
};
use crate::{Error, Result};

/// Spare buffers that are kept.
const SPARE_MAX: usize = 64;

/// A request whose last reply has not been taken.
pub(super) struct Pending {
    request: Request,
    /// What a read asked for, filled by what comes.
    buffer: Vec<u8>,
    /// Starts and ends of what came, inside the buffer.
    covered: Vec<(usize, usize)>,
    /// Context, and lengths and flags.
    statuses: Vec<(u32, Vec<(u32, u32)>)>,
    failure: Option<(ErrorCode, String)>,
    is_done: bool,
}

impl Client {
    /// Sends a request; `data` is what a write carries.
    pub(super) fn submit(
        &mut self,
        command: Command,
        flags: u16,
        (offset, length): (u64, u32),
        data: &[u8],
    ) -> Result<Ticket> {
        let request = Request {
            flags,
            command,
            cookie: self.next_cookie,
            offset,
            length,
        };
        let during = doing(&request);
        self.expect_usable(&during)?;
        if !data.is_empty() {
            self.await_reads()?;
        }
        self.next_cookie += 1;
        let sent = self.stream.write_all(&request.encode());
        let sent = sent.and_then(|()| self.stream.write_all(data));
        self.check(sent.map_err(|error| Error::from_stream(during, error)))?;
        let buffer = match command {
            Command::Read => self.buffer(usize::try_from(length).expect("reads fit memory")),
            _ => Vec::new(),
        };
        self.pending.push_back(Pending {
            request,
            buffer,
            covered: Vec::new(),
            statuses: Vec::new(),
            failure: None,
            is_done: false,
        });
        Ok(Ticket(request.cookie))
    }

    /// Receives until nothing that was asked for stands between us and the server: a server that cannot send does not
    /// take what we write, and both would wait.
    fn await_reads(&mut self) -> Result<()> {
        let is_awaited = |pending: &Pending| {
            !pending.is_done && matches!(pending.request.command, Command::Read)
        };
        while let Some(pending) = self.pending.iter().find(|pending| is_awaited(pending)) {
            let during = doing(&pending.request);
            self.receive(&during)?;
        }
        Ok(())
    }

    /// Receives until the request is answered, and checks the answer.
    pub(super) fn wait(&mut self, ticket: &Ticket) -> Result<Pending> {
        let position = |client: &Self| {
            let mut pending = client.pending.iter();
            pending.position(|pending| pending.request.cookie == ticket.0)
        };
        let Some(mut at) = position(self) else {
            let detail = "a ticket of another client".to_owned();
            return Err(Error::Request(detail));
        };
        let during = doing(&self.pending[at].request);
        while !self.pending[at].is_done {
            self.receive(&during)?;
            at = position(self).expect("only finishing it removes it");
        }
        let pending = self.pending.remove(at).expect("it was found there");
        if let Some((code, message)) = pending.failure {
            self.recycle(pending.buffer);
            return Err(Error::Failed {
                during,
                code,
                message,
            });
        }
        self.check(pending.expect_whole())?;
        Ok(pending)
    }

    /// Takes one reply, or one chunk of one.
    fn receive(&mut self, during: &str) -> Result<()> {
        self.expect_usable(during)?;
        let received = self.receive_reply(during);
        self.check(received)
    }

    fn receive_reply(&mut self, during: &str) -> Result<()> {
        let broken = |error| Error::from_stream(during, error);
        let mut head = [0; REPLY_HEAD_BYTES];
        self.stream.read_exact(&mut head).map_err(broken)?;
        let head = ReplyHead::decode(&head)?;
        let (ReplyHead::Simple { cookie, .. } | ReplyHead::Chunk(Chunk { cookie, .. })) = head;
        let mut waiting = self.pending.iter_mut();
        let pending = waiting.find(|pending| pending.request.cookie == cookie && !pending.is_done);
        let pending = pending.ok_or_else(|| Error::protocol("a reply to no request"))?;
        match head {
            ReplyHead::Simple { error, .. } => {
                if self.is_structured && pending.needs_structure() {
                    return Err(Error::protocol("a simple reply where none is allowed"));
                }
                pending.is_done = true;
                if error != 0 {
                    pending.failure = Some((ErrorCode(error), String::new()));
                } else if !pending.buffer.is_empty() {
                    pending.covered.push((0, pending.buffer.len()));
                    let received = self.stream.read_exact(&mut pending.buffer);
                    received.map_err(broken)?;
                }
                Ok(())
            }
            ReplyHead::Chunk(_) if !self.is_structured => {
                Err(Error::protocol("a chunk, although none was agreed on"))
            }
            ReplyHead::Chunk(chunk) => {
                let mut length = [0; 4];
                self.stream.read_exact(&mut length).map_err(broken)?;
                let length = u32::from_be_bytes(length);
                pending.is_done = chunk.is_last;
                pending.take(chunk, length, &mut |bytes| {
                    self.stream.read_exact(bytes).map_err(broken)
                })
            }
        }
    }

    fn expect_usable(&self, during: &str) -> Result<()> {
        if !self.is_broken {
            return Ok(());
        }
        Err(Error::Lost {
            during: during.to_owned(),
            source: std::io::Error::other("it broke before"),
        })
    }

    /// Remembers that the connection is of no use any more.
    fn check<T>(&mut self, outcome: Result<T>) -> Result<T> {
        if let Err(error) = &outcome {
            self.is_broken |= error.ends_connection();
        }
        outcome
    }

    /// A buffer with any content.
    fn buffer(&mut self, length: usize) -> Vec<u8> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        buffer.resize(length, 0);
        buffer
    }

    /// Takes back the buffer of a read, so that the next needs no new one.
    pub fn recycle(&mut self, buffer: Vec<u8>) {
        if buffer.capacity() > 0 && self.spare.len() < SPARE_MAX {
            self.spare.push(buffer);
        }
    }
}

impl Pending {
    fn needs_structure(&self) -> bool {
        matches!(self.request.command, Command::Read | Command::BlockStatus)
    }

    /// Takes a chunk with a payload of `length` bytes, which `receive` yields.
    fn take(
        &mut self,
        chunk: Chunk,
        length: u32,
        receive: &mut dyn FnMut(&mut [u8]) -> Result<()>,
    ) -> Result<()> {
        const OFFSET_BYTES: u32 = 8;
        let command = self.request.command;
        match chunk.kind {
            ChunkKind::None if length == 0 && chunk.is_last => Ok(()),
            ChunkKind::Data if command == Command::Read && length > OFFSET_BYTES => {
                let mut offset = [0; OFFSET_BYTES as usize];
                receive(&mut offset)?;
                let offset = u64::from_be_bytes(offset);
                let (start, end) = self.cover(offset, length - OFFSET_BYTES)?;
                receive(&mut self.buffer[start..end])
            }
            ChunkKind::Hole if command == Command::Read => {
                let payload = payload(length, OFFSET_BYTES + 4, receive)?;
                let (offset, length) = decode_hole(&payload)?;
                let (start, end) = self.cover(offset, length)?;
                self.buffer[start..end].fill(0);
                Ok(())
            }
            ChunkKind::Status if command == Command::BlockStatus => {
                let status = decode_status(&payload(length, STATUS_PAYLOAD_BYTES_MAX, receive)?)?;
                if self
                    .statuses
                    .iter()
                    .any(|(context, _)| *context == status.0)
                {
                    return Err(Error::protocol("two block statuses of one context"));
                }
                self.statuses.push(status);
                Ok(())
            }
            ChunkKind::Error => {
                let failure = decode_error(&payload(length, ERROR_PAYLOAD_BYTES_MAX, receive)?)?;
                self.failure.get_or_insert(failure);
                Ok(())
            }
            kind => {
                let detail = format!("a chunk {kind:?} of {length} bytes answers {command:?}");
                Err(Error::Protocol(detail))
            }
        }
    }

    /// Notes that a stretch of the export has come, and tells its place in the buffer.
    fn cover(&mut self, offset: u64, length: u32) -> Result<(usize, usize)> {
        let outside = || Error::protocol("content that was not asked for");
        let start = offset
            .checked_sub(self.request.offset)
            .ok_or_else(outside)?;
        let start = usize::try_from(start).map_err(|_| outside())?;
        let length = usize::try_from(length).map_err(|_| outside())?;
        let end = start.checked_add(length).ok_or_else(outside)?;
        if length == 0 || end > self.buffer.len() {
            return Err(outside());
        }
        // Chunks come mostly in order, one behind the other.
        match self.covered.last_mut() {
            Some(last) if last.1 == start => last.1 = end,
            _ => self.covered.push((start, end)),
        }
        if self.covered.len() > self.buffer.len() {
            return Err(outside());
        }
        Ok((start, end))
    }

    /// Has each byte of a read come exactly once?
    fn expect_whole(&self) -> Result<()> {
        let mut covered = self.covered.clone();
        covered.sort_unstable();
        let mut end = 0;
        for (from, to) in covered {
            if from != end {
                return Err(Error::protocol("a read with gaps or overlaps"));
            }
            end = to;
        }
        if end == self.buffer.len() {
            Ok(())
        } else {
            Err(Error::protocol("a read that ends too early"))
        }
    }

    pub(super) fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// What was said about one context.
    pub(super) fn into_status(self, context: u32) -> Option<Vec<(u32, u32)>> {
        let mut statuses = self.statuses.into_iter();
        let (_, stretches) = statuses.find(|(id, _)| *id == context)?;
        Some(stretches)
    }
}

fn payload(
    length: u32,
    most: u32,
    receive: &mut dyn FnMut(&mut [u8]) -> Result<()>,
) -> Result<Vec<u8>> {
    if length > most {
        return Err(Error::protocol(format!("a payload of {length} bytes")));
    }
    let mut payload = vec![0; usize::try_from(length).expect("it is bounded")];
    receive(&mut payload)?;
    Ok(payload)
}

/// For errors.
fn doing(request: &Request) -> String {
    let Request { offset, length, .. } = request;
    match request.command {
        Command::Flush => "flushing the export".to_owned(),
        Command::Read => format!("reading {length} bytes at {offset}"),
        Command::BlockStatus => format!("looking at {length} bytes at {offset}"),
        _ => format!("writing {length} bytes at {offset}"),
    }
}
