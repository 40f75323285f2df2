//! One instant over the disks of a running server, for the time of a backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_block::BlockSource;
use strongroom_nbd::Target;
use strongroom_qemu::{
    Agent, Changes, DiskRequest, Error, Failed, Machine, Quiesced, Request, ServedDisk, Snapshot,
    clear_folder, leftovers,
};
use strongroom_service::progress::{BackupWork, DiskWork};
use strongroom_service::rows::{Quiesce, Server};
use strongroom_types::{Chain, ConsistentLevel, IdSource, Trouble, VolumeFormat};

use super::drives::drive_of;
use super::opening;
use super::{LiveHost, PATIENCE, Turn, last_point, monitor, thaw};
use crate::exports::{ExportAgain, ExportChanges};
use crate::jobs::JobError;
use crate::places::open_source;
use crate::transfer::Audit;

/// What QEMU serves. It stays there until [`Instant::commit`], [`Instant::abandon`], or the sweep of a later start.
#[derive(Debug)]
pub(crate) struct Instant {
    /// Given on when the machine is as the next one may find it.
    _turn: Turn,
    monitor: PathBuf,
    snapshot: Snapshot,
    audit_permille: u64,
    ids: Arc<dyn IdSource>,
    /// Absent where the vault does not ask for it.
    pub(crate) quiesce: Option<Quiesce>,
}

/// Makes the instant, after whatever an earlier attempt left is gone. None for a server that has no machine just now, or that we
/// know no monitor of.
pub(crate) async fn begin(host: &LiveHost, work: &BackupWork) -> Result<Option<Instant>, JobError> {
    let Some((server, socket)) = work
        .server
        .as_ref()
        .and_then(|server| Some((server, server.qmp_socket.as_deref()?)))
    else {
        return Ok(None);
    };
    let socket = PathBuf::from(socket);
    let turn = host.turn(&server.id).await;
    let mut qmp = match monitor(&socket, PATIENCE).await {
        Err(Error::Unreachable { .. }) => {
            let cleared = clear_folder(&host.folder_of(&server.id)).await;
            cleared.map_err(job_error)?;
            return Ok(None);
        }
        connected => connected.map_err(job_error)?,
    };
    let folder = host.make_folder(&server.id);
    let folder = folder.map_err(|error| JobError::Retry(Box::new(error)))?;
    let cleared = leftovers(&mut qmp, None, &folder).await;
    let mut agent = ready_agent(host, server).await;
    cleared.map_err(job_error)?;
    let machine = Machine::inspect(&mut qmp).await.map_err(job_error)?;
    let request = Request {
        disks: requests(&machine, &work.disks)?,
        folder,
        server: strongroom_qemu::Server::Own,
    };
    let freezing = (work.vault.consistent_level == ConsistentLevel::App).then_some(&mut agent);
    let (agent, refusal) = match freezing {
        None => (None, None),
        Some(Ok(agent)) => (Some(agent), None),
        Some(Err(reason)) => (None, Some(reason.clone())),
    };
    let begun = Snapshot::begin(&mut qmp, agent, &request).await;
    let snapshot = begun.map_err(|failed| not_begun(work, failed))?;
    Ok(Some(Instant {
        _turn: turn,
        monitor: socket,
        quiesce: quiesce(&snapshot.quiesced, refusal),
        snapshot,
        audit_permille: host.audit_permille,
        ids: Arc::clone(&host.ids),
    }))
}

/// The guest's agent, once it has let go on what an earlier attempt held still; or why there is none.
async fn ready_agent(host: &LiveHost, server: &Server) -> Result<Agent, String> {
    let Some(socket) = &server.guest_agent_socket else {
        return Err("no guest agent is configured for the server".to_owned());
    };
    let ready = async {
        let mut agent = host.agent(Path::new(socket)).await?;
        thaw(&mut agent).await?;
        Ok(agent)
    };
    ready.await.map_err(|error: Error| {
        tracing::info!(server = %server.id, error = %Chain(&error), "a guest's agent cannot be used");
        match error {
            // Where its socket lies is no business of the server's owner.
            Error::Unreachable { .. } => "the guest agent cannot be connected to".to_owned(),
            other => format!("the guest agent cannot be used: {other}"),
        }
    })
}

fn requests(machine: &Machine, disks: &[DiskWork]) -> Result<Vec<DiskRequest>, JobError> {
    let request = |disk: &DiskWork| {
        let volume = disk.volume.as_ref();
        let drive = volume.and_then(|volume| drive_of(machine, &volume.path));
        let drive = drive.ok_or_else(|| JobError::Failed {
            trouble: Trouble::DiskMissing,
            source: format!(
                "the running server does not have the disk {}",
                disk.backup.resource_id
            )
            .into(),
        })?;
        Ok(DiskRequest {
            node: drive.node.clone(),
            point: disk.backup.id.clone(),
            last: disk.last.as_ref().map(last_point),
        })
    };
    disks.iter().map(request).collect()
}

fn quiesce(quiesced: &Quiesced, refusal: Option<String>) -> Option<Quiesce> {
    match quiesced {
        Quiesced::Frozen { file_systems } => Some(Quiesce::Frozen {
            file_systems: *file_systems,
        }),
        Quiesced::Failed(reason) => Some(Quiesce::Failed {
            reason: reason.clone(),
        }),
        Quiesced::NotAsked => refusal.map(|reason| Quiesce::Failed { reason }),
    }
}

