//! The transmission phase: requests, simple replies, and chunks of structured replies.

use super::cursor::Cursor;
use super::{ErrorCode, STRING_BYTES_MAX};
use crate::{Error, Result};

const REQUEST_MAGIC: u32 = 0x2560_9513;
const SIMPLE_REPLY_MAGIC: u32 = 0x6744_6698;
const STRUCTURED_REPLY_MAGIC: u32 = 0x668e_33ef;

pub(crate) const REQUEST_BYTES: usize = 28;
/// What simple replies and chunks have in common; a chunk's length follows.
pub(crate) const REPLY_HEAD_BYTES: usize = 16;

/// A server may describe a million extents at once, as nbdkit does.
pub(crate) const STATUS_PAYLOAD_BYTES_MAX: u32 = 4 + (8 << 20);
/// An error, its message, and an offset.
pub(crate) const ERROR_PAYLOAD_BYTES_MAX: u32 = 6 + 4096 + 8;

pub(crate) mod command_flags {
    /// Durable before the reply.
    pub(crate) const FUA: u16 = 1 << 0;
    /// Zeros that occupy space.
    pub(crate) const NO_HOLE: u16 = 1 << 1;
    /// All in one chunk.
    pub(crate) const DF: u16 = 1 << 2;
    /// Only one extent for each context.
    pub(crate) const REQ_ONE: u16 = 1 << 3;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    Read,
    Write,
    Disconnect,
    Flush,
    Trim,
    Cache,
    WriteZeroes,
    BlockStatus,
    Unknown(u16),
}

impl Command {
    fn from_wire(number: u16) -> Self {
        match number {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::Disconnect,
            3 => Self::Flush,
            4 => Self::Trim,
            5 => Self::Cache,
            6 => Self::WriteZeroes,
            7 => Self::BlockStatus,
            other => Self::Unknown(other),
        }
    }

    fn to_wire(self) -> u16 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Disconnect => 2,
            Self::Flush => 3,
            Self::Trim => 4,
            Self::Cache => 5,
            Self::WriteZeroes => 6,
            Self::BlockStatus => 7,
            Self::Unknown(other) => other,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) flags: u16,
    pub(crate) command: Command,
    /// Tells which request a reply belongs to.
    pub(crate) cookie: u64,
    pub(crate) offset: u64,
    /// In bytes; of the data that follows a write, too.
    pub(crate) length: u32,
}

impl Request {
    pub(crate) fn encode(&self) -> [u8; REQUEST_BYTES] {
        let mut bytes = [0; REQUEST_BYTES];
        bytes[..4].copy_from_slice(&REQUEST_MAGIC.to_be_bytes());
        bytes[4..6].copy_from_slice(&self.flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&self.command.to_wire().to_be_bytes());
        bytes[8..16].copy_from_slice(&self.cookie.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.offset.to_be_bytes());
        bytes[24..].copy_from_slice(&self.length.to_be_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; REQUEST_BYTES]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u32()? != REQUEST_MAGIC {
            return Err(Error::protocol("a request has a wrong magic"));
        }
        Ok(Self {
            flags: cursor.u16()?,
            command: Command::from_wire(cursor.u16()?),
            cookie: cursor.u64()?,
            offset: cursor.u64()?,
            length: cursor.u32()?,
        })
    }
}

/// The first bytes of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyHead {
    /// What was read follows if it was a read that succeeded.
    Simple { error: u32, cookie: u64 },
    /// The length of its payload follows in 32 bits, and the payload.
    Chunk(Chunk),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    pub(crate) cookie: u64,
    pub(crate) kind: ChunkKind,
    pub(crate) is_last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChunkKind {
    None,
    Data,
    Hole,
    Status,
    /// With or without an offset.
    Error,
}

const LAST_CHUNK: u16 = 1 << 0;
const CHUNK_ERROR_BIT: u16 = 1 << 15;

impl ChunkKind {
    fn from_wire(number: u16) -> Result<Self> {
        Ok(match number {
            0 => Self::None,
            1 => Self::Data,
            2 => Self::Hole,
            5 => Self::Status,
            // All kinds of errors, also those to come, begin alike.
            number if number & CHUNK_ERROR_BIT != 0 => Self::Error,
            number => return Err(Error::protocol(format!("a chunk of kind {number}"))),
        })
    }

