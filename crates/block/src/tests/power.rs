//! A power cut for one thread: writes stop at a chosen one, and what was not synced may be lost.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;

thread_local! {
    static SUPPLY: RefCell<Option<Supply>> = const { RefCell::new(None) };
}

struct Supply {
    writes_left: usize,
    /// What lay under each write since the last sync.
    unsynced: Vec<Undo>,
}

pub(crate) struct Undo {
    offset: u64,
    bytes: Vec<u8>,
}

/// Lets `writes` more writes of this thread succeed.
pub(crate) fn limit_to(writes: usize) {
    let unsynced = Vec::new();
    let supply = Supply {
        writes_left: writes,
        unsynced,
    };
    SUPPLY.set(Some(supply));
}

/// Ends the limit; returns how to take back what was not synced, oldest first.
pub(crate) fn restore() -> Vec<Undo> {
    SUPPLY
        .take()
        .map_or_else(Vec::new, |supply| supply.unsynced)
}

pub(crate) fn before_write(file: &File, offset: u64, length: usize) -> io::Result<()> {
    SUPPLY.with_borrow_mut(|supply| {
        let Some(supply) = supply else { return Ok(()) };
        if supply.writes_left == 0 {
            return Err(Errno::EIO.into());
        }
        supply.writes_left -= 1;
        let mut bytes = vec![0; length];
        let mut known = 0;
        while known < length {
            match file.read_at(&mut bytes[known..], offset + known as u64)? {
                // Behind the end there is nothing to bring back but zeros.
                0 => break,
                count => known += count,
            }
        }
        supply.unsynced.push(Undo { offset, bytes });
        Ok(())
    })
}

pub(crate) fn after_sync() {
    SUPPLY.with_borrow_mut(|supply| {
        if let Some(supply) = supply {
            supply.unsynced.clear();
        }
    });
}

impl Undo {
    pub(crate) fn apply(&self, file: &File) {
        file.write_all_at(&self.bytes, self.offset).unwrap();
    }
}
