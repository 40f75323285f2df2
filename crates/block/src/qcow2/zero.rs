//! Making ranges read as zeros, with as little writing as the image allows.

use std::ops::Range;

use super::entry::Entry;
use super::small;
use super::writer::Writer;
use crate::{BlockSink, BlockSource, ExtentKind, Result};

impl Writer {
    pub(super) fn zero(&mut self, range: Range<u64>) -> Result<()> {
        let mut offset = range.start;
        while offset < range.end {
            // What reads as zeros already costs nothing, however large it is.
            let extent = self.image.next_extent(offset)?;
            offset = match extent.kind {
                ExtentKind::Hole => range.end.min(offset + extent.length),
                ExtentKind::Data => self.zero_cluster(offset, &range)?,
            };
        }
        Ok(())
    }

    /// Zeros the cluster at `offset` as far as it lies in the range, and returns where that ends.
    fn zero_cluster(&mut self, offset: u64, range: &Range<u64>) -> Result<u64> {
        self.begin_change()?;
        let header = &self.image.header;
        let cluster_bytes = header.cluster_bytes();
        let cluster = offset / cluster_bytes;
        let start = cluster * cluster_bytes;
        let stop = (start + cluster_bytes).min(header.size_bytes);
        let is_whole = start >= range.start && stop <= range.end;
        if is_whole && self.is_hole_below(start, stop)? {
            self.replace(cluster, Entry::default())?;
        } else if is_whole && self.image.header.version >= 3 {
            let zeros = Entry::zeros(&self.image.header);
            self.replace(cluster, zeros)?;
        } else {
            let length = stop.min(range.end) - offset;
            self.write_at(offset, &vec![0; small(length)])?;
        }
        Ok(stop.min(range.end))
    }

    /// Would the range read as zeros if it were not allocated?
    fn is_hole_below(&mut self, mut offset: u64, stop: u64) -> Result<bool> {
        let Some(backing) = &mut self.image.backing else {
            return Ok(true);
        };
        while offset < stop {
            let piece = backing.piece_at(offset, stop - offset)?;
            if piece.kind == ExtentKind::Data {
                return Ok(false);
            }
            offset += piece.length;
        }
        Ok(true)
    }
}
