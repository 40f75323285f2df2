//! One instant over the disks of a running server, for the time of a backup.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_block::BlockSource;
use strongroom_service::MachineAddress;
use strongroom_service::progress::{BackupWork, DiskWork};
use strongroom_service::rows::Quiesce;
use strongroom_types::{Chain, IdSource, MachineRecord, VolumeFormat};

use super::pace::{Pace, Paced};
use super::serving::{Changes, ServedDisk, Serving};
use super::{LiveHost, Turn, domains, monitored, opening};
use crate::exports::{ExportAgain, ExportChanges};
use crate::jobs::JobError;
use crate::places::open_source;
use crate::transfer::Audit;

/// What a machine serves. It stays there until [`Instant::commit`], [`Instant::abandon`], or the sweep of a later start.
#[derive(Debug)]
pub(crate) struct Instant {
    /// Given on when the machine is as the next one may find it.
    _turn: Turn,
    serving: Serving,
    disks: Vec<ServedDisk>,
    audit_permille: u64,
    pace: Arc<Pace>,
    ids: Arc<dyn IdSource>,
    /// Absent where the vault does not ask for it.
    pub(crate) quiesce: Option<Quiesce>,
    /// What the machine is made of, if it could be asked.
    pub(crate) machine: Option<MachineRecord>,
}

/// An instant as either kind of machine makes it.
pub(super) struct Begun {
    pub(super) serving: Serving,
    pub(super) quiesce: Option<Quiesce>,
    pub(super) machine: Option<MachineRecord>,
}

/// Makes the instant, after whatever an earlier attempt left is gone. None for a server that has no machine just now, or that we
/// know no way to ask.
pub(crate) async fn begin(host: &LiveHost, work: &BackupWork) -> Result<Option<Instant>, JobError> {
    let found = work.server.as_ref();
    let Some((server, address)) =
        found.and_then(|server| Some((server, MachineAddress::of(server)?)))
    else {
        return Ok(None);
    };
    let turn = host.turn(&server.id).await;
    let folder = host.make_folder(&server.id);
    let folder = folder.map_err(|error| JobError::Retry(Box::new(error)))?;
    let begun = match address {
        MachineAddress::Monitor(socket) => {
            monitored::begin(host, server, PathBuf::from(socket), folder, work).await?
        }
        MachineAddress::Libvirt(domain) => domains::begin(&domain, folder, work).await?,
    };
    Ok(begun.map(|begun| Instant {
        _turn: turn,
        disks: begun.serving.disks(),
        serving: begun.serving,
        quiesce: begun.quiesce,
        machine: begun.machine,
        audit_permille: host.audit_permille,
        pace: Arc::clone(&host.pace),
        ids: Arc::clone(&host.ids),
    }))
}

impl Instant {
    /// Of all disks together.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.disks.iter().map(|disk| disk.size).sum()
    }

    /// Opens one of the disks for reading what has changed, or all of it where that is not known.
    pub(crate) async fn open(&self, disk: &DiskWork) -> Result<Served, JobError> {
        let served = self.served(disk)?.clone();
        let (since, bitmap, marked) = match served.changes {
            Changes::Whole(why) => {
                return Ok(Served::Whole(self.open_whole(disk, &why).await?, why));
            }
            // What is carried over from point to point is read again now and then.
            Changes::Since { .. } if !disk.backup.incremental => {
                let why = "a full backup was asked for".to_owned();
                return Ok(Served::Whole(self.open_whole(disk, &why).await?, why));
            }
            Changes::Since {
                point,
                bitmap,
                marked,
            } => (point, bitmap, marked),
        };
        let unchanged = served.size.saturating_sub(marked);
        let audit = Audit::new(Arc::clone(&self.ids), self.audit_permille, unchanged);
        let uri = served.uri;
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
            pace: Arc::clone(&self.pace),
        })))
    }

    /// Opens one of the disks for reading all but its holes. `because` continues "it was read whole, because".
    pub(crate) async fn open_whole(
        &self,
        disk: &DiskWork,
        because: &str,
    ) -> Result<Box<dyn BlockSource>, JobError> {
        let id = &disk.backup.resource_id;
        tracing::info!(volume = %id, because, "a disk is read whole");
        let uri = self.served(disk)?.uri.clone();
        let open = move || open_source(Path::new(&uri), VolumeFormat::Raw);
        Ok(Box::new(Paced {
            source: self.opened(disk, open).await?,
            pace: Arc::clone(&self.pace),
        }))
    }

    async fn opened<T: Send + 'static>(
        &self,
        disk: &DiskWork,
        open: impl FnOnce() -> strongroom_block::Result<T> + Clone + Send + 'static,
    ) -> Result<T, JobError> {
        let opened = opening::opened(&self.serving, open).await?;
        opened.map_err(|error| {
            tracing::warn!(error = %Chain(&error), "QEMU does not serve a disk");
            let id = &disk.backup.resource_id;
            JobError::Retry(format!("the disk {id}: {}", error.reason()).into())
        })
    }

    fn served(&self, disk: &DiskWork) -> Result<&ServedDisk, JobError> {
        let mut served = self.disks.iter();
        let served = served.find(|served| served.point == disk.backup.id);
        served.ok_or(JobError::Broken("a disk is none of the instant's"))
    }

    /// Fails unless all that was read is of the instant. To be asked after the last read, and before anything is published.
    pub(crate) async fn check(&self) -> Result<(), JobError> {
        if self.serving.is_intact().await? {
            return Ok(());
        }
        Err(too_small())
    }

    /// Ends when what is read is no longer of the instant, where the guest may stand still from then on.
    pub(crate) async fn until_lost(&self) -> JobError {
        self.serving.until_lost().await;
        too_small()
    }

    /// Ends it when its points are published.
    pub(crate) async fn commit(self) {
        self.serving.commit().await;
    }

    /// Ends it as if it had not been.
    pub(crate) async fn abandon(self) {
        self.serving.abandon().await;
    }
}

fn too_small() -> JobError {
    JobError::Retry("the scratch folder was too small for what the guest overwrote".into())
}

/// A disk of the instant that is open.
pub(crate) enum Served {
    Changed(Box<Changed>),
    /// All of it is read; the words continue "it was read whole, because".
    Whole(Box<dyn BlockSource>, String),
}

/// What has changed can be read of it.
pub(crate) struct Changed {
    /// The name of the point since which changes are known.
    pub(crate) since: String,
    pub(crate) exports: (ExportChanges, ExportAgain),
    pub(crate) audit: Audit,
    pub(crate) pace: Arc<Pace>,
}
