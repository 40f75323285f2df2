//! How protected bytes are laid out in blocks, columns and groups.

use std::ops::Range;

use super::Encoder;
use super::record::RECORD_FIXED_BYTES;
use crate::hasher::{INNER_HASH_BYTES, InnerHash, inner_hash};
use crate::trailer::{SECTION_BYTES, Trailer};
use crate::{Error, Result};

/// How many bytes a hole may have, wherever it lies.
const HOLE_BYTES: usize = 64 << 10;
/// Parity begins on this grid of the object.
const GRID_BYTES: usize = 4 << 10;
/// Up to so many protected bytes take [`SHAPE_SMALL`].
const SMALL_BYTES_MAX: u64 = 4 << 20;

/// Blocks go to the columns in turn; `rows` blocks of each column make a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(super) block_bytes: usize,
    pub(super) columns: usize,
    pub(super) rows: usize,
    /// Parity blocks of each column of a group: 1 or 2.
    pub(super) parity_rows: usize,
}

/// An unaligned hole touches two blocks, and both come back.
pub(crate) const SHAPE_LARGE: Shape = Shape {
    block_bytes: HOLE_BYTES,
    columns: 1,
    rows: 64,
    parity_rows: 2,
};

/// A hole touches up to 17 blocks in a row, each in a column of its own: half the parity for a small pack.
const SHAPE_SMALL: Shape = Shape {
    block_bytes: 4 << 10,
    columns: 17,
    rows: 64,
    parity_rows: 1,
};

impl Shape {
    pub(crate) fn of(protected_length: u64) -> Self {
        if protected_length <= SMALL_BYTES_MAX {
            SHAPE_SMALL
        } else {
            SHAPE_LARGE
        }
    }

    pub(super) fn row_bytes(&self) -> usize {
        self.block_bytes * self.columns
    }

    /// Refuses what would make a reader work without end.
    pub(super) fn check(self) -> Result<Self> {
        let sane = self.block_bytes.is_power_of_two()
            && (1 << 10..=1 << 20).contains(&self.block_bytes)
            && (1..=64).contains(&self.columns)
            && (1..=128).contains(&self.rows)
            && (1..=2).contains(&self.parity_rows);
        if sane {
            Ok(self)
        } else {
            Err(Error::Malformed("parity of an impossible shape"))
        }
    }
}

/// Where everything lies in a pack with so many protected bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(super) shape: Shape,
    pub(super) protected: usize,
    /// Number of blocks that hold protected bytes; the last may be short.
    pub(super) blocks: usize,
    /// Empty blocks in front of the first, so that the last one lies in the last column: the parity that follows
    /// continues with the first.
    pub(super) shift: usize,
    pub(super) groups: usize,
    /// Sections of the trailer, which the record repeats.
    pub(super) sections: usize,
}

impl Layout {
    pub(crate) fn new(shape: Shape, protected_length: u64, sections: usize) -> Result<Self> {
        let protected =
            usize::try_from(protected_length).map_err(|_| Error::Malformed("too large"))?;
        let blocks = protected.div_ceil(shape.block_bytes);
        let shift = blocks.next_multiple_of(shape.columns) - blocks;
        Ok(Self {
            shape,
            protected,
            blocks,
            shift,
            groups: (blocks + shift).div_ceil(shape.columns * shape.rows),
            sections,
        })
    }

    /// Bytes of zero that the encoder sees before the first block.
    pub(super) fn shift_bytes(&self) -> usize {
        self.shift * self.shape.block_bytes
    }

    pub(super) fn parity_blocks(&self) -> usize {
        self.groups * self.shape.parity_rows * self.shape.columns
    }

    /// The protected bytes of a block.
    pub(super) fn block(&self, number: usize) -> Range<usize> {
        let start = number * self.shape.block_bytes;
        start..self.protected.min(start + self.shape.block_bytes)
    }

    /// Group, row in the group and column of a block.
    pub(super) fn place(&self, block: usize) -> (usize, usize, usize) {
        let cell = block + self.shift;
        let row = cell / self.shape.columns;
        (
            row / self.shape.rows,
            row % self.shape.rows,
            cell % self.shape.columns,
        )
    }

    /// Number of the parity block over a column of a group.
    pub(super) fn parity_block(&self, group: usize, parity_row: usize, column: usize) -> usize {
        (group * self.shape.parity_rows + parity_row) * self.shape.columns + column
    }

    /// Where a parity block lies in the object.
    pub(super) fn parity_range(&self, number: usize) -> Range<usize> {
        let start = self.parity_start() + number * self.shape.block_bytes;
        start..start + self.shape.block_bytes
    }

    pub(super) fn hash_count(&self) -> usize {
        self.blocks + self.parity_blocks()
    }

    pub(super) fn record_bytes(&self) -> usize {
        RECORD_FIXED_BYTES + self.sections * SECTION_BYTES + self.hash_count() * INNER_HASH_BYTES
    }

    /// The first record follows the protected bytes; zeros fill the gap behind it.
    pub(super) fn parity_start(&self) -> usize {
        (self.protected + self.record_bytes()).next_multiple_of(GRID_BYTES)
    }

    /// The first record and the gap behind it.
    pub(crate) fn first_part_bytes(&self) -> usize {
        self.parity_start() - self.protected
    }

    /// The second record, which ends the body.
    pub(super) fn second_record(&self) -> usize {
        self.parity_start() + self.parity_blocks() * self.shape.block_bytes
    }

    pub(crate) fn body_length(&self) -> usize {
        self.second_record() + self.record_bytes()
    }

    pub(crate) fn object_length(&self) -> usize {
        let body = self.body_length();
        body + Trailer::length_for(body as u64, self.sections)
    }

    /// The parity of the protected bytes.
    pub(crate) fn encode(&self, protected: &[u8]) -> Vec<u8> {
        let mut encoder = Encoder::new(self.shape);
        encoder.skip(self.shift_bytes());
        encoder.update(protected);
        encoder.finish()
    }

    pub(super) fn block_hash(&self, object: &[u8], block: usize) -> InnerHash {
        let range = self.block(block);
        inner_hash(range.start, &object[range])
    }

    pub(crate) fn block_hashes(&self, object: &[u8]) -> Vec<InnerHash> {
        let blocks = 0..self.blocks;
        blocks.map(|block| self.block_hash(object, block)).collect()
    }

    pub(crate) fn parity_hashes(&self, parity: &[u8]) -> impl Iterator<Item = InnerHash> {
        let blocks = parity.chunks(self.shape.block_bytes);
        blocks.map(|block| inner_hash(0, block))
    }
}
