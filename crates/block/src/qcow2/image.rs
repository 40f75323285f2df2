//! Reading: from an offset of the disk to bytes.

use super::backing::Layer;
use super::entry::{Mapping, table_offset};
use super::tables::Tables;
use super::{Chain, Header, small, words_from_bytes};
use crate::file::{ImageFile, Purpose};
use crate::{BlockSource, Error, Extent, Result};

/// One call of `next_extent` merges at most so many pieces, so that its cost has a bound.
const MAX_MERGED_PIECES: usize = 1024;

pub(crate) struct Image {
    pub(super) file: ImageFile,
    pub(super) header: Header,
    pub(super) l1: Vec<u64>,
    pub(super) tables: Tables,
    pub(super) backing: Option<Layer>,
    /// The compressed cluster that was read last, by its number on the disk.
    decompressed: Option<(u64, Vec<u8>)>,
    /// The run that was looked up last, by its first byte.
    pub(super) last_run: Option<(u64, Run)>,
}

/// A stretch of the disk that comes from one place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    mapping: Mapping,
    length: u64,
}

impl Image {
    /// Opens the image in `file` and all below it.
    pub(crate) fn open(file: ImageFile, chain: &mut Chain) -> Result<Self> {
        chain.enter(&file)?;
        let header = Header::read(&file)?;
        let mut l1 = vec![0; small(u64::from(header.l1_entries) * 8)];
        file.read_at(header.l1_offset, &mut l1)?;
        Ok(Self {
            backing: chain.open_below(file.path(), &header, Purpose::Backing)?,
            l1: words_from_bytes(&l1),
            tables: Tables::new(&header, chain.depth()),
            decompressed: None,
            last_run: None,
            file,
            header,
        })
    }

    /// Where the L2 table at `index` of the L1 table lies.
    pub(super) fn table_offset(&self, index: u64) -> Result<Option<u64>> {
        let cluster = self.header.cluster_bytes();
        let offset = table_offset(self.l1[small(index)]);
        match offset.map_err(|detail| self.corrupt_table(index, detail))? {
            Some(offset) if !self.header.lies_inside(&self.file, offset, cluster) => {
                Err(self.corrupt_table(index, "it does not lie inside the file"))
            }
            offset => Ok(offset),
        }
    }

    /// What the bytes from `offset` on are, for `limit` bytes at most.
    fn run_at(&mut self, offset: u64, limit: u64) -> Result<Run> {
        if let Some((start, run)) = self.last_run
            && offset >= start
            && offset - start < run.length
        {
            return Ok(run.skip(offset - start).up_to(limit));
        }
        let run = self.find_run(offset, limit)?;
        self.last_run = Some((offset, run));
        Ok(run)
    }

    fn find_run(&mut self, offset: u64, limit: u64) -> Result<Run> {
        let span = self.header.table_span_bytes();
        let index = offset / span;
        let limit = limit.min(span - offset % span);
        let Some(table) = self.table_offset(index)? else {
            return Ok(Run {
                mapping: Mapping::Below,
                length: limit,
            });
        };
        let table = self.tables.get(&self.file, &self.header, index, table)?;
        let mut run: Option<Run> = None;
        let mut length = 0;
        while length < limit {
            let position = offset + length;
            let cluster = (position % span) >> self.header.cluster_bits;
            let inside = position % self.header.cluster_bytes();
            let entry = table.entry(&self.header, cluster);
            let (mapping, piece) = match entry.mapping(&self.header, inside) {
                Ok(found) => found,
                Err(detail) => return Err(self.corrupt_entry(position, detail)),
            };
            match run {
                None => run = Some(Run { mapping, length: 0 }),
                Some(run) if mapping.continues(run.mapping, length) => {}
                Some(_) => break,
            }
            length += piece;
        }
        let mapping = run.map_or(Mapping::Below, |run| run.mapping);
        Ok(Run {
            mapping,
            length: length.min(limit),
        })
    }

    /// As `run_at`, but says only whether there is anything to read.
    pub(super) fn piece_at(&mut self, offset: u64, limit: u64) -> Result<Extent> {
        let run = self.run_at(offset, limit)?;
        match run.mapping {
            Mapping::Zeros => Ok(Extent::hole(run.length)),
            Mapping::Compressed { .. } => Ok(Extent::data(run.length)),
            Mapping::Data(host) => {
                self.check_data(offset, host, run.length)?;
                // A preallocated image consists of clusters that nothing was written to yet.
                Ok(self.file.next_extent(host)?.up_to(run.length))
            }
            Mapping::Below => match &mut self.backing {
                None => Ok(Extent::hole(run.length)),
                Some(backing) => backing.piece_at(offset, run.length),
            },
        }
    }

