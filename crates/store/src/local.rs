//! A folder as a place for objects, each a file.

mod list;
mod objects;
mod sweep;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use objects::LocalObjects;
pub use sweep::Swept;
pub(crate) use sweep::sweep;

use crate::{Error, Result, Storage};

/// What [`open_local`] does when the folder is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Create {
    /// Make it, with its parents.
    IfMissing,
    /// Report [`Error::NoFolder`].
    Never,
}

/// Opens a folder.
pub fn open_local(folder: &Path, create: Create) -> Result<Storage> {
    match create {
        Create::IfMissing => make_folder(folder).map_err(|source| {
            Error::unavailable(format!("make the folder {}", folder.display()), source)
        })?,
        Create::Never if !folder.is_dir() => return Err(Error::NoFolder(folder.to_owned())),
        Create::Never => {}
    }
    let objects = LocalObjects::open(folder).map_err(|source| {
        Error::unavailable(format!("open the folder {}", folder.display()), source)
    })?;
    Ok(Storage::local(Arc::new(objects), folder.to_owned()))
}

/// Makes the folder and its parents. Their names are durable when it returns, as those of the objects will be.
fn make_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = parent_of(folder);
    make_folder(parent)?;
    match fs::create_dir(folder) {
        // Somebody else was first.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => {}
        made => made?,
    }
    sync_folder(parent)
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes durable which names the folder holds.
fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
