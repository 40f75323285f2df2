//! What a request is answered.

use std::panic::{self, AssertUnwindSafe};

use super::handshake::{ALLOCATION_ID, Session};
use super::session::Buffers;
use super::{Allocation, Export, Fault, Limits, Stretch, Writable};
use crate::ErrorCode;
use crate::proto::{
    Chunk, ChunkKind, Command, Request, STATE_HOLE, STATE_ZERO, chunk_head, command_flags,
    encode_error, encode_hole, encode_status, simple_reply,
};

/// More stretches than this are not told at once.
const STRETCHES_MAX: usize = 16 << 10;
/// Zeros and what is read ahead, in pieces of this size.
const PIECE_BYTES: usize = 1 << 20;

/// What is sent: the head, and then what a read yields.
pub(super) struct Reply {
    pub(super) head: Vec<u8>,
    /// So much of the content's buffer.
    pub(super) content_bytes: usize,
}

impl Reply {
    fn short(head: Vec<u8>) -> Self {
        let content_bytes = 0;
        Self {
            head,
            content_bytes,
        }
    }
}

/// Does what the request asks for.
pub(super) fn answer(
    session: &Session,
    limits: &Limits,
    request: &Request,
    buffers: &mut Buffers,
) -> Reply {
    let act = || {
        check(session, limits, request)?;
        execute(session, request, buffers)
    };
    // A panic would leave the client waiting for its reply, and a guest for its disk.
    let outcome = panic::catch_unwind(AssertUnwindSafe(act));
    let outcome = outcome.unwrap_or_else(|_| Err(Fault::new(ErrorCode::IO, "a fault of ours")));
    match outcome {
        Ok(Some(reply)) => reply,
        Ok(None) => Reply::short(simple_reply(request.cookie, 0)),
        Err(fault) if session.is_structured => {
            let payload = encode_error(fault.code, &fault.message);
            chunk(request, ChunkKind::Error, &payload)
        }
        Err(fault) => Reply::short(simple_reply(request.cookie, fault.code.0)),
    }
}

fn check(session: &Session, limits: &Limits, request: &Request) -> Result<(), Fault> {
    let invalid = |message: &str| Err(Fault::new(ErrorCode::INVALID, message));
    if request.flags & !flags_allowed(session, request.command) != 0 {
        return invalid("a flag that this command does not have");
    }
    if request.command == Command::Flush {
        return Ok(());
    }
    let end = request.offset.checked_add(u64::from(request.length));
    let is_inside = end.is_some_and(|end| end <= session.export.size_bytes());
    let carries = matches!(request.command, Command::Read | Command::Write);
    if request.length == 0 {
        invalid("nothing is asked for")
    } else if carries && request.length > limits.request_bytes {
        invalid("longer than a request may be")
    } else if !is_inside && matches!(request.command, Command::Write | Command::WriteZeroes) {
        Err(Fault::new(ErrorCode::NO_SPACE, "behind the end"))
    } else if !is_inside {
        invalid("behind the end")
    } else {
        Ok(())
    }
}

/// The flags that mean something; clients are known to send FUA with everything.
fn flags_allowed(session: &Session, command: Command) -> u16 {
    let own = match command {
        Command::Read if session.is_structured => command_flags::DF,
        Command::WriteZeroes => command_flags::NO_HOLE,
        Command::BlockStatus => command_flags::REQ_ONE,
        _ => 0,
    };
    own | command_flags::FUA
}

/// A reply that carries something, or none for "done".
fn execute(
    session: &Session,
    request: &Request,
    buffers: &mut Buffers,
) -> Result<Option<Reply>, Fault> {
    let export = session.export.as_ref();
    let (offset, length) = (request.offset, u64::from(request.length));
    match request.command {
        Command::Read => return read(session, request, &mut buffers.content).map(Some),
        Command::BlockStatus => return status(session, request).map(Some),
        Command::Cache => read_ahead(export, offset, length)?,
        Command::Write => writable(export)?.write_at(offset, &buffers.received)?,
        Command::WriteZeroes if request.flags & command_flags::NO_HOLE != 0 => {
            write_zeros(writable(export)?, offset, length)?;
        }
        Command::WriteZeroes | Command::Trim => writable(export)?.zero(offset, length)?,
        Command::Flush => flush(export)?,
        Command::Disconnect | Command::Unknown(_) => {
            return Err(Fault::new(ErrorCode::INVALID, "an unknown command"));
        }
    }
    if request.flags & command_flags::FUA != 0 {
        flush(export)?;
    }
    Ok(None)
}

