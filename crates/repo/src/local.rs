use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;

use crate::{Error, Result};

/// What [`open_local`] does when the folder is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// Make it, with its parents.
    IfMissing,
    /// Report [`Error::NotARepository`].
    Never,
}

/// A folder as an object store whose writes are durable when they return.
pub fn open_local(path: &Path, create: Create) -> Result<Arc<dyn ObjectStore>> {
    let unavailable = |action: String, source: std::io::Error| Error::Unavailable {
        action,
        source: Arc::new(source),
    };
    match create {
        Create::IfMissing => std::fs::create_dir_all(path)
            .map_err(|e| unavailable(format!("make the folder {}", path.display()), e))?,
        Create::Never if !path.is_dir() => return Err(Error::NotARepository),
        Create::Never => {}
    }
    let store = LocalFileSystem::new_with_prefix(path).map_err(|source| Error::Unavailable {
        action: format!("open the folder {}", path.display()),
        source: Arc::new(source),
    })?;
    Ok(Arc::new(store.with_fsync(true)))
}
