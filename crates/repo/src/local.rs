use std::fs;
use std::io;
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
    let unavailable = |action: String, source: io::Error| Error::Unavailable {
        action,
        source: Arc::new(source),
    };
    match create {
        Create::IfMissing => make_folder(path)
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

/// Makes the folder and its parents. Their names are durable when it returns, as those of the objects will be.
fn make_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    make_folder(parent)?;
    match fs::create_dir(path) {
        // Somebody else was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        made => made?,
    }
    fs::File::open(parent)?.sync_all()
}
