//! What travels: numbers of the protocol, and pure functions between bytes and values.
//!
//! Nothing here reads or writes a socket. Whatever comes from a peer has a bound, and what does not fit is an error.

mod cursor;
mod options;
mod transmission;

use std::fmt;

pub use options::Listed;
pub(crate) use options::{
    Info, OPTION_HEAD_BYTES, OPTION_REPLY_HEAD_BYTES, OptionCode, OptionHead, OptionReply,
    OptionReplyHead, OptionRequest, Refusal, context_query, go, option, option_reply,
};
pub(crate) use transmission::{
    Chunk, ChunkKind, Command, ERROR_PAYLOAD_BYTES_MAX, REPLY_HEAD_BYTES, REQUEST_BYTES, ReplyHead,
    Request, STATUS_PAYLOAD_BYTES_MAX, chunk_head, command_flags, decode_error, decode_hole,
    decode_status, encode_error, encode_hole, encode_status, simple_reply,
};

pub(crate) const GREETING: &[u8; 16] = b"NBDMAGICIHAVEOPT";
pub(crate) const GREETING_BYTES: usize = GREETING.len() + 2;

/// Handshake flags of a server, and the same bits as the answer of a client.
pub(crate) const FIXED_NEWSTYLE: u16 = 1 << 0;
pub(crate) const NO_ZEROES: u16 = 1 << 1;

/// Zeros behind the answer to `EXPORT_NAME` for clients that did not ask to be spared.
pub(crate) const EXPORT_NAME_PADDING: usize = 124;

/// "MUST be no longer than 4096 bytes": names of exports and contexts, messages.
pub(crate) const STRING_BYTES_MAX: usize = 4096;

/// What a peer must take that does not tell its block sizes.
pub(crate) const REQUEST_BYTES_DEFAULT: u32 = 32 << 20;

/// The context that tells holes and zeros.
pub const BASE_ALLOCATION: &str = "base:allocation";

/// `base:allocation`: nothing is stored here. The content is unknown unless [`STATE_ZERO`] is set too.
pub(crate) const STATE_HOLE: u32 = 1 << 0;
/// `base:allocation`: reads as zeros.
pub(crate) const STATE_ZERO: u32 = 1 << 1;
/// `qemu:dirty-bitmap:NAME`: written since the bitmap began to record.
pub(crate) const STATE_DIRTY: u32 = 1 << 0;

/// What a server can do with an export, as it says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TransmissionFlags(pub(crate) u16);

impl TransmissionFlags {
    pub(crate) const HAS_FLAGS: u16 = 1 << 0;
    pub(crate) const READ_ONLY: u16 = 1 << 1;
    pub(crate) const SEND_FLUSH: u16 = 1 << 2;
    pub(crate) const SEND_FUA: u16 = 1 << 3;
    pub(crate) const SEND_TRIM: u16 = 1 << 5;
    pub(crate) const SEND_WRITE_ZEROES: u16 = 1 << 6;
    pub(crate) const SEND_DF: u16 = 1 << 7;
    pub(crate) const CAN_MULTI_CONN: u16 = 1 << 8;
    pub(crate) const SEND_CACHE: u16 = 1 << 10;

    const fn has(self, bit: u16) -> bool {
        self.0 & bit != 0
    }

    pub const fn is_read_only(self) -> bool {
        self.has(Self::READ_ONLY)
    }

    pub const fn can_flush(self) -> bool {
        self.has(Self::SEND_FLUSH)
    }

    pub const fn can_trim(self) -> bool {
        self.has(Self::SEND_TRIM)
    }

    pub const fn can_write_zeroes(self) -> bool {
        self.has(Self::SEND_WRITE_ZEROES)
    }

    pub const fn can_cache(self) -> bool {
        self.has(Self::SEND_CACHE)
    }

    /// May one client use several connections at once?
    pub const fn can_multi_conn(self) -> bool {
        self.has(Self::CAN_MULTI_CONN)
    }
}

/// How requests must be cut, in bytes; powers of two but for the maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockSizes {
    /// Offsets and lengths are multiples of it.
    pub minimum: u32,
    pub preferred: u32,
    /// No request reads or writes more.
    pub maximum: u32,
}

impl Default for BlockSizes {
    /// What holds where a server says nothing.
    fn default() -> Self {
        Self {
            minimum: 1,
            preferred: 4096,
            maximum: REQUEST_BYTES_DEFAULT,
        }
    }
}

/// Why a server failed at a request: a number that Linux knows as errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    pub const PERMISSION: Self = Self(1);
    pub const IO: Self = Self(5);
    pub const NO_MEMORY: Self = Self(12);
    pub const INVALID: Self = Self(22);
    pub const NO_SPACE: Self = Self(28);
    pub const OVERFLOW: Self = Self(75);
    pub const NOT_SUPPORTED: Self = Self(95);
    pub const SHUTTING_DOWN: Self = Self(108);
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::PERMISSION => "it is not permitted",
            Self::IO => "reading or writing failed",
            Self::NO_MEMORY => "memory is short",
            Self::INVALID => "the request is not valid",
            Self::NO_SPACE => "no space is left",
            Self::OVERFLOW => "the request is too large",
            Self::NOT_SUPPORTED => "it is not supported",
            Self::SHUTTING_DOWN => "the server is shutting down",
            Self(code) => return write!(f, "error {code}"),
        })
    }
}