    fn to_wire(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Data => 1,
            Self::Hole => 2,
            Self::Status => 5,
            Self::Error => CHUNK_ERROR_BIT | 1,
        }
    }
}

impl ReplyHead {
    pub(crate) fn decode(bytes: &[u8; REPLY_HEAD_BYTES]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        match cursor.u32()? {
            SIMPLE_REPLY_MAGIC => Ok(Self::Simple {
                error: cursor.u32()?,
                cookie: cursor.u64()?,
            }),
            STRUCTURED_REPLY_MAGIC => {
                let flags = cursor.u16()?;
                let kind = ChunkKind::from_wire(cursor.u16()?)?;
                Ok(Self::Chunk(Chunk {
                    cookie: cursor.u64()?,
                    kind,
                    is_last: flags & LAST_CHUNK != 0,
                }))
            }
            _ => Err(Error::protocol("a reply has a wrong magic")),
        }
    }
}

pub(crate) fn simple_reply(cookie: u64, error: u32) -> Vec<u8> {
    let mut bytes = SIMPLE_REPLY_MAGIC.to_be_bytes().to_vec();
    bytes.extend(error.to_be_bytes());
    bytes.extend(cookie.to_be_bytes());
    bytes
}

/// A chunk up to its payload of `length` bytes.
pub(crate) fn chunk_head(chunk: Chunk, length: u32) -> Vec<u8> {
    let flags = if chunk.is_last { LAST_CHUNK } else { 0 };
    let mut bytes = STRUCTURED_REPLY_MAGIC.to_be_bytes().to_vec();
    bytes.extend(flags.to_be_bytes());
    bytes.extend(chunk.kind.to_wire().to_be_bytes());
    bytes.extend(chunk.cookie.to_be_bytes());
    bytes.extend(length.to_be_bytes());
    bytes
}

/// Offset and length of a hole.
pub(crate) fn decode_hole(payload: &[u8]) -> Result<(u64, u32)> {
    let mut cursor = Cursor::new(payload);
    let hole = (cursor.u64()?, cursor.u32()?);
    cursor.end()?;
    Ok(hole)
}

pub(crate) fn encode_hole(offset: u64, length: u32) -> Vec<u8> {
    let mut payload = offset.to_be_bytes().to_vec();
    payload.extend(length.to_be_bytes());
    payload
}

/// A context's id, and length and flags of stretches that follow each other; at least one, none of them empty.
pub(crate) fn decode_status(payload: &[u8]) -> Result<(u32, Vec<(u32, u32)>)> {
    let mut cursor = Cursor::new(payload);
    let context = cursor.u32()?;
    let mut stretches = Vec::with_capacity(cursor.remaining() / 8);
    while cursor.remaining() > 0 {
        let (length, flags) = (cursor.u32()?, cursor.u32()?);
        if length == 0 {
            return Err(Error::protocol("an extent is empty"));
        }
        stretches.push((length, flags));
    }
    if stretches.is_empty() {
        return Err(Error::protocol("a block status without an extent"));
    }
    Ok((context, stretches))
}

pub(crate) fn encode_status(context: u32, stretches: &[(u32, u32)]) -> Vec<u8> {
    let mut payload = context.to_be_bytes().to_vec();
    for (length, flags) in stretches {
        payload.extend(length.to_be_bytes());
        payload.extend(flags.to_be_bytes());
    }
    payload
}

/// The code and the message of an error chunk; an offset behind them says nothing that the request does not.
pub(crate) fn decode_error(payload: &[u8]) -> Result<(ErrorCode, String)> {
    let mut cursor = Cursor::new(payload);
    let code = cursor.u32()?;
    let count = cursor.u16()?;
    let message = cursor.bytes(usize::from(count))?;
    if code == 0 {
        return Err(Error::protocol("an error that is none"));
    }
    let message = String::from_utf8_lossy(message).into_owned();
    Ok((ErrorCode(code), message))
}

pub(crate) fn encode_error(code: ErrorCode, message: &str) -> Vec<u8> {
    let told = &message[..message.floor_char_boundary(STRING_BYTES_MAX)];
    let count = u16::try_from(told.len()).expect("4096 fits 16 bits");
    let mut payload = code.0.to_be_bytes().to_vec();
    payload.extend(count.to_be_bytes());
    payload.extend(told.as_bytes());
    payload
}
