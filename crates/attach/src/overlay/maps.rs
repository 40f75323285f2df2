use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::grains::GRAIN_BYTES;
use super::header::{Boot, Header};

/// Which grains are here, in memory and in the two maps of the file.
#[derive(Debug)]
pub(super) struct Maps {
    safe_offset: u64,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    bits: Vec<u8>,
    /// Bytes of the map that changed since they were last made safe.
    unsafe_bytes: Range<usize>,
}

/// A part of the disk that is here as a whole, or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) is_here: bool,
}

impl Maps {
    /// Trusts the running map if the kernel that has the file's pages in its memory is `boot`, and the safe map
    /// otherwise, which then becomes the running one.
    pub(super) fn read(file: &File, header: &Header, boot: Option<&Boot>) -> io::Result<Self> {
        let length = usize::try_from(header.map_bytes()).map_err(io::Error::other)?;
        let mut bits = vec![0; length];
        let of_this_boot = boot.is_some_and(|boot| *boot != [0; size_of::<Boot>()])
            && boot == Some(&Header::read_boot(file)?);
        if of_this_boot {
            file.read_exact_at(&mut bits, Header::running_offset())?;
        } else {
            file.read_exact_at(&mut bits, header.safe_offset())?;
            file.write_all_at(&bits, Header::running_offset())?;
            // Until then the file is one of another boot, however this ends.
            if let Some(boot) = boot {
                Header::write_boot(file, boot)?;
            }
        }
        let state = State {
            bits,
            unsafe_bytes: if of_this_boot { 0..length } else { 0..0 },
        };
        Ok(Self {
            safe_offset: header.safe_offset(),
            state: RwLock::new(state),
        })
    }

    pub(super) fn holds(&self, grain: u64) -> bool {
        self.read_state().holds(grain)
    }

    /// The range, cut where grains that are here meet others.
    pub(super) fn runs(&self, range: Range<u64>) -> Vec<Run> {
        let state = self.read_state();
        let mut runs: Vec<Run> = Vec::new();
        let mut start = range.start;
        while start < range.end {
            let grain = start / GRAIN_BYTES;
            let end = ((grain + 1) * GRAIN_BYTES).min(range.end);
            let is_here = state.holds(grain);
            match runs.last_mut() {
                Some(last) if last.is_here == is_here => last.end = end,
                _ => runs.push(Run {
                    start,
                    end,
                    is_here,
                }),
            }
            start = end;
        }
        runs
    }

    /// Adds grains whose data was written. Who reads finds them once this returns, and so does the next process.
    pub(super) fn add(&self, file: &File, grains: Range<u64>) -> io::Result<()> {
        let mut state = self.write_state();
        let bytes = byte_of(grains.start)..byte_of(grains.end - 1) + 1;
        let before = state.bits[bytes.clone()].to_vec();
        for grain in grains {
            state.bits[byte_of(grain)] |= 1 << (grain % 8);
        }
        let place = Header::running_offset() + bytes.start as u64;
        let written = file.write_all_at(&state.bits[bytes.clone()], place);
        if written.is_err() {
            state.bits[bytes].copy_from_slice(&before);
            return written;
        }
        let changed = &mut state.unsafe_bytes;
        *changed = if changed.start == changed.end {
            bytes
        } else {
            changed.start.min(bytes.start)..changed.end.max(bytes.end)
        };
        Ok(())
    }

    /// What changed since it was last asked for: bytes of the map from a place on. To be made safe when all data that
    /// was written until now is.
    pub(super) fn unsafe_part(&self) -> (usize, Vec<u8>) {
        let mut state = self.write_state();
        let changed = std::mem::take(&mut state.unsafe_bytes);
        (changed.start, state.bits[changed].to_vec())
    }

    /// Returns whether there was anything to write.
    pub(super) fn make_safe(&self, file: &File, part: (usize, Vec<u8>)) -> io::Result<bool> {
        let (start, bits) = part;
        file.write_all_at(&bits, self.safe_offset + start as u64)?;
        Ok(!bits.is_empty())
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn holds(&self, grain: u64) -> bool {
        self.bits[byte_of(grain)] & (1 << (grain % 8)) != 0
    }
}

fn byte_of(grain: u64) -> usize {
    usize::try_from(grain / 8).expect("the map is in memory")
}
