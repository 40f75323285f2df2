//! Serves attached backups as disks, from the start of the process to its end, and tells how it goes.
//!
//! Each attachment has a task of its own, so that a storage that does not answer holds up nobody else. Sockets and overlays
//! are called the same in every process, so that machines that reconnect go on after it was killed.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::{join_all, try_join_all};
use strongroom_attach::{OpenPoint, Place, Plan, ServeError, ServedPoint, remove_socket};
use strongroom_nbd::Server;
use strongroom_repo::{PointId, Repository};
use strongroom_service::attachments::{self, AttachedDisk, AttachmentView};
use strongroom_service::{App, Error};
use strongroom_types::{AttachmentId, AttachmentStatus, Chain};
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::repositories::{Repositories, RepositoryError};
use crate::shared_folder::make_folder_like_parent;

/// Without being rung, it looks so often; what could not be served is tried again, and what could not be written down.
const PAUSE: Duration = Duration::from_secs(5);
/// When the process ends. Clients whose requests take longer ask the next one again.
const GRACE: Duration = Duration::from_secs(10);
/// The folder gives its group to what is made in it, and lets the group write.
const SHARED_WITH_GROUP: u32 = 0o2020;

/// Serves what is attached until it is told to stop.
#[derive(Debug)]
pub struct AttachmentKeeper {
    pub app: App,
    pub repositories: Arc<Repositories>,
    /// What is kept of each disk in memory at most.
    pub cache_bytes: usize,
    /// Serves disks to other hosts, where that is configured.
    pub tls: Option<Arc<Server>>,
}

/// The tasks, and how to end each.
#[derive(Default)]
struct Kept {
    tasks: JoinSet<()>,
    by_id: BTreeMap<AttachmentId, (CancellationToken, AbortHandle)>,
}

/// Why an attachment is not served just now.
#[derive(Debug, thiserror::Error)]
enum AttachError {
    #[error("the backup's storage cannot be opened")]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error("the folder {} cannot be made", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("the service failed")]
    Service(#[from] Error),
    #[error("`worker.attach_tls` is not configured any more")]
    NoTls,
    #[error("the backup has no point")]
    NoPoint,
}

impl AttachmentKeeper {
    pub async fn run(self, stop: CancellationToken) {
        let keeper = Arc::new(self);
        let mut kept = Kept::default();
        while !stop.is_cancelled() {
            match attachments::all(&keeper.app).await {
                Ok(views) => keeper.follow(views, &mut kept).await,
                Err(error) => {
                    tracing::error!(error = %Chain(&error), "attached backups cannot be looked up");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = keeper.app.attachments_changed.notified() => {}
                Some(ended) = kept.tasks.join_next() => report_panic(ended),
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        for (leave, _) in kept.by_id.values() {
            leave.cancel();
        }
        let ending = async {
            while let Some(ended) = kept.tasks.join_next().await {
                report_panic(ended);
            }
        };
        if tokio::time::timeout(GRACE, ending).await.is_err() {
            tracing::warn!("some attached disks were still being read");
        }
    }

    /// Begins and ends tasks until there is one for each backup that shall be served.
    async fn follow(self: &Arc<Self>, views: Vec<AttachmentView>, kept: &mut Kept) {
        kept.by_id.retain(|_, (_, task)| !task.is_finished());
        for (id, (leave, _)) in &kept.by_id {
            let wanted = views.iter().any(|view| {
                let attachment = &view.attachment;
                attachment.id == *id && attachment.status != AttachmentStatus::Detaching
            });
            if !wanted {
                leave.cancel();
            }
        }
        for view in views {
            let id = view.attachment.id.clone();
            if kept.by_id.contains_key(&id) {
                continue;
            }
            if view.attachment.status == AttachmentStatus::Detaching {
                self.clear(view).await;
                continue;
            }
            let leave = CancellationToken::new();
            let keeping = Arc::clone(self).keep(view, leave.clone());
            let task = kept.tasks.spawn(keeping);
            kept.by_id.insert(id, (leave, task));
        }
    }

    /// Serves an attachment, as soon as it can be, until it is told to leave.
    async fn keep(self: Arc<Self>, view: AttachmentView, leave: CancellationToken) {
        let id = &view.attachment.id;
        let mut last_reason = String::new();
        while !leave.is_cancelled() {
            let served = tokio::select! {
                () = leave.cancelled() => break,
                served = self.serve(&view) => served,
            };
            match served {
                Ok(disks) => {
                    tracing::info!(%id, disks = disks.len(), "a backup is attached");
                    self.tell(id, Ok(()), &leave).await;
                    leave.cancelled().await;
                    end(id, disks).await;
                }
                Err(error) => {
                    let reason = error.to_string();
                    if reason != last_reason {
                        tracing::warn!(%id, error = %Chain(&error), "a backup cannot be attached");
                    }
                    self.tell(id, Err(&reason), &leave).await;
                    last_reason = reason;
                    pause(&leave).await;
                }
            }
        }
    }

    /// All disks, or none.
    async fn serve(&self, view: &AttachmentView) -> Result<Vec<ServedPoint>, AttachError> {
        let folder = Path::new(&view.attachment.folder);
        let socket_mode = make_folder(folder).map_err(|source| AttachError::Folder {
            path: folder.to_owned(),
            source,
        })?;
        let repository = self.repository_of(view).await?;
        let opening = view.disks.iter().map(async |disk| {
            let overlay = (!view.attachment.read_only).then(|| disk.overlay.clone().into());
            let plan = Plan {
                place: self.place_of(disk, socket_mode)?,
                overlay,
                cache_bytes: self.cache_bytes,
                start: start_of(view, disk),
            };
            open(&repository, disk, plan).await
        });
        let open = try_join_all(opening).await?;
        let served: Result<_, ServeError> = open.into_iter().map(OpenPoint::serve).collect();
        Ok(served?)
    }

    fn place_of(&self, disk: &AttachedDisk, mode: u32) -> Result<Place, AttachError> {
        match &disk.place {
            attachments::Place::Socket(path) => Ok(Place::Socket {
                path: path.into(),
                mode,
            }),
            attachments::Place::Tls { export, .. } => Ok(Place::Export {
                server: self.tls.clone().ok_or(AttachError::NoTls)?,
                name: export.clone(),
            }),
        }
    }

    async fn repository_of(&self, view: &AttachmentView) -> Result<Repository, AttachError> {
        let disk = view.disks.first().ok_or(AttachError::NoPoint)?;
        let (vault, project) = (&disk.backup.vault_id, &disk.backup.project_id);
        self.repositories.of_vault(&self.app, vault, project).await
    }

    /// Removes what a detached backup has left, and then its row.
    async fn clear(&self, view: AttachmentView) {
        let id = view.attachment.id.clone();
        let clearing = tokio::task::spawn_blocking(move || remove_files(&view));
        match clearing.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%id, %error, "what was written over a backup cannot be removed");
                return;
            }
            Err(error) => {
                tracing::error!(%id, %error, "clearing stopped unexpectedly");
                return;
            }
        }
        match attachments::is_gone(&self.app, &id).await {
            Ok(()) => tracing::info!(%id, "a backup is detached"),
            Err(error) => {
                tracing::error!(%id, error = %Chain(&error), "a backup cannot be detached yet");
            }
        }
    }

