//! What a machine reads of a disk when it starts, so that the next start of the same disk finds it at hand.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// A disk is remembered by areas of this size, about that of a frame.
const AREA_BYTES: u64 = 256 << 10;
/// 64 MiB; a small Linux reads 50 from its disk until it is there.
const AREAS_MAX: usize = 256;

/// Writes down which areas are read first, in their order.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    read: Mutex<Read>,
    /// Rung by the first read.
    pub(crate) has_begun: Notify,
}

#[derive(Debug, Default)]
struct Read {
    areas: Vec<u64>,
    known: HashSet<u64>,
    has_ended: bool,
}

impl Recording {
    pub(crate) fn note(&self, offset: u64, length: u64) {
        let mut read = self.lock();
        if read.has_ended || length == 0 {
            return;
        }
        if read.areas.is_empty() {
            self.has_begun.notify_one();
        }
        for area in offset / AREA_BYTES..=(offset + length - 1) / AREA_BYTES {
            if read.known.insert(area) {
                read.areas.push(area);
            }
        }
        read.has_ended = read.areas.len() >= AREAS_MAX;
    }

    /// Nothing more is noted.
    pub(crate) fn end(&self) -> Vec<u64> {
        let mut read = self.lock();
        read.has_ended = true;
        read.areas.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        // Whoever panicked did so between two whole changes of it.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the areas in a file, one number in a line. A crash costs the next start its help.
pub(crate) fn save(file: &Path, areas: &[u64]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let lines: Vec<_> = areas.iter().map(u64::to_string).collect();
    let new = file.with_extension("new");
    fs::write(&new, lines.join("\n"))?;
    fs::rename(&new, file)
}

/// The parts of a disk of `size_bytes` that the file names, as many as fit into `room_bytes`; none if there is no such file, or
/// it is of something else.
pub(crate) fn load(file: &Path, size_bytes: u64, room_bytes: usize) -> Vec<Range<u64>> {
    let room = room_bytes as u64 / AREA_BYTES;
    let most = usize::try_from(room).unwrap_or(AREAS_MAX).min(AREAS_MAX);
    let text = fs::read_to_string(file).unwrap_or_default();
    let areas = text.lines().map_while(|line| line.parse::<u64>().ok());
    let ranges = areas.take(most).filter_map(|area| {
        let start = area.checked_mul(AREA_BYTES)?;
        let end = start.saturating_add(AREA_BYTES).min(size_bytes);
        (start < end).then_some(start..end)
    });
    ranges.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 64 << 20;

    #[test]
    fn areas_are_kept_in_the_order_of_their_first_reads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("starts/disk");
        assert_eq!(load(&file, u64::MAX, ROOM), []);
        let recording = Recording::default();
        for (offset, length) in [
            (5 * AREA_BYTES + 7, 512),
            (0, 0),
            (AREA_BYTES - 1, 2),
            (9, 9),
        ] {
            recording.note(offset, length);
        }
        let areas = recording.end();
        recording.note(70 * AREA_BYTES, 1);
        assert_eq!(recording.end(), areas);
        save(&file, &areas).unwrap();
        let whole = |area: u64| area * AREA_BYTES..(area + 1) * AREA_BYTES;
        assert_eq!(load(&file, 1 << 30, ROOM), [5, 0, 1].map(whole));
        let little = 2 * usize::try_from(AREA_BYTES).unwrap() + 1;
        assert_eq!(load(&file, 1 << 30, little), [5, 0].map(whole));
        // A later point of the same disk may be smaller.
        assert_eq!(
            load(&file, AREA_BYTES + 3, ROOM),
            [whole(0), AREA_BYTES..AREA_BYTES + 3]
        );
        fs::write(&file, "5\nnothing\n1\n").unwrap();
        assert_eq!(load(&file, 1 << 30, ROOM), [whole(5)]);
    }

    #[test]
    fn who_reads_everything_is_soon_forgotten_about() {
        let recording = Recording::default();
        for area in 0..10 * AREAS_MAX as u64 {
            recording.note(area * AREA_BYTES, AREA_BYTES);
        }
        assert_eq!(recording.end().len(), AREAS_MAX);
    }
}
