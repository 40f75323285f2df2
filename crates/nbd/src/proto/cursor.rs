use super::STRING_BYTES_MAX;
use crate::{Error, Result};

/// Takes big-endian numbers and strings off the front of a message; a message that is too short is an error.
pub(crate) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8]> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else {
            return Err(Error::protocol("a message is shorter than it says"));
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.bytes(N)?;
        Ok(taken.try_into().expect("as many bytes as asked for"))
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A string of `count` bytes, as the protocol wants strings: UTF-8, at most 4096 bytes, no NUL.
    pub(crate) fn string(&mut self, count: usize) -> Result<String> {
        if count > STRING_BYTES_MAX {
            return Err(Error::protocol("a string is longer than 4096 bytes"));
        }
        let text = std::str::from_utf8(self.bytes(count)?)
            .map_err(|_| Error::protocol("a string is not UTF-8"))?;
        if text.contains('\0') {
            return Err(Error::protocol("a string contains NUL"));
        }
        Ok(text.to_owned())
    }

    /// A string behind its length in 32 bits.
    pub(crate) fn counted_string(&mut self) -> Result<String> {
        let count = self.u32()?;
        self.string(usize::try_from(count).unwrap_or(usize::MAX))
    }

    pub(crate) fn remaining(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn end(&self) -> Result<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Error::protocol("a message is longer than its content"))
        }
    }
}