    fn read_below(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let Some(backing) = &mut self.backing else {
            buffer.fill(0);
            return Ok(());
        };
        let present = backing.size_bytes().saturating_sub(offset);
        let present = present.min(buffer.len() as u64);
        let (inside, beyond) = buffer.split_at_mut(small_or_max(present));
        beyond.fill(0);
        if inside.is_empty() {
            return Ok(());
        }
        backing.read_at(offset, inside)
    }

    /// The decompressed cluster that holds the byte at `offset` of the disk.
    fn decompress(&mut self, offset: u64, host: u64, length: u64) -> Result<&[u8]> {
        let number = offset >> self.header.cluster_bits;
        let mut cluster = match self.decompressed.take() {
            Some((cached, cluster)) if cached == number => {
                return Ok(&self.decompressed.insert((cached, cluster)).1);
            }
            Some((_, cluster)) => cluster,
            None => vec![0; small(self.header.cluster_bytes())],
        };
        // The last compressed cluster may say that it is longer than the file.
        let length = length.min(self.file.size_bytes().saturating_sub(host));
        let mut input = vec![0; small(length)];
        self.file.read_at(host, &mut input)?;
        if !self.header.compression.decompress(&input, &mut cluster) {
            return Err(self.corrupt_entry(offset, "a cluster cannot be decompressed"));
        }
        Ok(&self.decompressed.insert((number, cluster)).1)
    }

    fn check_data(&self, offset: u64, host: u64, length: u64) -> Result<()> {
        let end = host.checked_add(length);
        if end.is_some_and(|end| end <= self.file.size_bytes()) {
            return Ok(());
        }
        Err(self.corrupt_entry(offset, "a cluster lies behind the end of the file"))
    }

    pub(super) fn corrupt_entry(&self, offset: u64, detail: &str) -> Error {
        let detail = format!("{detail} (at byte {offset} of the disk)");
        Error::corrupt(self.file.path(), detail)
    }

    pub(super) fn corrupt_table(&self, index: u64, detail: &str) -> Error {
        let detail = format!("the L2 table {index} is wrong: {detail}");
        Error::corrupt(self.file.path(), detail)
    }
}

impl Run {
    fn skip(self, distance: u64) -> Self {
        let mapping = match self.mapping {
            Mapping::Data(host) => Mapping::Data(host + distance),
            other => other,
        };
        Self {
            mapping,
            length: self.length - distance,
        }
    }

    fn up_to(self, limit: u64) -> Self {
        Self {
            length: self.length.min(limit),
            ..self
        }
    }
}

impl BlockSource for Image {
    fn size_bytes(&self) -> u64 {
        self.header.size_bytes
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        let rest = self.header.size_bytes.saturating_sub(offset);
        if rest == 0 {
            return Ok(Extent::hole(0));
        }
        let mut extent = self.piece_at(offset, rest)?;
        for _ in 1..MAX_MERGED_PIECES {
            if extent.length == rest {
                break;
            }
            let next = self.piece_at(offset + extent.length, rest - extent.length)?;
            if next.kind != extent.kind {
                break;
            }
            extent.length += next.length;
        }
        Ok(extent)
    }

    fn read_at(&mut self, mut offset: u64, mut buffer: &mut [u8]) -> Result<()> {
        let size = self.header.size_bytes;
        self.file.check_range(size, offset, buffer.len() as u64)?;
        while !buffer.is_empty() {
            let run = self.run_at(offset, buffer.len() as u64)?;
            let (piece, rest) = buffer.split_at_mut(small_or_max(run.length));
            match run.mapping {
                Mapping::Below => self.read_below(offset, piece)?,
                Mapping::Zeros => piece.fill(0),
                Mapping::Data(host) => {
                    self.check_data(offset, host, run.length)?;
                    self.file.read_at(host, piece)?;
                }
                Mapping::Compressed {
                    offset: host,
                    length,
                } => {
                    let inside = small(offset % self.header.cluster_bytes());
                    let cluster = self.decompress(offset, host, length)?;
                    piece.copy_from_slice(&cluster[inside..inside + piece.len()]);
                }
            }
            offset += run.length;
            buffer = rest;
        }
        Ok(())
    }
}

impl Mapping {
    /// Do bytes of this mapping, `distance` after the first ones, belong to the same run?
    fn continues(self, first: Self, distance: u64) -> bool {
        match (first, self) {
            (Self::Data(start), Self::Data(here)) => here == start + distance,
            (Self::Below, Self::Below) | (Self::Zeros, Self::Zeros) => true,
            _ => false,
        }
    }
}

/// A length that is at most that of a buffer in memory.
fn small_or_max(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