fn read(session: &Session, request: &Request, content: &mut Vec<u8>) -> Result<Reply, Fault> {
    let export = session.export.as_ref();
    let (offset, length) = (request.offset, u64::from(request.length));
    let is_whole = request.flags & command_flags::DF != 0;
    if session.is_structured && !is_whole && is_hole(export, offset, length)? {
        let payload = encode_hole(offset, request.length);
        return Ok(chunk(request, ChunkKind::Hole, &payload));
    }
    let content_bytes = usize::try_from(length).expect("it is bounded");
    if content.len() < content_bytes {
        content.resize(content_bytes, 0);
    }
    export.read_at(offset, &mut content[..content_bytes])?;
    let head = if session.is_structured {
        let payload_bytes = request.length.checked_add(8).expect("it is bounded");
        let mut head = chunk_head(last_chunk(request, ChunkKind::Data), payload_bytes);
        head.extend(offset.to_be_bytes());
        head
    } else {
        simple_reply(request.cookie, 0)
    };
    Ok(Reply {
        head,
        content_bytes,
    })
}

fn is_hole(export: &dyn Export, offset: u64, length: u64) -> Result<bool, Fault> {
    let mut remaining = length;
    for stretch in export.stretches(offset, length)? {
        if stretch.allocation == Allocation::Data {
            return Ok(false);
        }
        remaining = remaining.saturating_sub(stretch.length);
    }
    Ok(remaining == 0)
}

fn status(session: &Session, request: &Request) -> Result<Reply, Fault> {
    if !session.has_allocation {
        let message = "no context was chosen";
        return Err(Fault::new(ErrorCode::INVALID, message));
    }
    let most = match request.flags & command_flags::REQ_ONE {
        0 => STRETCHES_MAX,
        _ => 1,
    };
    let mut remaining = request.length;
    let mut told: Vec<(u32, u32)> = Vec::new();
    let export = session.export.as_ref();
    for stretch in export.stretches(request.offset, u64::from(request.length))? {
        let Stretch { length, allocation } = stretch;
        let length = u32::try_from(length).unwrap_or(u32::MAX).min(remaining);
        let flags = match allocation {
            Allocation::Data => 0,
            Allocation::Hole => STATE_HOLE | STATE_ZERO,
        };
        let is_full = told.len() == most;
        match told.last_mut() {
            Some(last) if last.1 == flags => last.0 += length,
            _ if length == 0 || is_full => break,
            _ => told.push((length, flags)),
        }
        remaining -= length;
    }
    if told.is_empty() {
        let message = "the export does not say what lies here";
        return Err(Fault::new(ErrorCode::IO, message));
    }
    let payload = encode_status(ALLOCATION_ID, &told);
    Ok(chunk(request, ChunkKind::Status, &payload))
}

/// Reads and forgets: what an export keeps at hand after that is its own matter.
fn read_ahead(export: &dyn Export, offset: u64, length: u64) -> Result<(), Fault> {
    let mut buffer = vec![0; PIECE_BYTES];
    pieces(offset, length, |at, piece| {
        export.read_at(at, &mut buffer[..piece])
    })
}

/// Zeros that occupy space.
fn write_zeros(writable: &dyn Writable, offset: u64, length: u64) -> Result<(), Fault> {
    let zeros = vec![0; PIECE_BYTES];
    pieces(offset, length, |at, piece| {
        writable.write_at(at, &zeros[..piece])
    })
}

fn pieces(
    offset: u64,
    length: u64,
    mut each: impl FnMut(u64, usize) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let (mut at, end) = (offset, offset + length);
    while at < end {
        let piece = usize::try_from(end - at).unwrap_or(usize::MAX);
        let piece = piece.min(PIECE_BYTES);
        each(at, piece)?;
        at += piece as u64;
    }
    Ok(())
}

fn flush(export: &dyn Export) -> Result<(), Fault> {
    export.writable().map_or(Ok(()), Writable::flush)
}

fn writable(export: &dyn Export) -> Result<&dyn Writable, Fault> {
    let fault = || Fault::new(ErrorCode::PERMISSION, "the export is read-only");
    export.writable().ok_or_else(fault)
}

/// The only chunk of a reply.
fn chunk(request: &Request, kind: ChunkKind, payload: &[u8]) -> Reply {
    let length = u32::try_from(payload.len()).expect("what describes content is short");
    let mut reply = chunk_head(last_chunk(request, kind), length);
    reply.extend(payload);
    Reply::short(reply)
}

fn last_chunk(request: &Request, kind: ChunkKind) -> Chunk {
    Chunk {
        cookie: request.cookie,
        kind,
        is_last: true,
    }
}
