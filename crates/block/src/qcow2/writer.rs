//! Writing in place: where bytes go, and what becomes of what was there.
//!
//! Clusters that belong to the disk alone are overwritten. All others (unallocated, compressed, or
//! shared with an internal snapshot) are written to new clusters, of which the file's tables learn
//! only in a commit.

use std::collections::BTreeSet;
use std::ops::Range;

use super::entry::{COPIED, Entry, HostRange};
use super::header::AUTOCLEAR_FIELD;
use super::refcounts::Refcounts;
use super::{Chain, Image, small};
use crate::file::ImageFile;
use crate::{BlockSink, BlockSource, Error, Extent, Result};

/// A commit is made when so many pieces of the file wait to be given back.
const MAX_WAITING_PIECES: usize = 1 << 16;

pub(crate) struct Writer {
    pub(super) image: Image,
    pub(super) refcounts: Refcounts,
    /// Entries of the L1 table that the file does not have yet.
    pub(super) new_l1: BTreeSet<u64>,
    /// What the tables in memory no longer refer to and those in the file may still do.
    pub(super) unused: Vec<HostRange>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing was changed so far.
    Untouched,
    Ready,
    /// A commit failed half-way: what the file holds is sound, what memory holds is not known.
    Failed,
}

impl Writer {
    pub(crate) fn open(file: ImageFile) -> Result<Self> {
        let image = Image::open(file, &mut Chain::default())?;
        let (file, header) = (&image.file, &image.header);
        if header.is_dirty() || header.is_marked_corrupt() {
            let what = "it is marked as damaged; repair it with `qemu-img check -r all` first";
            return Err(Error::unsupported(file.path(), what));
        }
        let mut refcounts = Refcounts::open(file, header)?;
        refcounts.protect(header.l1_offset, image.l1.len() as u64 * 8);
        if header.snapshots_offset != 0 {
            refcounts.protect(header.snapshots_offset, 1);
        }
        for index in 0..image.l1.len() as u64 {
            if let Some(offset) = image.table_offset(index)? {
                refcounts.protect(offset, header.cluster_bytes());
            }
        }
        Ok(Self {
            image,
            refcounts,
            new_l1: BTreeSet::new(),
            unused: Vec::new(),
            state: State::Untouched,
        })
    }

    /// Makes sure that changes may be made, and that there is room to remember them.
    pub(super) fn begin_change(&mut self) -> Result<()> {
        match self.state {
            State::Failed => {
                let source = std::io::Error::other("an earlier flush of this image failed");
                return Err(Error::from_io(self.image.file.path(), source));
            }
            State::Untouched if self.image.header.autoclear != 0 => {
                // These bits vouch for bitmaps and the like, which will no longer be true.
                let file = &mut self.image.file;
                file.write_at(AUTOCLEAR_FIELD, &[0; 8])?;
                file.sync()?;
            }
            State::Untouched | State::Ready => {}
        }
        self.state = State::Ready;
        let is_full = self.image.tables.has_many_dirty() || self.unused.len() > MAX_WAITING_PIECES;
        if is_full { self.commit() } else { Ok(()) }
    }

    /// Brings the file's tables up to date, so that a power cut at any moment loses no data.
    fn commit(&mut self) -> Result<()> {
        self.state = State::Failed;
        self.commit_steps()?;
        self.state = State::Ready;
        Ok(())
    }

    /// The entry of a cluster of the disk.
    pub(super) fn entry(&mut self, cluster: u64) -> Result<Entry> {
        let per_table = self.image.header.entries_per_table();
        let (index, place) = (cluster / per_table, cluster % per_table);
        let Some(offset) = self.image.table_offset(index)? else {
            return Ok(Entry::default());
        };
        let Image {
            file,
            header,
            tables,
            ..
        } = &mut self.image;
        Ok(tables
            .get(file, header, index, offset)?
            .entry(header, place))
    }

