//! A new image that is written from front to back: where everything lies follows from which clusters have data, so that any part of
//! the image can be made without the parts before it. In this order: header, L1 table, refcount table, refcount blocks, L2 tables, and
//! the clusters with data as they follow on the disk. Clusters without data are not allocated.
//!
//! The same disk must give the same image for ever: clients go on in the middle of one that they began earlier.

use std::ops::Range;

use super::entry::COPIED;

const CLUSTER_BITS: u32 = 16;
/// What an image is cut into, in bytes.
pub const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of eight bytes in a cluster.
const ENTRIES: u64 = CLUSTER / 8;
/// Refcounts of two bytes in a cluster.
const COUNTS: u64 = CLUSTER / 2;
const WORDS: usize = 128;
const HEADER_BYTES: u32 = 104;
/// QEMU knows sizes in sectors.
const SECTOR: u64 = 512;

/// Where the clusters of an image lie.
#[derive(Debug)]
pub struct Qcow2Layout {
    disk_bytes: u64,
    /// Those that have an entry, in their order.
    tables: Vec<Table>,
    /// In clusters of the file.
    places: Places,
}

/// Which clusters of a disk have data, by ranges of the disk that come in their order.
#[derive(Debug, Default)]
pub struct DataClusters(Vec<Table>);

/// The clusters that one L2 table describes.
#[derive(Debug)]
struct Table {
    /// Of its entry in the L1 table.
    index: u64,
    /// Clusters with data in the tables before it.
    before: u64,
    /// One bit for each cluster: it has data.
    bits: Box<[u64; WORDS]>,
}

#[derive(Debug)]
struct Places {
    l1: Range<u64>,
    refcount_table: Range<u64>,
    refcount_blocks: Range<u64>,
    l2: Range<u64>,
    data: Range<u64>,
}

impl Extend<Range<u64>> for DataClusters {
    fn extend<I: IntoIterator<Item = Range<u64>>>(&mut self, data: I) {
        for range in data {
            let clusters = range.start / CLUSTER..range.end.div_ceil(CLUSTER);
            clusters.for_each(|cluster| self.mark(cluster));
        }
    }
}

impl DataClusters {
    fn mark(&mut self, cluster: u64) {
        let Self(tables) = self;
        let index = cluster / ENTRIES;
        if tables.last().is_none_or(|table| table.index != index) {
            tables.push(Table {
                index,
                before: 0,
                bits: Box::new([0; WORDS]),
            });
        }
        if let Some(table) = tables.last_mut() {
            let entry = cluster % ENTRIES;
            table.bits[super::small(entry / 64)] |= 1 << (entry % 64);
        }
    }
}

impl Qcow2Layout {
    /// Of a disk of so many bytes.
    pub fn new(disk_bytes: u64, data: DataClusters) -> Self {
        let DataClusters(mut tables) = data;
        let mut data_clusters = 0;
        for table in &mut tables {
            table.before = data_clusters;
            data_clusters += table.count();
        }
        let l1_clusters = disk_bytes.div_ceil(ENTRIES * CLUSTER).div_ceil(ENTRIES);
        Self {
            disk_bytes,
            places: Places::of(l1_clusters, tables.len() as u64, data_clusters),
            tables,
        }
    }

    /// Of the whole image.
    pub fn file_bytes(&self) -> u64 {
        self.places.data.end * CLUSTER
    }

    /// Before this place of the image lies what tells where the data is, and behind it only data.
    pub fn data_offset(&self) -> u64 {
        self.places.data.start * CLUSTER
    }

    /// What lies in a cluster of the image before [`Self::data_offset`].
    pub fn metadata(&self, cluster: u64) -> Vec<u8> {
        let places = &self.places;
        let mut bytes = if cluster == 0 {
            self.header()
        } else if places.l1.contains(&cluster) {
            let first = (cluster - places.l1.start) * ENTRIES;
            words((first..first + ENTRIES).map(|index| self.l1_entry(index)))
        } else if places.refcount_table.contains(&cluster) {
            let blocks =
                (cluster - places.refcount_table.start) * ENTRIES + places.refcount_blocks.start;
            let blocks = blocks..places.refcount_blocks.end.min(blocks + ENTRIES);
            words(blocks.map(|block| block * CLUSTER))
        } else if places.refcount_blocks.contains(&cluster) {
            let first = (cluster - places.refcount_blocks.start) * COUNTS;
            let counted = places.data.end.saturating_sub(first).min(COUNTS);
            (0..counted).flat_map(|_| 1_u16.to_be_bytes()).collect()
        } else {
            let table = usize::try_from(cluster - places.l2.start).ok();
            table
                .and_then(|table| self.tables.get(table))
                .map_or_else(Vec::new, |t| self.l2_entries(t))
        };
        bytes.resize(super::small(CLUSTER), 0);
        bytes
    }

