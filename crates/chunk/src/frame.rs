use std::fmt;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::seal::{SealKey, TAG_BYTES};
use crate::{Error, Result};

/// How a frame's bytes are stored before they are sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    Raw,
    Zstd,
}

impl Codec {
    pub fn to_u8(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
        }
    }

    pub fn from_u8(value: u8) -> Result<Self> {
        match value {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            _ => Err(Error::Malformed("unknown codec")),
        }
    }
}

/// No frame is larger before compression; what claims to be is refused before memory is asked for.
pub const FRAME_BYTES_MAX: usize = 4 << 20;

/// Compresses frames; keeps its tables and its buffer between them.
pub struct FrameCompressor {
    level: i32,
    context: Compressor<'static>,
    buffer: Vec<u8>,
}

impl fmt::Debug for FrameCompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameCompressor")
    }
}

impl FrameCompressor {
    pub fn new(level: i32) -> Self {
        let mut compressor = Self {
            level,
            context: Compressor::new(level).expect("a zstd context is only memory"),
            buffer: Vec::new(),
        };
        compressor.tune();
        compressor
    }

    /// The zstd level from the next frame on.
    pub fn set_level(&mut self, level: i32) {
        if level != self.level {
            self.level = level;
            let set = self.context.set_compression_level(level);
            set.expect("zstd takes any level that it knows");
            self.tune();
        }
    }

    fn tune(&mut self) {
        // Measured on disk images: 2 % smaller than what level 1 chooses, a tenth slower. 0 leaves the choice to the level.
        let (match_bytes, hash_log) = if self.level == 1 { (5, 15) } else { (0, 0) };
        let parameters = [
            CParameter::MinMatch(match_bytes),
            CParameter::HashLog(hash_log),
        ];
        for parameter in parameters {
            let set = self.context.set_parameter(parameter);
            set.expect("zstd takes 3 to 7 bytes, and tables of 2^6 to 2^30");
        }
    }

    /// The smaller form of `plain`, in a vector that takes no more memory than it needs once the tag
    /// is added. Stays raw unless compression saves 3 %: reading raw frames is several times as fast.
    pub fn compress(&mut self, plain: &[u8]) -> (Codec, Vec<u8>) {
        self.buffer.clear();
        self.buffer
            .reserve(zstd::zstd_safe::compress_bound(plain.len()));
        let result = self.context.compress_to_buffer(plain, &mut self.buffer);
        let limit = plain.len() - plain.len() / 33;
        let (codec, bytes) = match result {
            Ok(length) if length < limit => (Codec::Zstd, self.buffer.as_slice()),
            _ => (Codec::Raw, plain),
        };
        let mut stored = Vec::with_capacity(bytes.len() + TAG_BYTES);
        stored.extend_from_slice(bytes);
        (codec, stored)
    }
}

/// The inverse of [`FrameCompressor`]; keeps its tables and its buffer between frames.
pub struct FrameDecompressor {
    context: Decompressor<'static>,
    /// A frame that was decrypted and not decompressed yet; as long as the longest so far.
    opened: Vec<u8>,
}

impl fmt::Debug for FrameDecompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FrameDecompressor")
    }
}

impl Default for FrameDecompressor {
    fn default() -> Self {
        Self {
            context: Decompressor::new().expect("a zstd context is only memory"),
            opened: Vec::new(),
        }
    }
}

impl FrameDecompressor {
    /// Exactly `plain_length` bytes, or an error.
    pub fn decompress(
        &mut self,
        codec: Codec,
        stored: Vec<u8>,
        plain_length: usize,
    ) -> Result<Vec<u8>> {
        if plain_length > FRAME_BYTES_MAX {
            return Err(Error::Malformed("a frame is too large"));
        }
        match codec {
            Codec::Raw if stored.len() == plain_length => Ok(stored),
            Codec::Raw => Err(Error::Malformed("a frame has another length than stated")),
            Codec::Zstd => {
                let mut plain = vec![0; plain_length];
                decompress(&mut self.context, &stored, &mut plain)?;
                Ok(plain)
            }
        }
    }

    /// Opens `sealed` into `plain`, which it fills exactly, or fails and leaves anything there.
    pub(crate) fn open(
        &mut self,
        key: &SealKey,
        number: u32,
        codec: Codec,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<()> {
        let plain_length = u32::try_from(plain.len())
            .ok()
            .filter(|_| plain.len() <= FRAME_BYTES_MAX)
            .ok_or(Error::Malformed("a frame is too large"))?;
        let length = sealed.len().saturating_sub(TAG_BYTES);
        match codec {
            Codec::Raw if length == plain.len() => {
                key.open_into(number, plain_length, codec.to_u8(), sealed, plain)
            }
            Codec::Raw => Err(Error::Malformed("a frame has another length than stated")),
            Codec::Zstd => {
                if self.opened.len() < length {
                    self.opened.resize(length, 0);
                }
                let opened = &mut self.opened[..length];
                key.open_into(number, plain_length, codec.to_u8(), sealed, opened)?;
                decompress(&mut self.context, opened, plain)
            }
        }
    }
}

/// Fills `plain` exactly, or fails.
fn decompress(context: &mut Decompressor<'static>, stored: &[u8], plain: &mut [u8]) -> Result<()> {
    match context.decompress_to_buffer(stored, plain) {
        Ok(length) if length == plain.len() => Ok(()),
        Ok(_) => Err(Error::Malformed("a frame has another length than stated")),
        Err(_) => Err(Error::Malformed("a frame does not decompress")),
    }
}