impl Instant {
    /// Of all disks together.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.snapshot.disks.iter().map(|disk| disk.size).sum()
    }

    /// Opens one of the disks for reading what has changed, or all of it where that is not known.
    pub(crate) async fn open(&self, disk: &DiskWork) -> Result<Served, JobError> {
        let served = self.served(disk)?.clone();
        let (since, bitmap, marked) = match served.changes {
            Changes::Whole(why) => {
                let whole = self.open_whole(disk, why.to_string()).await?;
                return Ok(Served::Whole(whole));
            }
            // What is carried over from point to point is read again now and then.
            Changes::Since { .. } if !disk.backup.incremental => {
                let why = "a full backup was asked for".to_owned();
                return Ok(Served::Whole(self.open_whole(disk, why).await?));
            }
            Changes::Since {
                point,
                bitmap,
                marked,
            } => (point, bitmap, marked),
        };
        let unchanged = served.size.saturating_sub(marked);
        let audit = Audit::new(Arc::clone(&self.ids), self.audit_permille, unchanged);
        let uri = uri(self.served(disk)?);
        let again = uri.clone();
        let changes = self.opened(disk, move || ExportChanges::open(&uri, &bitmap));
        let exports = (
            changes.await?,
            self.opened(disk, move || ExportAgain::open(&again)).await?,
        );
        Ok(Served::Changed(Box::new(Changed {
            since: since.to_string(),
            exports,
            audit,
        })))
    }

    /// Opens one of the disks for reading all but its holes. `because` continues "it was read whole, because".
    pub(crate) async fn open_whole(
        &self,
        disk: &DiskWork,
        because: String,
    ) -> Result<Whole, JobError> {
        let id = &disk.backup.resource_id;
        tracing::info!(volume = %id, because, "a disk is read whole");
        let uri = uri(self.served(disk)?);
        let open = move || open_source(Path::new(&uri), VolumeFormat::Raw);
        let source = self.opened(disk, open).await?;
        Ok(Whole { source, because })
    }

    async fn opened<T: Send + 'static>(
        &self,
        disk: &DiskWork,
        open: impl FnOnce() -> strongroom_block::Result<T> + Clone + Send + 'static,
    ) -> Result<T, JobError> {
        let opened = opening::opened(&self.monitor, open).await?;
        opened.map_err(|error| {
            tracing::warn!(error = %Chain(&error), "QEMU does not serve a disk");
            let id = &disk.backup.resource_id;
            JobError::Retry(format!("the disk {id}: {}", error.reason()).into())
        })
    }

    fn served(&self, disk: &DiskWork) -> Result<&ServedDisk, JobError> {
        let mut served = self.snapshot.disks.iter();
        let served = served.find(|served| served.point == disk.backup.id);
        served.ok_or(JobError::Broken("a disk is none of the instant's"))
    }

    /// Fails unless all that was read is of the instant. To be asked after the last read, and before anything is published.
    pub(crate) async fn check(&self) -> Result<(), JobError> {
        let mut qmp = monitor(&self.monitor, PATIENCE).await.map_err(job_error)?;
        if self.snapshot.is_intact(&mut qmp).await.map_err(job_error)? {
            return Ok(());
        }
        Err(JobError::Retry(
            "the scratch folder was too small for what the guest overwrote".into(),
        ))
    }

    /// Ends it when its points are published. What fails here is made up for by the next backup, which finds bitmaps of an
    /// unknown past and reads whole disks.
    pub(crate) async fn commit(self) {
        let ended = async {
            let mut qmp = monitor(&self.monitor, PATIENCE).await?;
            self.snapshot.commit(&mut qmp).await
        };
        report(ended.await);
    }

    /// Ends it as if it had not been.
    pub(crate) async fn abandon(self) {
        let ended = async {
            let mut qmp = monitor(&self.monitor, PATIENCE).await?;
            self.snapshot.abandon(&mut qmp).await
        };
        report(ended.await);
    }
}

fn report(ended: strongroom_qemu::Result<()>) {
    if let Err(error) = ended {
        tracing::warn!(error = %Chain(&error), "a machine may have leftovers of a backup");
    }
}

/// A disk of the instant that is open.
pub(crate) enum Served {
    Changed(Box<Changed>),
    Whole(Whole),
}

/// What has changed can be read of it.
pub(crate) struct Changed {
    /// The name of the point since which changes are known.
    pub(crate) since: String,
    pub(crate) exports: (ExportChanges, ExportAgain),
    pub(crate) audit: Audit,
}

pub(crate) struct Whole {
    pub(crate) source: Box<dyn BlockSource>,
    /// Continues "it was read whole, because".
    pub(crate) because: String,
}

fn uri(served: &ServedDisk) -> String {
    Target::unix(&served.socket, &served.export).to_string()
}

fn not_begun(work: &BackupWork, failed: Failed) -> JobError {
    tracing::warn!(server = %work.backup.resource_id, step = ?failed.step, "no instant of a machine");
    if let Some(left) = &failed.left {
        tracing::error!(error = %Chain(left), "the machine has leftovers of a backup");
    }
    job_error(failed.error)
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
