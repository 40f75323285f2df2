//! Which clusters of the file are free, and the allocation of new ones.
//!
//! Counts that are too high lose space, counts that are too low lose data. So a count rises before
//! anything refers to its cluster and falls after the last reference is durably gone; then counts
//! may reach the file at any time and in any order.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::counts::Counts;
use super::header::REFCOUNT_TABLE_FIELD;
use super::{Header, small, words_from_bytes};
use crate::file::ImageFile;
use crate::{Error, Result};

/// QEMU opens no image with a larger refcount table.
const MAX_TABLE_BYTES: u64 = 8 << 20;
const CACHE_BYTES: u64 = 16 << 20;
const MAX_BLOCKS: u64 = 1024;

#[derive(Debug)]
pub(super) struct Refcounts {
    cluster_bytes: u64,
    order: u32,
    /// Counts in one block.
    per_block: u64,
    table_offset: u64,
    /// Offsets of the blocks; 0 where no cluster is counted.
    table: Vec<u64>,
    /// Words of the table that the file does not have yet.
    new_words: BTreeSet<usize>,
    blocks: HashMap<usize, Counts>,
    uses: u64,
    limit: usize,
    /// No cluster below this one is free.
    cursor: u64,
    /// Clusters that hold the image's own structures. Guest data never goes there, whatever
    /// damaged counts say.
    metadata: HashSet<u64>,
}

impl Refcounts {
    /// Loads the table of an image that will be written.
    pub(super) fn open(file: &ImageFile, header: &Header) -> Result<Self> {
        let cluster_bytes = header.cluster_bytes();
        let offset = header.refcount_table_offset;
        let length = u64::from(header.refcount_table_clusters) * cluster_bytes;
        let is_sane = length > 0 && length <= MAX_TABLE_BYTES;
        if !is_sane || !header.lies_inside(file, offset, length) {
            let detail = "its refcount table does not lie inside the file";
            return Err(Error::corrupt(file.path(), detail));
        }
        let mut bytes = vec![0; small(length)];
        file.read_at(offset, &mut bytes)?;
        let table = words_from_bytes(&bytes);
        let mut counts = Self {
            cluster_bytes,
            order: header.refcount_order,
            per_block: (cluster_bytes * 8) >> header.refcount_order,
            table_offset: offset,
            table,
            new_words: BTreeSet::new(),
            blocks: HashMap::new(),
            uses: 0,
            limit: small((CACHE_BYTES / cluster_bytes).min(MAX_BLOCKS)),
            cursor: 0,
            metadata: HashSet::new(),
        };
        counts.protect(0, cluster_bytes);
        counts.protect(offset, length);
        for index in 0..counts.table.len() {
            let block = counts.table[index];
            if block != 0 && !header.lies_inside(file, block, cluster_bytes) {
                let detail = format!("refcount block {index} does not lie inside the file");
                return Err(Error::corrupt(file.path(), detail));
            }
            if block != 0 {
                counts.protect(block, cluster_bytes);
            }
        }
        Ok(counts)
    }

    /// Keeps guest data away from a range of the file.
    pub(super) fn protect(&mut self, offset: u64, length: u64) {
        let clusters = offset / self.cluster_bytes..(offset + length).div_ceil(self.cluster_bytes);
        self.metadata.extend(clusters);
    }

    pub(super) fn is_protected(&self, offset: u64) -> bool {
        self.metadata.contains(&(offset / self.cluster_bytes))
    }

    /// How many references the cluster at `offset` has.
    pub(super) fn get(&mut self, file: &mut ImageFile, offset: u64) -> Result<u64> {
        let cluster = offset / self.cluster_bytes;
        let (block, index) = (cluster / self.per_block, cluster % self.per_block);
        if self.table.get(small(block)).is_none_or(|&word| word == 0) {
            return Ok(0);
        }
        Ok(self.block(file, small(block))?.get(small(index)))
    }

    /// Takes one reference away from each cluster that the range touches, and returns those that
    /// are free now.
    pub(super) fn release(
        &mut self,
        file: &mut ImageFile,
        offset: u64,
        length: u64,
    ) -> Result<Vec<u64>> {
        let mut free = Vec::new();
        let clusters = offset / self.cluster_bytes..(offset + length).div_ceil(self.cluster_bytes);
        for cluster in clusters {
            let at = cluster * self.cluster_bytes;
            let count = self.get(file, at)?;
            if count == 0 {
                let detail = format!("the cluster at byte {at} of the file was free already");
                return Err(Error::corrupt(file.path(), detail));
            }
            let (block, index) = (cluster / self.per_block, cluster % self.per_block);
            self.block(file, small(block))?.set(small(index), count - 1);
            if count == 1 {
                self.metadata.remove(&cluster);
                self.cursor = self.cursor.min(cluster);
                free.push(at);
            }
        }
        Ok(free)
    }

    /// Takes a free cluster and returns its offset; its old content is still there.
    pub(super) fn allocate(&mut self, file: &mut ImageFile) -> Result<u64> {
        loop {
            let (slot, first) = (self.cursor / self.per_block, self.cursor % self.per_block);
            let slot = small(slot);
            match self.table.get(slot) {
                None => self.grow(file)?,
                Some(0) => self.add_block(file, slot)?,
                Some(_) => {
                    let end = small(self.per_block);
                    let block = self.block(file, slot)?;
                    let Some(index) = block.first_zero(small(first), end) else {
                        self.cursor = (slot as u64 + 1) * self.per_block;
                        continue;
                    };
                    let cluster = slot as u64 * self.per_block + index as u64;
                    self.check_free(file, cluster)?;
                    self.block(file, slot)?.set(index, 1);
                    self.cursor = cluster + 1;
                    return Ok(cluster * self.cluster_bytes);
                }
            }
        }
    }

