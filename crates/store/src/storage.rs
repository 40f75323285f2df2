use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use strongroom_types::{Clock, IdSource};
use tokio::sync::OnceCell;

use crate::local::{self, Swept};
use crate::requests::{RequestCounts, Requests};
use crate::{Result, probe};

/// What an open place is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageKind {
    Memory,
    Local,
    S3,
}

/// An open place for objects. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The objects. Writes are durable when they return, deletions too.
    pub objects: Arc<dyn ObjectStore>,
    kind: StorageKind,
    folder: Option<Arc<PathBuf>>,
    cache: Option<Arc<PathBuf>>,
    requests: Option<Arc<Requests>>,
    /// Set once the place has proven that it creates exclusively.
    proven: Arc<OnceCell<()>>,
}

impl Storage {
    /// A place that is gone with the process.
    pub fn memory() -> Self {
        Self::wrap(Arc::new(InMemory::new()))
    }

    /// Any object store, for tests.
    pub fn wrap(objects: Arc<dyn ObjectStore>) -> Self {
        Self {
            objects,
            kind: StorageKind::Memory,
            folder: None,
            cache: None,
            requests: None,
            proven: Arc::default(),
        }
    }

    pub(crate) fn local(objects: Arc<dyn ObjectStore>, folder: PathBuf) -> Self {
        Self {
            kind: StorageKind::Local,
            folder: Some(Arc::new(folder)),
            ..Self::wrap(objects)
        }
    }

    pub(crate) fn s3(objects: Arc<dyn ObjectStore>, requests: Arc<Requests>) -> Self {
        Self {
            kind: StorageKind::S3,
            requests: Some(requests),
            ..Self::wrap(objects)
        }
    }

    /// The same place with a local folder in which copies of remote objects may be kept. Losing it costs time only.
    #[must_use]
    pub fn with_cache(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cache = Some(Arc::new(folder.into()));
        self
    }

    pub fn kind(&self) -> StorageKind {
        self.kind
    }

    /// The folder that holds the objects as files, if the place is one.
    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref().map(PathBuf::as_path)
    }

    /// A local folder for copies of a remote place's objects; made by who first needs it.
    pub fn cache(&self) -> Option<&Path> {
        self.cache.as_deref().map(PathBuf::as_path)
    }

    /// Requests that a server was sent since the place was opened.
    pub fn requests(&self) -> Option<RequestCounts> {
        self.requests.as_ref().map(|requests| requests.so_far())
    }

    /// To be asked before the first write: [`crate::Error::NotExclusive`] when the place would let two writers create the
    /// same object. Tried out on servers, once; folders and memory are known to be exclusive.
    pub async fn prove_exclusive_create(&self, ids: &dyn IdSource) -> Result<()> {
        match self.kind {
            StorageKind::Memory | StorageKind::Local => Ok(()),
            StorageKind::S3 => {
                let prove = || probe::prove_exclusive_create(&self.objects, ids);
                self.proven.get_or_try_init(prove).await.copied()
            }
        }
    }

    /// Makes durable that these objects are there. Those that were put by this process are already: a writer that was
    /// killed may have named one and not have got further.
    pub async fn make_durable(&self, objects: Vec<ObjectPath>) -> Result<()> {
        match self.folder() {
            Some(folder) if !objects.is_empty() => local::make_durable(folder, objects).await,
            _ => Ok(()),
        }
    }

    /// Objects that somebody has begun to write, or had when killed. Places that show nothing of that tell of none.
    pub async fn unfinished(&self) -> Result<Vec<ObjectPath>> {
        match self.folder() {
            Some(folder) => local::unfinished(folder).await,
            None => Ok(Vec::new()),
        }
    }

    /// Removes what killed writers left half written: of `abandoned` objects, which nobody writes any more, at once.
    /// `older_than` must exceed the time that a writer may take for one object. Places that leave nothing behind have
    /// nothing to remove.
    pub async fn sweep_leftovers(
        &self,
        clock: &dyn Clock,
        older_than: Duration,
        abandoned: HashSet<ObjectPath>,
    ) -> Result<Swept> {
        match self.folder() {
            Some(folder) => local::sweep(folder, clock.now().minus(older_than), abandoned).await,
            None if self.kind == StorageKind::S3 => {
                probe::sweep(&self.objects, clock.now().minus(older_than)).await
            }
            None => Ok(Swept::default()),
        }
    }
}

impl From<Arc<dyn ObjectStore>> for Storage {
    fn from(objects: Arc<dyn ObjectStore>) -> Self {
        Self::wrap(objects)
    }
}

impl<T: ObjectStore> From<Arc<T>> for Storage {
    fn from(objects: Arc<T>) -> Self {
        Self::wrap(objects)
    }
}
