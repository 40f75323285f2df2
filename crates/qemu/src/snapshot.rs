//! The state of a running machine's disks at one instant, served for reading while the machine goes on.

use std::path::{Path, PathBuf};

use strongroom_types::BackupId;

use crate::bitmaps::{self, Changes, LastPoint};
use crate::block;
use crate::leftovers;
use crate::machine;
use crate::steps::{Beginning, Step};
use crate::{Agent, Error, Qmp, Result};

/// A snapshot that is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    pub disks: Vec<DiskRequest>,
    /// Where QEMU keeps what the guest overwrites meanwhile, and its socket. It is this machine's alone, and QEMU's
    /// user may write into it; nobody else should enter, for it holds the guest's data.
    pub folder: PathBuf,
    pub server: Server,
}

#[derive(Debug, Clone)]
pub struct DiskRequest {
    /// As [`crate::Drive::node`] names it; in a storage daemon, the format's node.
    pub node: String,
    /// The point to be made of this disk; no bitmap of that name exists.
    pub point: BackupId,
    /// Without it the whole disk is to be read.
    pub last: Option<LastPoint>,
}

/// Which NBD server of QEMU serves the snapshot. QEMU has at most one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Server {
    /// One for the time of the snapshot, on a socket in the folder.
    Own,
    /// One that runs already, as a storage daemon has, at this socket.
    At(PathBuf),
}

/// How a snapshot keeps the old content of what the guest overwrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipe {
    /// A filter between device and disk. With the scratch file full, reads of the snapshot fail; the guest goes on.
    Filter,
    /// A backup job into an overlay, where a filter cannot be put in. With the scratch file full, the guest is paused
    /// until the snapshot is abandoned.
    Fleece,
}

/// What a snapshot can promise about the guest's file systems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Quiesced {
    /// Nobody was asked: the state is that after a power cut.
    NotAsked,
    /// So many file systems stood still at the instant.
    Frozen { file_systems: u64 },
    /// The agent did not do it, for this reason: the state is that after a power cut.
    Failed(String),
}

/// A snapshot that is being served. It lives in QEMU: losing this value loses nothing that `leftovers` does not find.
#[derive(Debug)]
pub struct Snapshot {
    pub recipe: Recipe,
    pub quiesced: Quiesced,
    pub disks: Vec<ServedDisk>,
    folder: PathBuf,
}

/// A disk of a snapshot, readable with any NBD client.
#[derive(Debug, Clone)]
pub struct ServedDisk {
    pub node: String,
    pub point: BackupId,
    pub socket: PathBuf,
    /// The name that the NBD server knows it by.
    pub export: String,
    /// Bytes.
    pub size: u64,
    pub changes: Changes,
    /// Stays the newest when the snapshot is abandoned.
    pub(crate) last: Option<BackupId>,
}

/// A snapshot that did not come about.
#[derive(Debug, thiserror::Error)]
#[error("a snapshot of the machine failed at the step {step:?}")]
pub struct Failed {
    pub step: Step,
    #[source]
    pub error: Error,
    /// Why something of it may still be in QEMU: `leftovers` must run before the guest is safe.
    pub left: Option<Error>,
}

impl Snapshot {
    /// Makes the instant and serves it. With an agent the guest's file systems stand still at the instant, if it can.
    /// On failure everything is undone.
    pub async fn begin(
        qmp: &mut Qmp,
        agent: Option<&mut Agent>,
        request: &Request,
    ) -> Result<Self, Failed> {
        let mut beginning = Beginning::new(request, agent);
        while let Some(step) = beginning.next_step() {
            if let Err(error) = beginning.perform(qmp, step).await {
                let left = beginning.undo(qmp).await.err();
                return Err(Failed { step, error, left });
            }
        }
        Ok(beginning.finish())
    }

    pub(crate) fn new(
        recipe: Recipe,
        quiesced: Quiesced,
        disks: Vec<ServedDisk>,
        folder: &Path,
    ) -> Self {
        let folder = folder.to_owned();
        Self {
            recipe,
            quiesced,
            disks,
            folder,
        }
    }

    /// Whether what was read so far is of the instant: to be asked after the last read, before the points are stored, and
    /// now and then. False once the scratch file of a [`Recipe::Fleece`] was full, which also paused the guest: abandon.
    /// A [`Recipe::Filter`] tells by failing reads.
    pub async fn is_intact(&self, qmp: &mut Qmp) -> Result<bool> {
        if self.recipe == Recipe::Filter {
            return Ok(true);
        }
        if machine::status(qmp).await?.as_deref() == Some("io-error") {
            return Ok(false);
        }
        let jobs = block::jobs(qmp).await?;
        let runs = |disk: &ServedDisk| {
            let id = crate::names::of_point(&disk.point);
            let job = jobs.iter().find(|job| job.id == id);
            job.is_some_and(|job| job.status == "running" && job.error.is_none())
        };
        Ok(self.disks.iter().all(runs))
    }

    /// Ends the snapshot when its points are stored: from now on changes are counted from them. After a failure it can be
    /// called again, on another connection too.
    pub async fn commit(&self, qmp: &mut Qmp) -> Result<()> {
        leftovers::clear(qmp, &self.folder).await?;
        for disk in &self.disks {
            bitmaps::settle(qmp, &disk.node, Some(&disk.point)).await?;
        }
        Ok(())
    }

    /// Ends the snapshot as if it had not been: changes go on to be counted from the last points.
    pub async fn abandon(&self, qmp: &mut Qmp) -> Result<()> {
        leftovers::clear(qmp, &self.folder).await?;
        for disk in &self.disks {
            bitmaps::settle(qmp, &disk.node, disk.last.as_ref()).await?;
        }
        Ok(())
    }
}
