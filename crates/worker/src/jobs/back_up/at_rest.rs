//! The backup of disks that nobody writes: a server that is off, or a disk by itself.

use std::path::Path;
use std::sync::Arc;

use strongroom_block::BlockSource;
use strongroom_repo::{Error, Repository};
use strongroom_service::Provenance;
use strongroom_service::progress::{
    BackupOutcome, BackupWork, DiskFailure, DiskOutcome, DiskSaved, DiskWork,
};
use strongroom_service::rows::{LastSaved, Quiesce};
use strongroom_types::{Chain, ConsistentLevel, Timestamp, Trouble, VolumeFormat};

use super::{ReadWhole, disk_failure, new_point, publish, saved};
use crate::images::{self, ImageChanges, SharedSource};
use crate::jobs::{Context, JobError, reporting};
use crate::live::Pace;
use crate::places::open_source;
use crate::transfer::{self, Progress, TransferError};

/// Saves the disks from their images, under QEMU's locks, so that they are one instant together.
pub(super) async fn run(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
) -> Result<(), JobError> {
    let opened = open_disks(work).await?;
    let protected_at = context.app.now();
    let total = opened
        .iter()
        .filter_map(|disk| disk.source.as_ref().ok())
        .map(Opened::size_bytes)
        .sum();
    let progress = Progress::new(total);
    // Boxed: the state of a transfer is large.
    let saving = Box::pin(save_disks(
        context,
        repository,
        work,
        protected_at,
        opened,
        &progress,
    ));
    let disks = reporting(
        context,
        &work.operation_log_id,
        &work.backup.id,
        &progress,
        saving,
    )
    .await??;
    let outcome = BackupOutcome {
        disks,
        protected_at,
        quiesce: not_asked(work),
        machine: work.machine.clone(),
    };
    publish(context, repository, work, outcome).await
}

/// Nobody is there to hold still in a machine that is off.
fn not_asked(work: &BackupWork) -> Option<Quiesce> {
    let is_wanted = work.vault.consistent_level == ConsistentLevel::App;
    is_wanted.then(|| Quiesce::Failed {
        reason: "the server was off: its disks are as it left them".to_owned(),
    })
}

struct OpenedDisk {
    work: DiskWork,
    source: Result<Opened, DiskFailure>,
}

enum Opened {
    Whole(Box<dyn BlockSource>, ReadWhole),
    Changed(Box<Changed>),
}

/// What was written since the last backup can be told apart.
struct Changed {
    since: String,
    changes: ImageChanges,
    unchanged_bytes: u64,
    /// The same disk, to read what has changed in part, or all of it after all.
    source: SharedSource,
}

impl Opened {
    fn size_bytes(&self) -> u64 {
        match self {
            Self::Whole(source, _) => source.size_bytes(),
            Self::Changed(changed) => changed.source.size_bytes(),
        }
    }
}

async fn open_disks(work: &BackupWork) -> Result<Vec<OpenedDisk>, JobError> {
    let disks = work.disks.clone();
    let opening = tokio::task::spawn_blocking(move || {
        disks
            .into_iter()
            .map(|work| OpenedDisk {
                source: open_disk(&work),
                work,
            })
            .collect()
    });
    opening
        .await
        .map_err(|_| JobError::Broken("opening the disks stopped unexpectedly"))
}

fn open_disk(work: &DiskWork) -> Result<Opened, DiskFailure> {
    let Some(volume) = &work.volume else {
        return Err(DiskFailure {
            trouble: Trouble::DiskMissing,
            message: "the disk is no longer in the inventory".to_owned(),
        });
    };
    let path = Path::new(&volume.path);
    let opened = match (&work.last, volume.format) {
        (Some(last), VolumeFormat::Qcow2) if work.backup.incremental => open_since(path, last),
        _ => open_whole(path, volume.format),
    };
    opened.map_err(|error| disk_failure(work, &error))
}

fn open_whole(path: &Path, format: VolumeFormat) -> strongroom_block::Result<Opened> {
    let why = "nothing records the changes of a disk at rest".to_owned();
    Ok(Opened::Whole(
        open_source(path, format)?,
        ReadWhole::because(why),
    ))
}

