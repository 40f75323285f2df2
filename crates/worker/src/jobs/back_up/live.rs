//! The backup of a server that runs. It is all of its disks at one instant, or nothing.

use strongroom_repo::{Error, Repository};
use strongroom_service::Provenance;
use strongroom_service::progress::{
    BackupOutcome, BackupWork, DiskFailure, DiskOutcome, DiskSaved, DiskWork,
};
use strongroom_service::rows::Quiesce;
use strongroom_types::{Chain, Timestamp, Trouble};

use super::{ReadWhole, disk_failure, new_point, publish, saved};
use crate::exports::is_of_lost_instant;
use crate::jobs::{Context, JobError, reporting};
use crate::live::{Changed, Instant, Served};
use crate::transfer::{self, BackedUp, Progress, TransferError};

/// Removes points that earlier attempts made: they are of other instants than this one's will be.
pub(super) async fn forget_earlier_instants(
    repository: &Repository,
    work: &BackupWork,
) -> Result<(), JobError> {
    for disk in &work.disks {
        if let Some(point) = repository.find_point(disk.backup.id.as_str()).await? {
            repository.delete_point(&point.id).await?;
        }
    }
    Ok(())
}

/// Saves the disks as QEMU serves them, publishes, and only then has the machine count changes from these points.
pub(super) async fn run(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    protected_at: Timestamp,
    instant: Instant,
) -> Result<(), JobError> {
    let published = Box::pin(save(context, repository, work, protected_at, &instant)).await;
    match &published {
        Ok(()) => instant.commit().await,
        // The machine is the other attempt's by now, which cleared it before it began.
        Err(JobError::LeaseLost) => {}
        Err(_) => instant.abandon().await,
    }
    published
}

/// Ends a backup of which nothing was read, for the guest did not hold still.
pub(super) async fn refuse(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    asked_at: Timestamp,
    reason: String,
) -> Result<(), JobError> {
    let failure = DiskFailure {
        trouble: Trouble::GuestNotFrozen,
        message: format!(
            "the guest did not hold its file systems still, which the policy asks for: {reason}"
        ),
    };
    let disks = work.disks.iter().map(|disk| DiskOutcome {
        backup_id: disk.backup.id.clone(),
        result: Err(failure.clone()),
    });
    let outcome = BackupOutcome {
        disks: disks.collect(),
        protected_at: asked_at,
        quiesce: Some(Quiesce::Failed { reason }),
        machine: work.machine.clone(),
    };
    publish(context, repository, work, outcome).await
}

async fn save(
    context: &Context,
    repository: &Repository,
    work: &BackupWork,
    protected_at: Timestamp,
    instant: &Instant,
) -> Result<(), JobError> {
    let progress = Progress::new(instant.size_bytes());
    let saving = async {
        let mut disks = Vec::with_capacity(work.disks.len());
        for disk in &work.disks {
            let provenance = Provenance::of(work, disk, protected_at);
            let saver = Saver {
                context,
                repository,
                instant,
                disk,
                provenance,
                progress: &progress,
            };
            disks.push(DiskOutcome {
                backup_id: disk.backup.id.clone(),
                result: Ok(saver.save().await?),
            });
        }
        instant.check().await?;
        Ok::<_, JobError>(disks)
    };
    let (log, backup_id) = (&work.operation_log_id, &work.backup.id);
    // Boxed: the state of a transfer is large.
    let saving = Box::pin(async {
        tokio::select! {
            saved = saving => saved,
            lost = instant.until_lost() => Err(lost),
        }
    });
    let disks = reporting(context, log, backup_id, &progress, saving).await??;
    let outcome = BackupOutcome {
        disks,
        protected_at,
        quiesce: instant.quiesce.clone(),
        machine: work.machine.clone(),
    };
    publish(context, repository, work, outcome).await
}

/// One disk on its way into the repository.
struct Saver<'a> {
    context: &'a Context,
    repository: &'a Repository,
    instant: &'a Instant,
    disk: &'a DiskWork,
    provenance: Provenance,
    progress: &'a Progress,
}

impl Saver<'_> {
    /// Saves what has changed; all of it where that is not known, or not to be believed.
    async fn save(&self) -> Result<DiskSaved, JobError> {
        let (source, why) = match self.instant.open(self.disk).await? {
            Served::Whole(source, because) => (source, ReadWhole::because(because)),
            Served::Changed(changed) => match self.save_changes(*changed).await? {
                Ok(saved) => return Ok(saved),
                Err(why) => {
                    let opening = self.instant.open_whole(self.disk, &why.because);
                    (opening.await?, why)
                }
            },
        };
        let new = new_point(self.disk, source.size_bytes(), &self.provenance);
        let cancel = &self.context.cancel;
        let saving = transfer::back_up(self.repository, source, new, self.progress, cancel);
        let backed_up = saving.await.map_err(|error| self.job_error(error))?;
        self.saved(&backed_up, Some(why))
    }

    /// Answers why, if that could not be.
    async fn save_changes(
        &self,
        changed: Changed,
    ) -> Result<Result<DiskSaved, ReadWhole>, JobError> {
        let new = new_point(self.disk, changed.exports.0.size_bytes(), &self.provenance);
        let (changes, mut again) = changed.exports;
        let read_again = move |offset, buffer: &mut [u8]| again.read_at(offset, buffer);
        let saving = transfer::back_up_changes(
            self.repository,
            (changes, Box::new(read_again)),
            (&changed.since, changed.audit),
            changed.pace,
            new,
            self.progress,
            &self.context.cancel,
        );
        match saving.await {
            Ok(backed_up) => Ok(Ok(self.saved(&backed_up, None)?)),
            Err(error) => match ReadWhole::instead_of(self.disk, error) {
                Ok(why) => Ok(Err(why)),
                Err(error) => Err(self.job_error(error)),
            },
        }
    }

    fn saved(&self, backed_up: &BackedUp, whole: Option<ReadWhole>) -> Result<DiskSaved, JobError> {
        if backed_up.commit.point.attributes != self.provenance.to_attributes() {
            return Err(JobError::Retry(
                "an attempt that was thought dead has stored a point of another instant".into(),
            ));
        }
        Ok(saved(self.disk, backed_up, whole))
    }

    fn job_error(&self, error: TransferError) -> JobError {
        let of_disk = match &error {
            TransferError::Disk(error) => Some(error),
            TransferError::Repository(Error::Reread { source, .. }) => source.downcast_ref(),
            _ => None,
        };
        if let Some(of_disk) = of_disk
            && is_of_lost_instant(of_disk)
        {
            tracing::warn!(error = %Chain(of_disk), "QEMU does not serve a disk any more");
            let why = "most likely the scratch folder was too small for what the guest overwrote";
            return JobError::Retry(why.into());
        }
        match error {
            // What is read comes from QEMU: the disk itself may be sound.
            TransferError::Disk(error) => {
                JobError::Retry(disk_failure(self.disk, &error).message.into())
            }
            TransferError::Repository(error @ Error::Reread { .. }) => {
                JobError::Retry(Box::new(error))
            }
            error => error.into(),
        }
    }
}