    /// Which part of the disk a part of the image reaches from its data on. Only its clusters with data lie in the image, and the
    /// last one may reach beyond the disk.
    pub fn disk_range(&self, image: &Range<u64>) -> Range<u64> {
        let start = image.start.max(self.data_offset());
        if start >= image.end {
            return 0..0;
        }
        let place = |offset: u64| {
            let (cluster, inside) = (offset / CLUSTER - self.places.data.start, offset % CLUSTER);
            self.cluster_of_disk(cluster) * CLUSTER + inside
        };
        place(start)..place(image.end - 1) + 1
    }

    /// Cuts from a part of the disk, within one or several clusters, what lies in the image.
    pub fn parts_of(&self, disk: Range<u64>) -> impl Iterator<Item = Range<u64>> + use<'_> {
        let (start, end) = (disk.start / CLUSTER, disk.end.div_ceil(CLUSTER));
        // A hole may be nearly all of the disk.
        let first = self
            .tables
            .partition_point(|table| table.index < start / ENTRIES);
        let tables = self.tables[first..].iter();
        let tables = tables.take_while(move |table| table.index * ENTRIES < end);
        let with_data = tables.flat_map(move |table| {
            let before = table.index * ENTRIES;
            let clusters = before.max(start)..(before + ENTRIES).min(end);
            clusters.filter(move |cluster| table.has(cluster - before))
        });
        with_data.map(move |cluster| {
            let start = (cluster * CLUSTER).max(disk.start);
            start..((cluster + 1) * CLUSTER).min(disk.end)
        })
    }

    /// The cluster of the disk that is the nth one with data.
    fn cluster_of_disk(&self, nth: u64) -> u64 {
        let table = self.tables.partition_point(|table| table.before <= nth) - 1;
        let table = &self.tables[table];
        let mut left = nth - table.before;
        for (word, bits) in (0..).zip(table.bits.iter()) {
            let ones = u64::from(bits.count_ones());
            if left < ones {
                let inside = (0..64)
                    .filter(|bit| bits >> bit & 1 == 1)
                    .nth(super::small(left));
                return table.index * ENTRIES + word * 64 + inside.unwrap_or_default();
            }
            left -= ones;
        }
        unreachable!("there are as many clusters with data as the tables say")
    }

    fn header(&self) -> Vec<u8> {
        let places = &self.places;
        let l1_entries = self.disk_bytes.div_ceil(ENTRIES * CLUSTER);
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let mut header = b"QFI\xfb".to_vec();
        header.extend(3_u32.to_be_bytes());
        // No backing file.
        header.extend([0; 12]);
        header.extend(CLUSTER_BITS.to_be_bytes());
        header.extend(self.disk_bytes.next_multiple_of(SECTOR).to_be_bytes());
        // No encryption.
        header.extend(0_u32.to_be_bytes());
        header.extend(small(l1_entries).to_be_bytes());
        header.extend((places.l1.start * CLUSTER).to_be_bytes());
        header.extend((places.refcount_table.start * CLUSTER).to_be_bytes());
        let length = places.refcount_table.end - places.refcount_table.start;
        header.extend(small(length).to_be_bytes());
        // No snapshots, and no features.
        header.extend([0; 36]);
        // Refcounts of 16 bits.
        header.extend(4_u32.to_be_bytes());
        header.extend(HEADER_BYTES.to_be_bytes());
        header
    }

    fn l1_entry(&self, index: u64) -> u64 {
        let found = self
            .tables
            .binary_search_by_key(&index, |table| table.index);
        found.map_or(0, |table| {
            ((self.places.l2.start + table as u64) * CLUSTER) | COPIED
        })
    }

    fn l2_entries(&self, table: &Table) -> Vec<u8> {
        let mut next = self.places.data.start + table.before;
        words((0..ENTRIES).map(|entry| {
            if !table.has(entry) {
                return 0;
            }
            next += 1;
            ((next - 1) * CLUSTER) | COPIED
        }))
    }
}

impl Table {
    fn has(&self, entry: u64) -> bool {
        self.bits[super::small(entry / 64)] >> (entry % 64) & 1 == 1
    }

    fn count(&self) -> u64 {
        self.bits
            .iter()
            .map(|bits| u64::from(bits.count_ones()))
            .sum()
    }
}

impl Places {
    fn of(l1: u64, l2: u64, data: u64) -> Self {
        // The refcounts count themselves, too.
        let (mut table, mut blocks) = (1, 1);
        loop {
            let all = 1 + l1 + table + blocks + l2 + data;
            let needed = all.div_ceil(COUNTS);
            if (needed, needed.div_ceil(ENTRIES)) == (blocks, table) {
                break;
            }
            (blocks, table) = (needed, needed.div_ceil(ENTRIES));
        }
        let mut next = 1;
        let mut take = |clusters: u64| {
            next += clusters;
            next - clusters..next
        };
        Self {
            l1: take(l1),
            refcount_table: take(table),
            refcount_blocks: take(blocks),
            l2: take(l2),
            data: take(data),
        }
    }
}

fn words(words: impl Iterator<Item = u64>) -> Vec<u8> {
    words.flat_map(u64::to_be_bytes).collect()
}