    /// Writes a state down, as soon as the database takes it.
    async fn tell(&self, id: &AttachmentId, state: Result<(), &str>, leave: &CancellationToken) {
        while let Err(error) = attachments::report(&self.app, id, state).await {
            tracing::warn!(%id, error = %Chain(&error), "the state of an attached backup cannot be written");
            if leave.is_cancelled() {
                return;
            }
            pause(leave).await;
        }
    }
}

/// A task that panicked: the next look begins another.
fn report_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        tracing::error!(error = %Chain(&error), "serving an attached backup stopped unexpectedly");
    }
}

async fn pause(leave: &CancellationToken) {
    tokio::select! {
        () = leave.cancelled() => {}
        () = tokio::time::sleep(PAUSE) => {}
    }
}

async fn open(
    repository: &Repository,
    disk: &AttachedDisk,
    plan: Plan,
) -> Result<OpenPoint, AttachError> {
    let point: Option<PointId> = disk
        .backup
        .point_id
        .as_deref()
        .and_then(|point| point.parse().ok());
    let point = point.ok_or(AttachError::NoPoint)?;
    Ok(OpenPoint::open(repository, &point, plan).await?)
}

async fn end(id: &AttachmentId, disks: Vec<ServedPoint>) {
    for ended in join_all(disks.into_iter().map(ServedPoint::end)).await {
        if let Err(error) = ended {
            tracing::warn!(%id, error = %Chain(&error), "an attached disk did not end well");
        }
    }
}

/// Beside the folders of attachments, for the disk and whatever point of it. Those that copy a disk out read it otherwise than
/// machines do.
fn start_of(view: &AttachmentView, disk: &AttachedDisk) -> Option<PathBuf> {
    if view.attachment.read_only {
        return None;
    }
    let around = Path::new(&view.attachment.folder).parent()?;
    Some(around.join("starts").join(disk.backup.resource_id.as_str()))
}

/// Makes the folder, as open to others as the one around it, and answers how open its sockets are.
fn make_folder(folder: &Path) -> io::Result<u32> {
    let mode = make_folder_like_parent(folder)?;
    let is_shared = mode & SHARED_WITH_GROUP == SHARED_WITH_GROUP;
    Ok(if is_shared { 0o660 } else { 0o600 })
}

/// Nothing but what was made here: whatever else lies in the folder keeps it.
fn remove_files(view: &AttachmentView) -> io::Result<()> {
    let gone = |removed: io::Result<()>| match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    for disk in &view.disks {
        if let attachments::Place::Socket(socket) = &disk.place {
            remove_socket(Path::new(socket))?;
        }
        gone(fs::remove_file(&disk.overlay))?;
    }
    gone(fs::remove_dir(&view.attachment.folder))
}
