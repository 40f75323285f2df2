//! Disks of some GiB that are mostly holes: blocks known by numbers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::support::*;
use crate::*;

pub(super) const BLOCK: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disk {
    pub(super) size_bytes: u64,
    /// Blocks that are not zero.
    pub(super) blocks: BTreeMap<u64, u64>,
}

impl Disk {
    pub(super) fn new(size_bytes: u64) -> Self {
        Self {
            size_bytes,
            blocks: BTreeMap::new(),
        }
    }

    /// Writes blocks with numbers from `seed` on, as far as the disk goes.
    pub(super) fn fill(&mut self, blocks: Range<u64>, seed: u64) {
        let end = blocks.end.min(self.size_bytes.div_ceil(BLOCK));
        for block in blocks.start..end {
            self.blocks.insert(block, seed + block);
        }
    }

    pub(super) fn clear(&mut self, blocks: Range<u64>) {
        self.blocks.retain(|block, _| !blocks.contains(block));
    }

    pub(super) fn resize(&mut self, size_bytes: u64) {
        self.size_bytes = size_bytes;
        self.clear(size_bytes.div_ceil(BLOCK)..u64::MAX);
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) {
        let mut position = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let inside = usize::try_from(position % BLOCK).unwrap();
            let (now, later) = rest.split_at_mut((4096 - inside).min(rest.len()));
            match self.blocks.get(&(position / BLOCK)) {
                Some(number) => now.copy_from_slice(&content(*number)[inside..inside + now.len()]),
                None => now.fill(0),
            }
            position += now.len() as u64;
            rest = later;
        }
    }

    pub(super) fn bytes(&self, range: Range<u64>) -> Bytes {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        self.read(range.start, &mut bytes);
        bytes.into()
    }

    /// Where the other disk holds something else, in pieces of a grid, up to the end of the smaller one.
    pub(super) fn changes(&self, other: &Self, grid: u64) -> Vec<Range<u64>> {
        let common = self.size_bytes.min(other.size_bytes);
        let all = self.blocks.keys().chain(other.blocks.keys());
        let differs = |block: &&u64| self.blocks.get(block) != other.blocks.get(block);
        let pieces = all.filter(differs).map(|block| block * BLOCK / grid);
        let pieces: std::collections::BTreeSet<u64> = pieces.collect();
        let mut changes: Vec<Range<u64>> = Vec::new();
        for piece in pieces {
            let range = (piece * grid).min(common)..((piece + 1) * grid).min(common);
            match changes.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ if range.is_empty() => {}
                _ => changes.push(range),
            }
        }
        changes
    }

    /// What is on the disk, in order: data, or nothing for a hole.
    fn stretches(&self, range: Range<u64>) -> Vec<(Range<u64>, bool)> {
        let mut stretches: Vec<(Range<u64>, bool)> = Vec::new();
        let mut push = |range: Range<u64>, is_data: bool| match stretches.last_mut() {
            _ if range.is_empty() => {}
            Some((last, is_last_data)) if *is_last_data == is_data => last.end = range.end,
            _ => stretches.push((range, is_data)),
        };
        let mut position = range.start;
        let first = range.start / BLOCK;
        for block in self.blocks.range(first..range.end.div_ceil(BLOCK)) {
            let start = (block.0 * BLOCK).max(range.start);
            let end = ((block.0 + 1) * BLOCK).min(range.end);
            push(position..start, false);
            push(start..end, true);
            position = end;
        }
        push(position..range.end, false);
        stretches
    }

    pub(super) async fn write(&self, writer: &mut PointWriter, range: Range<u64>) -> Result<()> {
        for (range, is_data) in self.stretches(range) {
            if is_data {
                writer.write(self.bytes(range)).await?;
            } else {
                writer.hole(range.end - range.start).await?;
            }
        }
        Ok(())
    }

    pub(super) fn new_point(&self, name: &str) -> NewPoint {
        NewPoint {
            size_bytes: self.size_bytes,
            ..new_point(name, 0)
        }
    }

    /// Backs up the disk as it is read whole.
    pub(super) async fn back_up(&self, repository: &Repository, name: &str) -> Result<Commit> {
        let mut writer = repository.begin_point(self.new_point(name)).await?;
        self.write(&mut writer, 0..self.size_bytes).await?;
        writer.commit().await
    }

    /// Backs up what is in `changes`, and vouches for everything else up to the end of the parent. Also returns how many
    /// bytes were read again.
    pub(super) async fn back_up_changes(
        &self,
        repository: &Repository,
        name: &str,
        changes: &[Range<u64>],
    ) -> Result<(Commit, u64)> {
        let (writer, read) = self.begin_over(repository, name).await?;
        let commit = self.commit_changes(writer, changes).await?;
        Ok((commit, read.load(Ordering::SeqCst)))
    }

    /// The same, with the bytes that would be read again among the changes, as far as that is known beforehand.
    pub(super) async fn back_up_with_borders(
        &self,
        repository: &Repository,
        name: &str,
        changes: &[Range<u64>],
    ) -> Result<(Commit, u64)> {
        let (mut writer, read) = self.begin_over(repository, name).await?;
        let mut carriable = writer.take_carriable().unwrap();
        let common = writer.parent().unwrap().size_bytes.min(self.size_bytes);
        let starts = std::iter::once(0).chain(changes.iter().map(|change| change.end));
        let ends = changes.iter().map(|change| change.start);
        let unchanged: Vec<_> = starts.zip(ends.chain([common])).collect();
        let carried = tokio::task::spawn_blocking(move || {
            let unchanged = unchanged.into_iter();
            let parts = unchanged.map(|(start, end)| carriable.part_of(start..end));
            parts.collect::<Vec<_>>()
        });
        let carried = carried.await.unwrap();
        let starts = std::iter::once(0).chain(carried.iter().map(|part| part.end));
        let ends = carried.iter().map(|part| part.start).chain([common]);
        let changes: Vec<_> = starts.zip(ends).map(|(start, end)| start..end).collect();
        let commit = self.commit_changes(writer, &changes).await?;
        Ok((commit, read.load(Ordering::SeqCst)))
    }

    /// Also counts what is read again.
    async fn begin_over(
        &self,
        repository: &Repository,
        name: &str,
    ) -> Result<(PointWriter, Arc<AtomicU64>)> {
        let (reread, read) = self.reread();
        let writer = repository.begin_point_over(self.new_point(name), reread);
        Ok((writer.await?, read))
    }

    async fn commit_changes(
        &self,
        mut writer: PointWriter,
        changes: &[Range<u64>],
    ) -> Result<Commit> {
        let common = writer.parent().unwrap().size_bytes.min(self.size_bytes);
        let mut position = 0;
        for change in changes {
            writer.unchanged(change.start - position).await?;
            self.write(&mut writer, change.clone()).await?;
            position = change.end;
        }
        writer.unchanged(common - position).await?;
        self.write(&mut writer, common..self.size_bytes).await?;
        writer.commit().await
    }

    /// Reads this disk, and counts the bytes.
    pub(super) fn reread(&self) -> (Reread, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        let (disk, counter) = (self.clone(), Arc::clone(&read));
        let reread = move |offset, buffer: &mut [u8]| {
            disk.read(offset, buffer);
            counter.fetch_add(buffer.len() as u64, Ordering::SeqCst);
            Ok(())
        };
        (Box::new(reread), read)
    }

    pub(super) async fn is_restored(&self, repository: &Repository, id: &PointId) -> bool {
        let mut reader = repository.read_point(id).await.unwrap();
        assert_eq!(reader.size_bytes(), self.size_bytes);
        while let Some(segment) = reader.next().await.unwrap() {
            let start = segment.offset;
            let right = match segment.content {
                Content::Data(data) => data == self.bytes(start..start + data.len() as u64),
                Content::Hole(length) => {
                    let stretches = self.stretches(start..start + length);
                    stretches.iter().all(|(_, is_data)| !is_data)
                }
            };
            if !right {
                return false;
            }
        }
        true
    }
}

fn content(number: u64) -> [u8; 4096] {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = [0; 4096];
    for word in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word.copy_from_slice(&state.to_le_bytes());
    }
    bytes
}
