//! New images: nothing but tables, in which everything reads as zeros.

use std::path::Path;

use super::Header;
use super::header::{MAGIC, SIZE_V3};
use crate::file::ImageFile;
use crate::{Error, Result};

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Counts have 16 bits.
const REFCOUNT_ORDER: u32 = 4;
const COUNTS_PER_BLOCK: u64 = CLUSTER / 2;
const WORDS_PER_CLUSTER: u64 = CLUSTER / 8;
/// Where the tables begin, in clusters: refcount table, its first block, L1.
const REFCOUNT_TABLE: u64 = 1;

/// Makes an image of a disk that has so many bytes and is all zero; a sound image that is there stays as it is. Whoever is killed
/// meanwhile leaves a file without a header, which the next call completes. Its format is version 3, with clusters of 64 KiB.
///
/// [`Exists`](Error::Exists) if something else has that name.
pub fn create_qcow2(path: &Path, size_bytes: u64) -> Result<()> {
    let mut file = ImageFile::open_or_create(path)?;
    if Header::is_present(&file)? {
        return Header::read(&file).map(drop);
    }
    let layout = Layout::of(size_bytes);
    if file.size_bytes() > layout.clusters() * CLUSTER {
        let path = path.to_owned();
        return Err(Error::Exists { path });
    }
    // The header is what makes it an image.
    file.write_at(CLUSTER, &layout.tables())?;
    file.sync()?;
    file.write_at(0, &layout.header(size_bytes))?;
    file.sync()
}

/// Numbers of clusters.
struct Layout {
    /// Covers the whole disk when each of its clusters is stored.
    refcount_table: u64,
    l1: u64,
    l1_entries: u64,
}

impl Layout {
    fn of(size_bytes: u64) -> Self {
        let data = size_bytes.div_ceil(CLUSTER);
        let l1_entries = data.div_ceil(WORDS_PER_CLUSTER);
        let l1 = l1_entries.div_ceil(WORDS_PER_CLUSTER).max(1);
        let stored = data + l1_entries + l1;
        // Blocks count themselves and the table too; twice as many are enough for any size.
        let blocks = 2 * stored.div_ceil(COUNTS_PER_BLOCK);
        Self {
            refcount_table: blocks.div_ceil(WORDS_PER_CLUSTER),
            l1,
            l1_entries,
        }
    }

    fn refcount_block(&self) -> u64 {
        REFCOUNT_TABLE + self.refcount_table
    }

    fn l1_start(&self) -> u64 {
        self.refcount_block() + 1
    }

    /// Of the whole file.
    fn clusters(&self) -> u64 {
        self.l1_start() + self.l1
    }

    /// All clusters but the header's.
    fn tables(&self) -> Vec<u8> {
        let mut tables = vec![0; super::small((self.clusters() - 1) * CLUSTER)];
        let block = self.refcount_block() * CLUSTER;
        tables[..8].copy_from_slice(&block.to_be_bytes());
        let counts = super::small(block - CLUSTER);
        // One block counts them all: L1 of the largest disk has 512 clusters.
        for cluster in 0..super::small(self.clusters()) {
            let at = counts + 2 * cluster;
            tables[at..at + 2].copy_from_slice(&1_u16.to_be_bytes());
        }
        tables
    }

    fn header(&self, size_bytes: u64) -> Vec<u8> {
        let (l1, table) = (self.l1_start() * CLUSTER, REFCOUNT_TABLE * CLUSTER);
        let mut header = Vec::with_capacity(super::small(SIZE_V3) + 8);
        header.extend(MAGIC);
        header.extend(3_u32.to_be_bytes());
        // No backing file: its place and the length of its name.
        header.extend([0; 12]);
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(size_bytes.to_be_bytes());
        // Not encrypted.
        header.extend(0_u32.to_be_bytes());
        header.extend(narrow(self.l1_entries));
        header.extend(l1.to_be_bytes());
        header.extend(table.to_be_bytes());
        header.extend(narrow(self.refcount_table));
        // No snapshots, their number and place; no features of any kind.
        header.extend([0; 4 + 8 + 3 * 8]);
        header.extend(REFCOUNT_ORDER.to_be_bytes());
        header.extend(narrow(SIZE_V3));
        // No extensions of the header.
        header.extend([0; 8]);
        header
    }
}

fn narrow(number: u64) -> [u8; 4] {
    let number = u32::try_from(number).expect("a disk has less than 2^32 entries in L1");
    number.to_be_bytes()
}