    /// Changes the entry of a cluster in memory; what it referred to will be given back.
    pub(super) fn replace(&mut self, cluster: u64, entry: Entry) -> Result<()> {
        self.image.last_run = None;
        let old = self.entry(cluster)?;
        let position = cluster << self.image.header.cluster_bits;
        let range = old.host_range(&self.image.header);
        let range = range.map_err(|detail| self.image.corrupt_entry(position, detail))?;
        if range.is_some_and(|range| self.refcounts.is_protected(range.offset)) {
            return Err(self
                .image
                .corrupt_entry(position, "data overlap the metadata"));
        }
        let per_table = self.image.header.entries_per_table();
        let (index, place) = (cluster / per_table, cluster % per_table);
        let offset = self.own_table(index)?;
        let Image {
            file,
            header,
            tables,
            ..
        } = &mut self.image;
        let table = tables.get(file, header, index, offset)?;
        table.set_entry(header, place, entry);
        self.unused.extend(range);
        Ok(())
    }

    /// Makes the L2 table at `index` one that may be changed, and returns where it lies.
    fn own_table(&mut self, index: u64) -> Result<u64> {
        let old = self.image.table_offset(index)?;
        if let Some(offset) = old
            && self.image.l1[small(index)] & COPIED != 0
        {
            let count = self.refcounts.get(&mut self.image.file, offset)?;
            if count == 1 {
                return Ok(offset);
            }
            return Err(self
                .image
                .corrupt_table(index, "it is shared but not marked so"));
        }
        let Image {
            file,
            header,
            tables,
            ..
        } = &mut self.image;
        let length = header.cluster_bytes();
        let words = match old {
            None => vec![0; small(length / 8)],
            Some(old) => tables.get(file, header, index, old)?.words().to_vec(),
        };
        let offset = self.refcounts.allocate(file)?;
        // Nothing refers to it yet; but a full disk shows now, not in the middle of a commit.
        if let Err(error) = file.write_at(offset, &vec![0; small(length)]) {
            self.refcounts.release(file, offset, length)?;
            return Err(error);
        }
        self.refcounts.protect(offset, length);
        tables.insert(index, offset, words).is_dirty = true;
        self.image.l1[small(index)] = offset | COPIED;
        self.new_l1.insert(index);
        self.unused
            .extend(old.map(|offset| HostRange { offset, length }));
        Ok(offset)
    }

    /// Where the bytes at `offset` can be overwritten in place, and how many of `limit` can.
    fn own_run(&mut self, offset: u64, limit: u64) -> Result<Option<Range<u64>>> {
        let cluster_bytes = self.image.header.cluster_bytes();
        let mut run: Option<Range<u64>> = None;
        let mut position = offset;
        while position < offset + limit {
            let cluster = position / cluster_bytes;
            let inside = position % cluster_bytes;
            let Some(host) = self.own_host(cluster)? else {
                break;
            };
            let piece = (cluster_bytes - inside).min(offset + limit - position);
            match &mut run {
                None => run = Some(host + inside..host + inside + piece),
                Some(run) if run.end == host => run.end += piece,
                Some(_) => break,
            }
            position += piece;
        }
        Ok(run)
    }

    /// The place of a cluster that can be overwritten.
    fn own_host(&mut self, cluster: u64) -> Result<Option<u64>> {
        let entry = self.entry(cluster)?;
        let Some(host) = entry.own_host(&self.image.header) else {
            return Ok(None);
        };
        let is_own = self.refcounts.get(&mut self.image.file, host)? == 1;
        if !is_own || self.refcounts.is_protected(host) {
            let position = cluster << self.image.header.cluster_bits;
            let detail = "a cluster is shared but not marked so";
            return Err(self.image.corrupt_entry(position, detail));
        }
        Ok(Some(host))
    }

    /// Writes a part of a cluster to a new one, with the rest of the old content around it.
    fn rewrite_cluster(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let cluster_bytes = self.image.header.cluster_bytes();
        let cluster = offset / cluster_bytes;
        let start = cluster * cluster_bytes;
        let mut content = vec![0; small(cluster_bytes)];
        let present = cluster_bytes.min(self.image.header.size_bytes - start);
        self.image.read_at(start, &mut content[..small(present)])?;
        let inside = small(offset - start);
        content[inside..inside + data.len()].copy_from_slice(data);
        self.write_clusters(cluster, &content)
    }

