//! Tiny disks: a few islands of blocks in a sea of holes, each block known by a number.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::random::{Random, mix};

pub(crate) const BLOCK: u64 = 4096;
const BLOCKS_MAX: u64 = 6 << 10;
const ISLAND_BLOCKS: u64 = 24;

/// What a disk holds. Blocks that are not named are zero.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Disk {
    pub(crate) size_bytes: u64,
    blocks: BTreeMap<u64, u64>,
}

/// A stretch of a disk.
#[derive(Debug)]
pub(crate) enum Stretch {
    Hole(u64),
    Data(Vec<u8>),
}

impl Disk {
    pub(crate) fn new(random: &mut Random) -> Self {
        let mut disk = Self {
            size_bytes: (1 + random.below(BLOCKS_MAX)) * BLOCK,
            blocks: BTreeMap::new(),
        };
        if random.one_in(3) {
            disk.size_bytes -= random.below(BLOCK);
        }
        for _ in 0..=random.below(3) {
            disk.overwrite(random, ISLAND_BLOCKS);
        }
        disk
    }

    fn block_count(&self) -> u64 {
        self.size_bytes.div_ceil(BLOCK)
    }

    fn place(&self, random: &mut Random) -> u64 {
        // Most disks are used at their beginning.
        let reach = match random.below(3) {
            0 => self.block_count(),
            _ => self.block_count().min(64),
        };
        random.below(reach)
    }

    fn overwrite(&mut self, random: &mut Random, blocks: u64) {
        let start = self.place(random);
        let end = (start + 1 + random.below(blocks)).min(self.block_count());
        for block in start..end {
            self.blocks.insert(block, random.next());
        }
    }

    /// A day in the life of the disk.
    pub(crate) fn change(&mut self, random: &mut Random) {
        match random.below(6) {
            0 | 1 => self.overwrite(random, 8),
            2 => {
                for _ in 0..4 {
                    self.overwrite(random, 1);
                }
            }
            3 => {
                // Data moves, or is copied.
                let (from, to) = (self.place(random), self.place(random));
                for step in 0..16 {
                    if let Some(block) = self.blocks.get(&(from + step)).copied()
                        && to + step < self.block_count()
                    {
                        self.blocks.insert(to + step, block);
                    }
                }
            }
            4 => {
                let start = self.place(random);
                self.blocks
                    .retain(|block, _| !(start..start + 12).contains(block));
            }
            _ => {
                self.size_bytes = (1 + random.below(BLOCKS_MAX)) * BLOCK;
                let count = self.block_count();
                self.blocks.retain(|block, _| *block < count);
            }
        }
    }

    /// The whole disk in order.
    pub(crate) fn stretches(&self) -> Vec<Stretch> {
        let mut stretches = Vec::new();
        let mut position = 0;
        for (block, content) in &self.blocks {
            let start = block * BLOCK;
            if start > position {
                stretches.push(Stretch::Hole(start - position));
            }
            let mut bytes = bytes_of(*content);
            let length = (self.size_bytes - start).min(BLOCK);
            bytes.truncate(usize::try_from(length).expect("a block"));
            position = start + length;
            match stretches.last_mut() {
                Some(Stretch::Data(data)) => data.extend(bytes),
                _ => stretches.push(Stretch::Data(bytes)),
            }
        }
        if position < self.size_bytes {
            stretches.push(Stretch::Hole(self.size_bytes - position));
        }
        stretches
    }

    /// The blocks that hold something else than those of `earlier`, up to the end of the smaller disk.
    pub(crate) fn changes_since(&self, earlier: &Self) -> Vec<Range<u64>> {
        let common = self.size_bytes.min(earlier.size_bytes);
        let both: BTreeSet<u64> = self
            .blocks
            .keys()
            .chain(earlier.blocks.keys())
            .copied()
            .collect();
        let differs = |block: &u64| self.blocks.get(block) != earlier.blocks.get(block);
        let changed = both.into_iter().filter(differs).map(|block| {
            let start = block * BLOCK;
            start.min(common)..(start + BLOCK).min(common)
        });
        changed.filter(|range| !range.is_empty()).collect()
    }

    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8]) {
        let mut position = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let inside = usize::try_from(position % BLOCK).expect("within a block");
            let (now, later) = rest.split_at_mut((4096 - inside).min(rest.len()));
            match self.blocks.get(&(position / BLOCK)) {
                Some(content) => {
                    now.copy_from_slice(&bytes_of(*content)[inside..inside + now.len()]);
                }
                None => now.fill(0),
            }
            position += now.len() as u64;
            rest = later;
        }
    }

    pub(crate) fn bytes(&self, range: Range<u64>) -> Vec<u8> {
        let length = usize::try_from(range.end - range.start).expect("tiny");
        let mut bytes = vec![0; length];
        self.read(range.start, &mut bytes);
        bytes
    }

    /// Is this what the disk holds at the offset?
    pub(crate) fn holds(&self, offset: u64, data: &[u8]) -> bool {
        if offset + data.len() as u64 > self.size_bytes {
            return false;
        }
        let mut rest = data;
        let mut position = offset;
        while !rest.is_empty() {
            let inside = usize::try_from(position % BLOCK).expect("within a block");
            let length = rest.len().min(4096 - inside);
            let (now, later) = rest.split_at(length);
            let same = match self.blocks.get(&(position / BLOCK)) {
                Some(content) => bytes_of(*content)[inside..inside + length] == *now,
                None => now.iter().all(|byte| *byte == 0),
            };
            if !same {
                return false;
            }
            position += length as u64;
            rest = later;
        }
        true
    }

    /// Is it all zero there?
    pub(crate) fn is_hole(&self, offset: u64, length: u64) -> bool {
        let blocks = offset / BLOCK..(offset + length).div_ceil(BLOCK);
        offset + length <= self.size_bytes && self.blocks.range(blocks).next().is_none()
    }
}

/// Every other block compresses well.
fn bytes_of(content: u64) -> Vec<u8> {
    let pattern = if content.is_multiple_of(2) { 8 } else { 512 };
    let words: Vec<u8> = (0..pattern)
        .flat_map(|word| mix(content ^ (word << 20)).to_le_bytes())
        .collect();
    words.repeat(4096 / words.len())
}
