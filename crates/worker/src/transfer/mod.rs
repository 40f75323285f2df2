//! Moves one disk between its image and a repository. Used by the job bodies and, without any database, by
//! the command line's `repo backup` and `repo restore`.

mod back_up;
mod changes;
mod restore;

use std::sync::atomic::{AtomicU64, Ordering};

pub use back_up::{BackedUp, back_up};
pub(crate) use changes::{Audit, ChangedDisk, back_up_changes};
pub use restore::{Restored, restore, write_out};

/// Bytes read or written at once.
const PIECE_BYTES: usize = 1 << 20;
/// Buffers that wait to be used again; more are under way only where the engine is slow.
const BUFFERS_IDLE_MAX: usize = 16;
/// Pieces that wait between the disk's thread and the engine.
const PIECES_IN_FLIGHT: usize = 4;

/// How far a transfer has come; shared with whoever shows it.
#[derive(Debug, Default)]
pub struct Progress {
    total: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    pub fn new(total_bytes: u64) -> Self {
        Self {
            total: AtomicU64::new(total_bytes),
            done: AtomicU64::new(0),
        }
    }

    pub fn total_bytes(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    pub fn done_bytes(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whole percent; 100 only when everything is done.
    pub fn percent(&self) -> u8 {
        let (done, total) = (self.done_bytes(), self.total_bytes());
        if total == 0 {
            return 0;
        }
        u8::try_from(u128::from(done.min(total)) * 100 / u128::from(total)).unwrap_or(100)
    }

    /// So many more are done.
    pub fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// Why a transfer ended early.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("the disk could not be read or written")]
    Disk(#[source] strongroom_block::Error),
    #[error("the repository failed")]
    Repository(#[source] strongroom_repo::Error),
    /// The destination stream is gone, e.g. a closed pipe.
    #[error("the output could not be written")]
    Output(#[source] std::io::Error),
    #[error("the transfer was stopped")]
    Cancelled,
    /// The target is smaller than the point; nothing was written.
    #[error("the target has {target_bytes} bytes, the point needs {point_bytes}")]
    TargetTooSmall { target_bytes: u64, point_bytes: u64 },
    /// The repository's newest point of the disk is not the one since which changes are known. Nothing was written.
    #[error("changes since the disk's newest point are not known")]
    OtherParent,
    /// A thread of the transfer ended without a word; a defect.
    #[error("the disk's thread stopped unexpectedly")]
    Broken,
}