/// QEMU has counted since the last backup, if its machine ran at that time and nobody else has written the image since.
fn open_since(path: &Path, last: &LastSaved) -> strongroom_block::Result<Opened> {
    let image = images::open(path, &last.backup_id)?;
    let marks = match image.marks {
        Ok(marks) if image.source.size_bytes() == last.size_bytes => marks,
        other => {
            let why = other.err().unwrap_or("it had another size").to_owned();
            return Ok(Opened::Whole(image.source, ReadWhole::because(why)));
        }
    };
    let size = image.source.size_bytes();
    // Opened once: the same path could mean another file by now.
    let source = SharedSource::new(image.source);
    Ok(Opened::Changed(Box::new(Changed {
        since: last.backup_id.to_string(),
        unchanged_bytes: size.saturating_sub(marks.marked_bytes()),
        changes: ImageChanges::new(Box::new(source.clone()), marks),
        source,
    })))
}

async fn save_disks(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    protected_at: Timestamp,
    disks: Vec<OpenedDisk>,
    progress: &Progress,
) -> Result<Vec<DiskOutcome>, JobError> {
    let mut outcomes = Vec::with_capacity(disks.len());
    for OpenedDisk { work: disk, source } in disks {
        let result = match source {
            Ok(opened) => {
                let saver = Saver {
                    context,
                    repository,
                    provenance: Provenance::of(work, &disk, protected_at),
                    disk: &disk,
                    progress,
                };
                saver.save(opened).await?
            }
            Err(failure) => Err(failure),
        };
        outcomes.push(DiskOutcome {
            backup_id: disk.backup.id,
            result,
        });
    }
    Ok(outcomes)
}

/// One disk on its way into the repository. A disk that fails is an outcome, and the next disk is still saved; a storage that
/// fails ends the attempt.
struct Saver<'a> {
    context: &'a Context,
    repository: &'a Repository,
    disk: &'a DiskWork,
    provenance: Provenance,
    progress: &'a Progress,
}

type Saved = Result<DiskSaved, DiskFailure>;

impl Saver<'_> {
    /// Saves what has changed; all of it where that is not known, or not to be believed.
    async fn save(&self, opened: Opened) -> Result<Saved, JobError> {
        let (source, why) = match opened {
            Opened::Whole(source, why) => (source, why),
            Opened::Changed(changed) => match self.save_changes(*changed).await? {
                Either::Saved(saved) => return Ok(saved),
                Either::Whole(source, why) => (source, why),
            },
        };
        let new = new_point(self.disk, source.size_bytes(), &self.provenance);
        let cancel = &self.context.cancel;
        match transfer::back_up(self.repository, source, new, self.progress, cancel).await {
            Ok(backed_up) => Ok(Ok(saved(self.disk, &backed_up, Some(why)))),
            Err(TransferError::Disk(error)) => Ok(Err(disk_failure(self.disk, &error))),
            Err(error) => Err(error.into()),
        }
    }

    async fn save_changes(&self, changed: Changed) -> Result<Either, JobError> {
        let new = new_point(self.disk, changed.source.size_bytes(), &self.provenance);
        let mut again = changed.source.clone();
        let saving = transfer::back_up_changes(
            self.repository,
            (
                changed.changes,
                Box::new(move |offset, buffer: &mut [u8]| again.read_at(offset, buffer)),
            ),
            (
                &changed.since,
                self.context.live.audit(changed.unchanged_bytes),
            ),
            Arc::new(Pace::unlimited()),
            new,
            self.progress,
            &self.context.cancel,
        );
        match saving.await {
            Ok(backed_up) => Ok(Either::Saved(Ok(saved(self.disk, &backed_up, None)))),
            Err(TransferError::Disk(error)) => {
                Ok(Either::Saved(Err(disk_failure(self.disk, &error))))
            }
            Err(TransferError::Repository(error @ Error::Reread { .. })) => {
                Ok(Either::Saved(Err(DiskFailure {
                    trouble: Trouble::DiskUnreadable,
                    message: Chain(&error).to_string(),
                })))
            }
            Err(error) => {
                let why = ReadWhole::instead_of(self.disk, error)?;
                Ok(Either::Whole(Box::new(changed.source), why))
            }
        }
    }
}

/// What became of a disk of which changes were to be saved.
enum Either {
    Saved(Saved),
    Whole(Box<dyn BlockSource>, ReadWhole),
}