    /// Writes whole clusters of one table to new places.
    fn write_clusters(&mut self, first: u64, data: &[u8]) -> Result<()> {
        let header = &self.image.header;
        let (cluster_bytes, per_table) = (header.cluster_bytes(), header.entries_per_table());
        self.own_table(first / per_table)?;
        let mut hosts = Vec::with_capacity(data.len() / small(cluster_bytes));
        if let Err(error) = self.write_to_new(data, &mut hosts) {
            // Nothing refers to them yet, so a full disk costs no space on top.
            for host in hosts {
                let file = &mut self.image.file;
                self.refcounts.release(file, host, cluster_bytes)?;
            }
            return Err(error);
        }
        for (cluster, host) in (first..).zip(hosts) {
            self.replace(cluster, Entry::data(host))?;
        }
        Ok(())
    }

    /// Spreads `data` over new clusters of the file, neighbours at once.
    fn write_to_new(&mut self, mut data: &[u8], hosts: &mut Vec<u64>) -> Result<()> {
        let cluster_bytes = self.image.header.cluster_bytes();
        let file = &mut self.image.file;
        for _ in 0..data.len() as u64 / cluster_bytes {
            hosts.push(self.refcounts.allocate(file)?);
        }
        for neighbours in hosts.chunk_by(|a, b| a + cluster_bytes == *b) {
            let (piece, rest) = data.split_at(neighbours.len() * small(cluster_bytes));
            file.write_at(neighbours[0], piece)?;
            data = rest;
        }
        Ok(())
    }

    /// How many bytes at the beginning of `data` are whole clusters of one table that must move.
    fn movable_bytes(&mut self, offset: u64, data: &[u8]) -> Result<u64> {
        let header = &self.image.header;
        let (cluster_bytes, span) = (header.cluster_bytes(), header.table_span_bytes());
        if !offset.is_multiple_of(cluster_bytes) {
            return Ok(0);
        }
        let limit = (data.len() as u64).min(span - offset % span);
        let mut length = 0;
        while length + cluster_bytes <= limit {
            // The first one is known to be not our own.
            if length > 0 && self.own_host((offset + length) / cluster_bytes)?.is_some() {
                break;
            }
            length += cluster_bytes;
        }
        Ok(length)
    }
}

impl BlockSink for Writer {
    fn size_bytes(&self) -> u64 {
        self.image.size_bytes()
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        self.image.next_extent(offset)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.image.read_at(offset, buffer)
    }

    fn write_at(&mut self, mut offset: u64, mut data: &[u8]) -> Result<()> {
        let size = self.image.size_bytes();
        let file = &self.image.file;
        file.check_range(size, offset, data.len() as u64)?;
        while !data.is_empty() {
            self.begin_change()?;
            let cluster_bytes = self.image.header.cluster_bytes();
            let done = if let Some(run) = self.own_run(offset, data.len() as u64)? {
                let length = run.end - run.start;
                self.image
                    .file
                    .write_at(run.start, &data[..small(length)])?;
                length
            } else {
                let whole = self.movable_bytes(offset, data)?;
                if whole > 0 {
                    self.write_clusters(offset / cluster_bytes, &data[..small(whole)])?;
                    whole
                } else {
                    let part = cluster_bytes - offset % cluster_bytes;
                    let part = part.min(data.len() as u64);
                    self.rewrite_cluster(offset, &data[..small(part)])?;
                    part
                }
            };
            offset += done;
            data = &data[small(done)..];
        }
        Ok(())
    }

    fn zero_range(&mut self, offset: u64, length: u64) -> Result<()> {
        let size = self.image.size_bytes();
        self.image.file.check_range(size, offset, length)?;
        self.zero(offset..offset + length)
    }

    fn flush(&mut self) -> Result<()> {
        if self.state == State::Untouched {
            return Ok(());
        }
        self.begin_change()?;
        self.commit()
    }
}
