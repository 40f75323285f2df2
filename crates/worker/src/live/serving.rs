//! What serves the disks of an instant: a QEMU that we talk to ourselves, or one that is libvirt's.

use std::path::PathBuf;
use std::time::Duration;

use strongroom_libvirt::{self as libvirt, Virsh};
use strongroom_nbd::Target;
use strongroom_qemu as qemu;
use strongroom_types::{BackupId, Chain};

use super::{PATIENCE, domains, job_error, monitor};
use crate::jobs::JobError;

/// For so long a guest may stand still because of a full scratch folder.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// It lives there: losing this value loses nothing that the next attempt does not find.
#[derive(Debug)]
pub(crate) enum Serving {
    Monitor {
        socket: PathBuf,
        snapshot: qemu::Snapshot,
    },
    Libvirt {
        virsh: Virsh,
        snapshot: libvirt::Snapshot,
    },
}

/// A disk of the instant.
#[derive(Debug, Clone)]
pub(crate) struct ServedDisk {
    pub(crate) point: BackupId,
    pub(crate) uri: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) changes: Changes,
}

/// What has to be read of it.
#[derive(Debug, Clone)]
pub(crate) enum Changes {
    Since {
        point: BackupId,
        bitmap: String,
        /// Bytes, as far as they are known before they are read.
        marked: u64,
    },
    /// Continues "it was read whole, because".
    Whole(String),
}

impl Serving {
    pub(crate) fn disks(&self) -> Vec<ServedDisk> {
        match self {
            Self::Monitor { snapshot, .. } => snapshot.disks.iter().map(of_qemu).collect(),
            Self::Libvirt { snapshot, .. } => snapshot.disks.iter().map(of_libvirt).collect(),
        }
    }

    /// Whether the machine answers within so long; one that has gone is found out by reading.
    pub(crate) async fn answers(&self, limit: Duration) -> bool {
        match self {
            Self::Monitor { socket, .. } => {
                let answered = monitor(socket, limit).await;
                !matches!(answered, Err(qemu::Error::Silent { .. }))
            }
            Self::Libvirt { virsh, .. } => {
                let virsh = virsh.clone().with_patience(limit);
                let answered = libvirt::answers(&virsh).await;
                !matches!(answered, Err(libvirt::Error::Silent { .. }))
            }
        }
    }

    /// Whether a full scratch folder pauses the guest, for as long as the instant lasts.
    fn may_pause(&self) -> bool {
        match self {
            Self::Monitor { snapshot, .. } => snapshot.recipe == qemu::Recipe::Fleece,
            Self::Libvirt { .. } => true,
        }
    }

    /// Waits until the instant is lost, if the guest could stand still because of it. What cannot be asked now is asked again.
    pub(crate) async fn until_lost(&self) {
        if !self.may_pause() {
            std::future::pending::<()>().await;
        }
        loop {
            tokio::time::sleep(LOOK_AGAIN).await;
            if let Ok(false) = self.is_intact().await {
                return;
            }
        }
    }

    pub(crate) async fn is_intact(&self) -> Result<bool, JobError> {
        match self {
            Self::Monitor { socket, snapshot } => {
                let mut qmp = monitor(socket, PATIENCE).await.map_err(job_error)?;
                snapshot.is_intact(&mut qmp).await.map_err(job_error)
            }
            Self::Libvirt { snapshot, .. } => {
                snapshot.is_intact().await.map_err(domains::job_error)
            }
        }
    }

    /// Ends the instant when its points are published. What fails here is made up for by the next backup, which finds bitmaps of an
    /// unknown past and reads whole disks.
    pub(crate) async fn commit(self) {
        match self {
            Self::Monitor { socket, snapshot } => {
                let ended = async {
                    let mut qmp = monitor(&socket, PATIENCE).await?;
                    snapshot.commit(&mut qmp).await
                };
                report(ended.await);
            }
            Self::Libvirt { snapshot, .. } => report(snapshot.commit().await),
        }
    }

    /// Ends it as if it had not been.
    pub(crate) async fn abandon(self) {
        match self {
            Self::Monitor { socket, snapshot } => {
                let ended = async {
                    let mut qmp = monitor(&socket, PATIENCE).await?;
                    snapshot.abandon(&mut qmp).await
                };
                report(ended.await);
            }
            Self::Libvirt { snapshot, .. } => report(snapshot.abandon().await),
        }
    }
}

fn report<E: std::error::Error + 'static>(ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::warn!(error = %Chain(&error), "a machine may have leftovers of a backup");
    }
}

fn of_qemu(disk: &qemu::ServedDisk) -> ServedDisk {
    ServedDisk {
        point: disk.point.clone(),
        uri: Target::unix(&disk.socket, &disk.export).to_string(),
        size: disk.size,
        changes: match &disk.changes {
            qemu::Changes::Since {
                point,
                bitmap,
                marked,
            } => Changes::Since {
                point: point.clone(),
                bitmap: bitmap.clone(),
                marked: *marked,
            },
            qemu::Changes::Whole(why) => Changes::Whole(why.to_string()),
        },
    }
}

fn of_libvirt(disk: &libvirt::ServedDisk) -> ServedDisk {
    ServedDisk {
        point: disk.point.clone(),
        uri: Target::unix(&disk.socket, &disk.export).to_string(),
        size: disk.size,
        changes: match &disk.changes {
            libvirt::Changes::Since { point, bitmap } => Changes::Since {
                point: point.clone(),
                bitmap: bitmap.clone(),
                marked: 0,
            },
            libvirt::Changes::Whole(why) => Changes::Whole(why.to_string()),
        },
    }
}
