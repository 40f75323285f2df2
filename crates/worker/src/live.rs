//! Servers that run: their QEMUs are asked, through their monitors or through libvirt, and serve their disks as they were at one instant.
//!
//! A monitor has one client at a time, and others wait their turn. So nobody here keeps a connection for longer than a few
//! commands; what a backup has put into a QEMU stays there without one.

mod backup;
mod domains;
mod drives;
mod machines;
mod monitored;
pub(crate) mod opening;
mod pace;
pub(crate) mod serving;
mod sweep;
mod watch;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use strongroom_qemu::{Agent, Error, LastPoint, Qmp, Result};
use strongroom_service::progress::DiskWork;
use strongroom_service::rows::{LastSaved, Quiesce};
use strongroom_types::{Chain, IdSource, ServerId, Trouble};

use crate::guests;
use crate::jobs::JobError;
use crate::shared_folder::make_folder_like_parent;
use crate::transfer::Audit;

pub(crate) use backup::{Changed, Instant, Served, begin};
pub use machines::LocalMachines;
pub(crate) use pace::Pace;
pub(crate) use sweep::sweep;
pub use watch::Watch;

/// Of one command, and of waiting for a turn at the monitor.
const PATIENCE: Duration = Duration::from_secs(20);
/// An agent that is there answers within milliseconds.
const AGENT_PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// Where and how this host backs up machines that run.
#[derive(Debug)]
pub struct LiveHost {
    scratch_dir: PathBuf,
    audit_permille: u64,
    pace: Arc<Pace>,
    ids: Arc<dyn IdSource>,
    turns: Mutex<BTreeMap<ServerId, Arc<tokio::sync::Mutex<()>>>>,
}

/// What is done to a server's machine by one job at a time: a backup that was published may still be tidying up when the next
/// one begins.
type Turn = tokio::sync::OwnedMutexGuard<()>;

impl LiveHost {
    /// `scratch_dir` holds a folder for each server with a backup under way: what the guest overwrites meanwhile, and QEMU's socket.
    /// `audit_permille`, 1 to 1000, of what bitmaps do not mark is read all the same, and compared.
    /// No more than `bytes_per_second` are read of all disks together.
    pub fn new(
        scratch_dir: PathBuf,
        audit_permille: u64,
        bytes_per_second: Option<u64>,
        ids: Arc<dyn IdSource>,
    ) -> Self {
        Self {
            scratch_dir,
            audit_permille,
            pace: Arc::new(Pace::new(bytes_per_second)),
            ids,
            turns: Mutex::default(),
        }
    }

    /// Of a disk that has so much in which nothing is said to have changed.
    pub(crate) fn audit(&self, unchanged_bytes: u64) -> Audit {
        Audit::new(Arc::clone(&self.ids), self.audit_permille, unchanged_bytes)
    }

    async fn turn(&self, server: &ServerId) -> Turn {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(server.clone()).or_default())
        };
        turn.lock_owned().await
    }

    fn folder_of(&self, server: &ServerId) -> PathBuf {
        self.scratch_dir.join(server.as_str())
    }

    /// Makes the server's folder, as open to others as the folder around it: QEMU makes the files in it, as its own user.
    fn make_folder(&self, server: &ServerId) -> io::Result<PathBuf> {
        let folder = self.folder_of(server);
        make_folder_like_parent(&folder)?;
        Ok(folder)
    }

    async fn agent(&self, socket: &Path) -> Result<Agent> {
        guests::connect(socket, &*self.ids, AGENT_PATIENCE).await
    }
}

/// Connects to a monitor as soon as others let it go.
async fn monitor(socket: &Path, patience: Duration) -> Result<Qmp> {
    let crowded = |error: &Error| {
        // Too many wait already.
        matches!(error, Error::Unreachable { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    };
    let connecting = async {
        loop {
            match Qmp::connect(socket, patience).await {
                Err(error) if crowded(&error) => tokio::time::sleep(PAUSE).await,
                connected => return connected,
            }
        }
    };
    let connected = tokio::time::timeout(patience, connecting).await;
    connected.unwrap_or_else(|_| {
        Err(Error::Silent {
            what: "the monitor".to_owned(),
            limit: patience,
        })
    })
}

/// Lets the guest's file systems go on if they stand still.
async fn thaw(agent: &mut Agent) -> Result<()> {
    let file_systems = agent.thaw_if_frozen().await?;
    if file_systems > 0 {
        tracing::warn!(file_systems, "a guest stood still, and goes on");
    }
    Ok(())
}

fn last_point(saved: &LastSaved) -> LastPoint {
    LastPoint {
        point: saved.backup_id.clone(),
        size: saved.size_bytes,
    }
}

fn not_recorded(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error = %Chain(error), "a machine does not say what it is made of");
}

/// What the guest's answer is worth, that so many file systems stood still: agents leave out those that cannot.
pub(crate) fn frozen(file_systems: u64) -> Quiesce {
    if file_systems > 0 {
        return Quiesce::Frozen { file_systems };
    }
    Quiesce::Failed {
        reason: "the guest has no file system that can stand still".to_owned(),
    }
}

fn missing(disk: &DiskWork) -> JobError {
    let id = &disk.backup.resource_id;
    JobError::Failed {
        trouble: Trouble::DiskMissing,
        source: format!("the running server does not have the disk {id}").into(),
    }
}

/// Where sockets and folders lie stays in the log.
fn job_error(error: Error) -> JobError {
    tracing::warn!(error = %Chain(&error), "a machine did not do its part of a backup");
    match error {
        Error::Unsupported { .. } => JobError::Failed {
            trouble: Trouble::ServerRunning,
            source: Box::new(error),
        },
        Error::Unreachable { .. } => {
            JobError::Retry("the server's monitor cannot be reached".into())
        }
        Error::Scratch { .. } => JobError::Retry("the scratch folder cannot be cleared".into()),
        Error::Refused { command, .. } => {
            JobError::Retry(format!("the server's machine refused {command}").into())
        }
        other => JobError::Retry(Box::new(other)),
    }
}
