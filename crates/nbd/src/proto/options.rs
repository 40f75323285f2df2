//! Option haggling: what a client asks for before it reads and writes, and what a server replies.

use super::cursor::Cursor;
use super::{BlockSizes, STRING_BYTES_MAX, TransmissionFlags};
use crate::{Error, Result};

const OPTION_MAGIC: u64 = u64::from_be_bytes(*b"IHAVEOPT");
const OPTION_REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;

pub(crate) const OPTION_HEAD_BYTES: usize = 16;
pub(crate) const OPTION_REPLY_HEAD_BYTES: usize = 20;

/// Nobody needs more: a name, and a few contexts.
pub(crate) const OPTION_BYTES_MAX: u32 = 64 << 10;
/// So many contexts may be asked for at once.
const QUERIES_MAX: u32 = 64;

/// Numbers of options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OptionCode(pub(crate) u32);

impl OptionCode {
    pub(crate) const EXPORT_NAME: Self = Self(1);
    pub(crate) const ABORT: Self = Self(2);
    pub(crate) const LIST: Self = Self(3);
    pub(crate) const STARTTLS: Self = Self(5);
    pub(crate) const INFO: Self = Self(6);
    pub(crate) const GO: Self = Self(7);
    pub(crate) const STRUCTURED_REPLY: Self = Self(8);
    pub(crate) const LIST_META_CONTEXT: Self = Self(9);
    pub(crate) const SET_META_CONTEXT: Self = Self(10);
}

const REPLY_ACK: u32 = 1;
const REPLY_SERVER: u32 = 2;
const REPLY_INFO: u32 = 3;
const REPLY_META_CONTEXT: u32 = 4;
const REPLY_ERROR_BIT: u32 = 1 << 31;

const INFO_EXPORT: u16 = 0;
const INFO_BLOCK_SIZE: u16 = 3;

/// Why a server does not do what an option asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal(u32);

impl Refusal {
    pub(crate) const UNSUPPORTED: Self = Self(REPLY_ERROR_BIT | 1);
    pub(crate) const POLICY: Self = Self(REPLY_ERROR_BIT | 2);
    pub(crate) const INVALID: Self = Self(REPLY_ERROR_BIT | 3);
    pub(crate) const TLS_REQUIRED: Self = Self(REPLY_ERROR_BIT | 5);
    pub(crate) const UNKNOWN_EXPORT: Self = Self(REPLY_ERROR_BIT | 6);

    /// For servers that send no message of their own.
    pub(crate) fn sentence(self) -> String {
        match self {
            Self::UNSUPPORTED => "it does not know this option".to_owned(),
            Self::POLICY => "it does not allow this".to_owned(),
            Self::INVALID => "it finds the option invalid".to_owned(),
            Self::TLS_REQUIRED => "it wants TLS".to_owned(),
            Self::UNKNOWN_EXPORT => "it has no such export".to_owned(),
            Self(code) => format!("reply {code:#x}"),
        }
    }
}

/// The fixed part before an option's data.
#[derive(Debug)]
pub(crate) struct OptionHead {
    pub(crate) option: OptionCode,
    /// Of the data that follows, in bytes; at most [`OPTION_BYTES_MAX`].
    pub(crate) length: u32,
}

impl OptionHead {
    pub(crate) fn decode(bytes: &[u8; OPTION_HEAD_BYTES]) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u64()? != OPTION_MAGIC {
            return Err(Error::protocol("an option does not begin with IHAVEOPT"));
        }
        let option = OptionCode(cursor.u32()?);
        let length = bounded(cursor.u32()?)?;
        Ok(Self { option, length })
    }
}

fn bounded(length: u32) -> Result<u32> {
    if length > OPTION_BYTES_MAX {
        return Err(Error::protocol(format!("{length} bytes while haggling")));
    }
    Ok(length)
}

/// An option as a server understands it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OptionRequest {
    ExportName(String),
    Abort,
    List,
    StartTls,
    Info(String),
    Go(String),
    StructuredReply,
    ListContexts {
        export: String,
        queries: Vec<String>,
    },
    SetContexts {
        export: String,
        queries: Vec<String>,
    },
    Unknown,
}

