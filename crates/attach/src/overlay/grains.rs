use std::ops::Range;

/// What an overlay takes up as a whole.
pub(super) const GRAIN_BYTES: u64 = 64 << 10;

/// A part of one grain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) grain: u64,
    /// Of the disk.
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// A range of the disk, cut at the ends of grains.
pub(super) fn pieces(range: Range<u64>) -> impl Iterator<Item = Piece> {
    let mut offset = range.start;
    std::iter::from_fn(move || {
        let length = (GRAIN_BYTES - offset % GRAIN_BYTES).min(range.end - offset);
        let piece = Piece {
            grain: offset / GRAIN_BYTES,
            offset,
            length,
        };
        offset += length;
        (length > 0).then_some(piece)
    })
}
