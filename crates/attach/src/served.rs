use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use strongroom_nbd::{Export, Fault, Limits, Listener, Offer, Server, Writable};
use strongroom_repo::{PointId, PointView, Repository};
use tokio::runtime::Handle;
use tokio::task::JoinSet;

use crate::start::{self, Recording};
use crate::{Overlay, PointExport, bind, overlay};

/// How long a collection waits at most for a point that is served.
const COLLECTIONS_WAIT: Duration = Duration::from_mins(5);

/// How long a machine is taken to be starting, from its first read.
const START: Duration = Duration::from_mins(1);
/// As many as are fetched ahead of readers.
const AREAS_AT_ONCE: usize = 4;

/// Where and how a point is to be served.
#[derive(Debug, Clone)]
pub struct Plan {
    pub place: Place,
    /// Keeps what is written, new or from the last time; without one, the disk is read-only.
    pub overlay: Option<PathBuf>,
    /// What is kept of the point in memory at most.
    pub cache_bytes: usize,
    /// Remembers what machines read of this disk when they start; what is written there is fetched ahead, and written anew.
    pub start: Option<PathBuf>,
}

/// Where clients find a point.
#[derive(Debug, Clone)]
pub enum Place {
    /// The default export at a socket of its own, whose path may have about 100 bytes; and the socket's permissions.
    Socket { path: PathBuf, mode: u32 },
    /// One of the exports of a server that runs already.
    Export { server: Arc<Server>, name: String },
}

/// Why a point cannot be served, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error(transparent)]
    Repository(#[from] strongroom_repo::Error),
    #[error(transparent)]
    Overlay(#[from] overlay::Error),
    #[error("the socket {} cannot be made", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("the export {name} cannot be offered")]
    Export { name: String, source: io::Error },
    #[error("no thread could be started")]
    Thread(#[source] io::Error),
    /// What was written last may be lost.
    #[error("what was written is not on the disk: {0}")]
    NotFlushed(String),
    #[error("serving stopped unexpectedly")]
    Panicked,
}

/// A point that is open as a disk, and not served yet.
pub struct OpenPoint {
    view: Arc<PointView>,
    recording: Arc<Recording>,
    export: Arc<dyn Export>,
    plan: Plan,
}

/// A point that is served as a disk. Clients that reconnect wait when it ends, and go on with the next that is served at
/// the socket over the same overlay.
pub struct ServedPoint {
    view: Arc<PointView>,
    serving: Serving,
    export: Arc<dyn Export>,
    upkeep: JoinSet<()>,
}

#[derive(Debug)]
enum Serving {
    Socket(Server),
    Export(Offer),
}

impl fmt::Debug for OpenPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenPoint({:?})", self.plan)
    }
}

impl fmt::Debug for ServedPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServedPoint({:?})", self.serving)
    }
}

impl OpenPoint {
    pub async fn open(
        repository: &Repository,
        point: &PointId,
        plan: Plan,
    ) -> Result<Self, ServeError> {
        let view = Arc::new(repository.view_point(point, plan.cache_bytes).await?);
        let recording = Arc::<Recording>::default();
        let below = PointExport::new(Arc::clone(&view), Handle::current());
        let below = Arc::new(below.recorded(Arc::clone(&recording)));
        let export: Arc<dyn Export> = match plan.overlay.clone() {
            None => below,
            Some(file) => {
                let identity = point.to_string();
                let opening =
                    tokio::task::spawn_blocking(move || Overlay::open(&file, below, &identity));
                Arc::new(opening.await.map_err(|_| ServeError::Panicked)??)
            }
        };
        Ok(Self {
            view,
            recording,
            export,
            plan,
        })
    }

    /// Takes the place of what an ended process has left at the socket.
    pub fn serve(self) -> Result<ServedPoint, ServeError> {
        let serving = Serving::begin(&self.plan.place, Arc::clone(&self.export))?;
        let mut upkeep = JoinSet::new();
        upkeep.spawn(let_collections_go(Arc::clone(&self.view)));
        if let Some(file) = self.plan.start {
            // The rest is for what is read meanwhile.
            let room = self.plan.cache_bytes / 2;
            let areas = start::load(&file, self.view.size_bytes(), room);
            upkeep.spawn(bring(Arc::clone(&self.view), areas));
            upkeep.spawn(remember(self.recording, file));
        }
        Ok(ServedPoint {
            upkeep,
            view: self.view,
            export: self.export,
            serving,
        })
    }
}

impl ServedPoint {
    /// Closes the connections and flushes what was written. Collections need not wait any more.
    pub async fn end(mut self) -> Result<(), ServeError> {
        self.upkeep.shutdown().await;
        let (serving, export) = (self.serving, self.export);
        let stopping = tokio::task::spawn_blocking(move || {
            serving.end();
            export.writable().map_or(Ok(()), Writable::flush)
        });
        let flushed = stopping.await.map_err(|_| ServeError::Panicked)?;
        if let Some(view) = Arc::into_inner(self.view) {
            view.end().await;
        }
        flushed.map_err(|Fault { message, .. }| ServeError::NotFlushed(message))
    }
}

impl Serving {
    fn begin(place: &Place, export: Arc<dyn Export>) -> Result<Self, ServeError> {
        match place {
            Place::Socket { path, mode } => {
                let listener = bind(path, *mode).map_err(|source| ServeError::Socket {
                    path: path.clone(),
                    source,
                })?;
                let exports = [(String::new(), export)];
                Server::start(Listener::Unix(listener), exports, Limits::default())
                    .map(Self::Socket)
                    .map_err(ServeError::Thread)
            }
            Place::Export { server, name } => {
                let offer = server.offer(name, export);
                offer
                    .map(Self::Export)
                    .map_err(|source| ServeError::Export {
                        name: name.clone(),
                        source,
                    })
            }
        }
    }

    /// Closes the connections, and waits for what their requests are doing just now.
    fn end(self) {
        match self {
            Self::Socket(server) => server.stop(),
            Self::Export(offer) => offer.withdraw(),
        }
    }
}

async fn let_collections_go(view: Arc<PointView>) {
    loop {
        tokio::time::sleep(COLLECTIONS_WAIT).await;
        if let Err(error) = view.let_collections_go().await {
            tracing::warn!(%error, "collections wait for a point that is served");
        }
    }
}

async fn bring(view: Arc<PointView>, areas: Vec<Range<u64>>) {
    stream::iter(&areas)
        .for_each_concurrent(AREAS_AT_ONCE, |area| view.bring(area))
        .await;
}

async fn remember(recording: Arc<Recording>, file: PathBuf) {
    recording.has_begun.notified().await;
    tokio::time::sleep(START).await;
    if let Err(error) = start::save(&file, &recording.end()) {
        tracing::warn!(%error, "what a machine read when it started cannot be remembered");
    }
}

/// Removes the socket of a point that is served no more.
pub fn remove_socket(socket: &Path) -> io::Result<()> {
    for path in [socket.to_owned(), crate::socket::unfinished(socket)] {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}