impl OptionRequest {
    pub(crate) fn decode(option: OptionCode, data: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(data);
        let request = match option {
            OptionCode::EXPORT_NAME => Self::ExportName(cursor.string(data.len())?),
            // It is obeyed whatever it carries.
            OptionCode::ABORT => return Ok(Self::Abort),
            OptionCode::LIST => Self::List,
            OptionCode::STARTTLS => Self::StartTls,
            OptionCode::INFO => Self::Info(decode_go(&mut cursor)?),
            OptionCode::GO => Self::Go(decode_go(&mut cursor)?),
            OptionCode::STRUCTURED_REPLY => Self::StructuredReply,
            OptionCode::LIST_META_CONTEXT => {
                let (export, queries) = decode_query(&mut cursor)?;
                Self::ListContexts { export, queries }
            }
            OptionCode::SET_META_CONTEXT => {
                let (export, queries) = decode_query(&mut cursor)?;
                Self::SetContexts { export, queries }
            }
            _ => return Ok(Self::Unknown),
        };
        cursor.end()?;
        Ok(request)
    }
}

/// The export's name. What the client wants to know beside it does not matter: all that there is fits a reply.
fn decode_go(cursor: &mut Cursor<'_>) -> Result<String> {
    let export = cursor.counted_string()?;
    let count = cursor.u16()?;
    cursor.bytes(usize::from(count) * size_of::<u16>())?;
    Ok(export)
}

fn decode_query(cursor: &mut Cursor<'_>) -> Result<(String, Vec<String>)> {
    let export = cursor.counted_string()?;
    let count = cursor.u32()?;
    if count > QUERIES_MAX {
        return Err(Error::protocol(format!("{count} contexts are asked for")));
    }
    let queries = (0..count).map(|_| cursor.counted_string());
    Ok((export, queries.collect::<Result<_>>()?))
}

/// An option with its data, ready to be sent.
pub(crate) fn option(option: OptionCode, data: &[u8]) -> Vec<u8> {
    let mut bytes = OPTION_MAGIC.to_be_bytes().to_vec();
    bytes.extend(option.0.to_be_bytes());
    bytes.extend(length_of(data));
    bytes.extend(data);
    bytes
}

/// The data of `INFO` and `GO`, which asks for block sizes too.
pub(crate) fn go(export: &str) -> Vec<u8> {
    let mut data = counted(export);
    data.extend(1u16.to_be_bytes());
    data.extend(INFO_BLOCK_SIZE.to_be_bytes());
    data
}

/// The data of `LIST_META_CONTEXT` and `SET_META_CONTEXT`.
pub(crate) fn context_query(export: &str, queries: &[String]) -> Vec<u8> {
    let mut data = counted(export);
    let count = u32::try_from(queries.len()).expect("a few contexts are asked for");
    data.extend(count.to_be_bytes());
    data.extend(queries.iter().flat_map(|query| counted(query)));
    data
}

fn counted(text: &str) -> Vec<u8> {
    let mut bytes = length_of(text.as_bytes()).to_vec();
    bytes.extend(text.as_bytes());
    bytes
}

fn length_of(bytes: &[u8]) -> [u8; 4] {
    let length = u32::try_from(bytes.len()).expect("what we send while haggling is short");
    length.to_be_bytes()
}

/// The fixed part before the data of a reply.
#[derive(Debug)]
pub(crate) struct OptionReplyHead {
    kind: u32,
    /// Of the data that follows, in bytes; at most [`OPTION_BYTES_MAX`].
    pub(crate) length: u32,
}

impl OptionReplyHead {
    pub(crate) fn decode(
        bytes: &[u8; OPTION_REPLY_HEAD_BYTES],
        expected: OptionCode,
    ) -> Result<Self> {
        let mut cursor = Cursor::new(bytes);
        if cursor.u64()? != OPTION_REPLY_MAGIC {
            return Err(Error::protocol("a reply to an option has a wrong magic"));
        }
        if cursor.u32()? != expected.0 {
            return Err(Error::protocol("a reply to an option that was not sent"));
        }
        let kind = cursor.u32()?;
        let length = bounded(cursor.u32()?)?;
        Ok(Self { kind, length })
    }
}

