//! The order in which changes reach the file.

use super::small;
use super::writer::Writer;
use crate::Result;

impl Writer {
    /// Data and counts first, then the tables that refer to them, and only when the old references
    /// are gone for good the counts of what nobody needs any more.
    pub(super) fn commit_steps(&mut self) -> Result<()> {
        let file = &mut self.image.file;
        self.refcounts.write_back(file)?;
        file.sync()?;
        let tables_changed = self.image.tables.write_back(file)?;
        if !self.new_l1.is_empty() {
            file.sync()?;
            for &index in &self.new_l1 {
                let entry = self.image.l1[small(index)].to_be_bytes();
                file.write_at(self.image.header.l1_offset + index * 8, &entry)?;
            }
            self.new_l1.clear();
        }
        if tables_changed {
            file.sync()?;
        }
        self.give_back()
    }

    fn give_back(&mut self) -> Result<()> {
        if self.unused.is_empty() {
            return Ok(());
        }
        let file = &mut self.image.file;
        let mut free = Vec::new();
        for range in self.unused.drain(..) {
            free.extend(self.refcounts.release(file, range.offset, range.length)?);
        }
        self.refcounts.write_back(file)?;
        file.sync()?;
        let cluster_bytes = self.image.header.cluster_bytes();
        free.sort_unstable();
        for neighbours in free.chunk_by(|a, b| a + cluster_bytes == *b) {
            file.discard(neighbours[0], neighbours.len() as u64 * cluster_bytes);
        }
        Ok(())
    }
}