    fn check_free(&self, file: &ImageFile, cluster: u64) -> Result<()> {
        if self.metadata.contains(&cluster) {
            let detail = format!("cluster {cluster} of the file is in use but counted as free");
            return Err(Error::corrupt(file.path(), detail));
        }
        let end = (cluster + 1).saturating_mul(self.cluster_bytes);
        if file.is_block_device() && end > file.size_bytes() {
            return Err(Error::Full);
        }
        Ok(())
    }

    /// Begins to count clusters where none was used so far. The block counts itself.
    fn add_block(&mut self, file: &mut ImageFile, slot: usize) -> Result<()> {
        let cluster = slot as u64 * self.per_block;
        self.check_free(file, cluster)?;
        let mut block = Counts::new(vec![0; small(self.cluster_bytes)], self.order);
        block.set(0, 1);
        let offset = cluster * self.cluster_bytes;
        self.make_room(file)?;
        // Written again in a commit; but a full disk shows now.
        file.write_at(offset, block.bytes())?;
        self.blocks.insert(slot, block);
        self.table[slot] = offset;
        self.new_words.insert(slot);
        self.protect(offset, self.cluster_bytes);
        Ok(())
    }

    /// Moves the table to a larger place behind all that it counts now.
    ///
    /// The new table and the blocks that count it lie there complete before the header changes.
    fn grow(&mut self, file: &mut ImageFile) -> Result<()> {
        self.write_back(file)?;
        let old_words = self.table.len() as u64;
        let wanted = (old_words * 2 * 8).min(MAX_TABLE_BYTES);
        let table_clusters = wanted.div_ceil(self.cluster_bytes);
        let table_bytes = table_clusters * self.cluster_bytes;
        let first = old_words * self.per_block;
        // Each block counts itself too, so one more may be needed than the table alone asks for.
        let mut blocks = 1;
        while blocks * self.per_block < blocks + table_clusters {
            blocks += 1;
        }
        if table_bytes / 8 < old_words + blocks {
            let what = "its refcount table cannot grow any more";
            return Err(Error::unsupported(file.path(), what));
        }
        for cluster in first..first + blocks + table_clusters {
            self.check_free(file, cluster)?;
        }
        let mut table = self.table.clone();
        for number in 0..blocks {
            let mut block = Counts::new(vec![0; small(self.cluster_bytes)], self.order);
            let used = (blocks + table_clusters).saturating_sub(number * self.per_block);
            for index in 0..used.min(self.per_block) {
                block.set(small(index), 1);
            }
            let offset = (first + number) * self.cluster_bytes;
            file.write_at(offset, block.bytes())?;
            table.push(offset);
        }
        table.resize(small(table_bytes / 8), 0);
        let offset = (first + blocks) * self.cluster_bytes;
        let bytes: Vec<u8> = table.iter().flat_map(|word| word.to_be_bytes()).collect();
        file.write_at(offset, &bytes)?;
        file.sync()?;

        let mut field = [0; 12];
        field[..8].copy_from_slice(&offset.to_be_bytes());
        let clusters = u32::try_from(table_clusters).expect("8 MiB of clusters at most");
        field[8..].copy_from_slice(&clusters.to_be_bytes());
        file.write_at(REFCOUNT_TABLE_FIELD, &field)?;
        file.sync()?;

        self.protect(
            first * self.cluster_bytes,
            blocks * self.cluster_bytes + table_bytes,
        );
        let old_offset = std::mem::replace(&mut self.table_offset, offset);
        self.table = table;
        self.release(file, old_offset, old_words * 8)?;
        Ok(())
    }

    /// Hands all counts to the file; the caller syncs before it refers to new clusters.
    pub(super) fn write_back(&mut self, file: &mut ImageFile) -> Result<()> {
        for (&slot, block) in &mut self.blocks {
            if block.is_dirty {
                file.write_at(self.table[slot], block.bytes())?;
                block.is_dirty = false;
            }
        }
        if self.new_words.is_empty() {
            return Ok(());
        }
        // A block must be there before the table points at it.
        file.sync()?;
        for &slot in &self.new_words {
            let word = self.table[slot].to_be_bytes();
            file.write_at(self.table_offset + slot as u64 * 8, &word)?;
        }
        self.new_words.clear();
        Ok(())
    }

    /// The block in `slot` of the table, which must have one.
    fn block(&mut self, file: &mut ImageFile, slot: usize) -> Result<&mut Counts> {
        self.uses += 1;
        if !self.blocks.contains_key(&slot) {
            self.make_room(file)?;
            let mut bytes = vec![0; small(self.cluster_bytes)];
            file.read_at(self.table[slot], &mut bytes)?;
            self.blocks.insert(slot, Counts::new(bytes, self.order));
        }
        let block = self.blocks.get_mut(&slot).expect("it was just inserted");
        block.last_use = self.uses;
        Ok(block)
    }

    fn make_room(&mut self, file: &mut ImageFile) -> Result<()> {
        if self.blocks.len() < self.limit {
            return Ok(());
        }
        let oldest = self.blocks.iter().min_by_key(|(_, block)| block.last_use);
        if let Some(slot) = oldest.map(|(slot, _)| *slot) {
            let block = &self.blocks[&slot];
            if block.is_dirty {
                file.write_at(self.table[slot], block.bytes())?;
            }
            self.blocks.remove(&slot);
        }
        Ok(())
    }
}
