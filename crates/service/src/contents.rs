//! The content of a backup's disk as one image that is read over a connection. While somebody reads it, the backup is not deleted.
//!
//! Who reads is known to this process alone: no reader outlives it, so that nothing is left to be cleared after a crash.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use strongroom_db::{Backup, Tx, Vault};
use strongroom_types::{BackupId, ProjectId, ResourceId, VolumeFormat};

use crate::attachments;
use crate::{Action, App, Caller, Error, Settings};

/// Bytes in their order; of no use behind an error.
pub type ContentStream = BoxStream<'static, Result<Bytes, Error>>;

/// Finds what disks hold. The worker implements it; tests have one without a repository.
#[async_trait]
pub trait ContentStore: Debug + Send + Sync {
    /// Finds out what the image of a disk's backup will be, which is the same each time; reads no data.
    async fn find(
        &self,
        app: &App,
        disk: &Backup,
        format: VolumeFormat,
    ) -> Result<Box<dyn DiskContent>, Error>;
}

/// The image of a disk.
pub trait DiskContent: Debug + Send {
    /// Of the whole image.
    fn size_bytes(&self) -> u64;

    /// Reads a part that lies within the image.
    fn read(self: Box<Self>, range: Range<u64>) -> ContentStream;
}

/// Whoever reads a backup in this process.
#[derive(Debug, Default)]
pub struct Readers(Mutex<Vec<Reader>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Reader {
    project: ProjectId,
    backup: BackupId,
}

/// Keeps a backup from being deleted, until it is dropped.
#[derive(Debug)]
pub struct Hold {
    readers: Arc<Readers>,
    reader: Reader,
}

/// An image that can be read, as long as it is kept.
#[derive(Debug)]
pub struct HeldContent {
    /// Of the disk.
    pub backup: Backup,
    pub content: Box<dyn DiskContent>,
    pub hold: Hold,
}

/// The content of one of the disks of a server's backup, or of a disk's own.
pub async fn hold(
    app: &App,
    store: &dyn ContentStore,
    caller: &Caller,
    project: &ProjectId,
    (backup, disk): (&BackupId, &ResourceId),
    format: VolumeFormat,
) -> Result<HeldContent, Error> {
    caller.authorise(Action::BackupsExport, project)?;
    let mut tx = app.db.begin().await?;
    let (_, disks) = attachments::lock_readable(&mut tx, project, backup).await?;
    let mut disks = disks.into_iter();
    let backup = disks.find(|row| row.resource_id == *disk);
    let backup = backup.ok_or_else(|| Error::ResourceNotFound {
        resource_id: disk.clone(),
    })?;
    // Before whoever deletes the backup can look.
    let reader = Reader {
        project: project.clone(),
        backup: backup.id.clone(),
    };
    let hold = app.readers.enter(reader, &app.settings)?;
    tx.commit().await?;
    let content = store.find(app, &backup, format).await?;
    Ok(HeldContent {
        backup,
        content,
        hold,
    })
}

/// Whether somebody reads a backup of the vault, under whose lock this is asked; of one resource, or one backup, where it is given.
pub(crate) async fn are_read(
    app: &App,
    tx: &mut Tx,
    vault: &Vault,
    resource: Option<&ResourceId>,
    backup: Option<&BackupId>,
) -> Result<bool, Error> {
    for id in app.readers.backups() {
        let Some(disk) = tx.find_backup(&id).await? else {
            continue;
        };
        let top = match &disk.parent_id {
            Some(parent) => tx.find_backup(parent).await?,
            None => None,
        };
        let top = top.as_ref().unwrap_or(&disk);
        if top.vault_id == vault.id
            && resource.is_none_or(|resource| *resource == top.resource_id)
            && backup.is_none_or(|backup| [&top.id, &disk.id].contains(&backup))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

impl Readers {
    fn enter(self: &Arc<Self>, reader: Reader, settings: &Settings) -> Result<Hold, Error> {
        let mut readers = self.lock();
        let (max, max_of_project) = (settings.readers_max, settings.readers_of_project_max);
        if readers.len() >= max {
            return Err(Error::TooManyReaders { max });
        }
        let of_project = readers
            .iter()
            .filter(|other| other.project == reader.project);
        if of_project.count() >= max_of_project {
            return Err(Error::TooManyReadersOfProject {
                max: max_of_project,
            });
        }
        readers.push(reader.clone());
        Ok(Hold {
            readers: Arc::clone(self),
            reader,
        })
    }

    fn backups(&self) -> Vec<BackupId> {
        let readers = self.lock();
        readers.iter().map(|reader| reader.backup.clone()).collect()
    }

    /// A panic under the lock leaves a list that is whole all the same.
    fn lock(&self) -> MutexGuard<'_, Vec<Reader>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let mut readers = self.readers.lock();
        if let Some(place) = readers.iter().position(|reader| *reader == self.reader) {
            readers.swap_remove(place);
        }
    }
}
