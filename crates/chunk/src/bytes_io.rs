//! Bounds-checked reading of little-endian fields: a short input is an error, never a panic.

use crate::{Error, Result};

pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (head, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Error::Malformed("cut short"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Error::Malformed("cut short"))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of items that take `item_bytes` each; refused when the input cannot hold them, so that
    /// a damaged count never makes us allocate for items that are not there.
    pub(crate) fn count(&mut self, item_bytes: usize) -> Result<usize> {
        let count = to_usize(self.u32()?);
        match count.checked_mul(item_bytes) {
            Some(bytes) if bytes <= self.remaining() => Ok(count),
            _ => Err(Error::Malformed("a count exceeds the object")),
        }
    }

    /// Reserved fields must be zero, so that a later version may give them a meaning.
    pub(crate) fn zeros(&mut self, length: usize) -> Result<()> {
        if self.take(length)?.iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(Error::Malformed("a reserved field is not zero"))
        }
    }

    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Error::Malformed("bytes after the end"))
        }
    }
}

pub(crate) fn to_usize(value: u32) -> usize {
    usize::try_from(value).expect("a u32 fits the address space")
}

/// The lengths of what this crate builds are bounded far below 4 GiB.
pub(crate) fn to_u32(value: usize) -> u32 {
    u32::try_from(value).expect("lengths inside an object are bounded below 4 GiB")
}