/// One of the replies to an option.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum OptionReply {
    Ack,
    Listed(Listed),
    Info(Info),
    Context { id: u32, name: String },
    Refused(Refusal, String),
}

/// An export as its server lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// For people; often empty.
    pub description: String,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Info {
    Export {
        size_bytes: u64,
        flags: TransmissionFlags,
    },
    BlockSizes(BlockSizes),
    /// What we did not ask for and need not understand.
    Other,
}

impl OptionReply {
    pub(crate) fn decode(head: &OptionReplyHead, data: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(data);
        let reply = match head.kind {
            REPLY_ACK => Self::Ack,
            REPLY_SERVER => Self::Listed(Listed {
                name: cursor.counted_string()?,
                description: cursor.string(cursor.remaining())?,
            }),
            REPLY_INFO => return Info::decode(data).map(Self::Info),
            REPLY_META_CONTEXT => Self::Context {
                id: cursor.u32()?,
                name: cursor.string(cursor.remaining())?,
            },
            kind if kind & REPLY_ERROR_BIT != 0 => {
                let told = &data[..data.len().min(STRING_BYTES_MAX)];
                let message = String::from_utf8_lossy(told).into_owned();
                return Ok(Self::Refused(Refusal(kind), message));
            }
            kind => {
                return Err(Error::protocol(format!("reply {kind} to an option")));
            }
        };
        cursor.end()?;
        Ok(reply)
    }
}

impl Info {
    fn decode(data: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(data);
        let info = match cursor.u16()? {
            INFO_EXPORT => Self::Export {
                size_bytes: cursor.u64()?,
                flags: TransmissionFlags(cursor.u16()?),
            },
            INFO_BLOCK_SIZE => Self::BlockSizes(decode_block_sizes(&mut cursor)?),
            _ => return Ok(Self::Other),
        };
        cursor.end()?;
        Ok(info)
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Export { size_bytes, flags } => {
                let mut data = INFO_EXPORT.to_be_bytes().to_vec();
                data.extend(size_bytes.to_be_bytes());
                data.extend(flags.0.to_be_bytes());
                data
            }
            Self::BlockSizes(sizes) => {
                let mut data = INFO_BLOCK_SIZE.to_be_bytes().to_vec();
                for size in [sizes.minimum, sizes.preferred, sizes.maximum] {
                    data.extend(size.to_be_bytes());
                }
                data
            }
            Self::Other => Vec::new(),
        }
    }
}

fn decode_block_sizes(cursor: &mut Cursor<'_>) -> Result<BlockSizes> {
    /// "The minimum block size […] MUST NOT be larger than 64 KiB."
    const MINIMUM_MAX: u32 = 64 << 10;
    let sizes = BlockSizes {
        minimum: cursor.u32()?,
        preferred: cursor.u32()?,
        maximum: cursor.u32()?,
    };
    let BlockSizes {
        minimum, maximum, ..
    } = sizes;
    if !minimum.is_power_of_two() || minimum > MINIMUM_MAX || maximum < minimum {
        return Err(Error::protocol(format!("block sizes of {sizes:?}")));
    }
    Ok(sizes)
}

/// A reply, ready to be sent.
pub(crate) fn option_reply(option: OptionCode, reply: &OptionReply) -> Vec<u8> {
    let (kind, data) = match reply {
        OptionReply::Ack => (REPLY_ACK, Vec::new()),
        OptionReply::Listed(listed) => {
            let mut data = counted(&listed.name);
            data.extend(listed.description.as_bytes());
            (REPLY_SERVER, data)
        }
        OptionReply::Info(info) => (REPLY_INFO, info.encode()),
        OptionReply::Context { id, name } => {
            let mut data = id.to_be_bytes().to_vec();
            data.extend(name.as_bytes());
            (REPLY_META_CONTEXT, data)
        }
        OptionReply::Refused(Refusal(kind), message) => (*kind, message.as_bytes().to_vec()),
    };
    let mut bytes = OPTION_REPLY_MAGIC.to_be_bytes().to_vec();
    bytes.extend(option.0.to_be_bytes());
    bytes.extend(kind.to_be_bytes());
    bytes.extend(length_of(&data));
    bytes.extend(data);
    bytes
}
