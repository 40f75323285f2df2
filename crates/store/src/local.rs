//! A folder as a place for objects, each a file.

mod list;
mod objects;
mod sweep;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::path::Path as ObjectPath;

use objects::LocalObjects;
pub use sweep::Swept;
pub(crate) use sweep::{sweep, unfinished};

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

/// Syncs the folders that hold these objects.
pub(crate) async fn make_durable(folder: &Path, objects: Vec<ObjectPath>) -> Result<()> {
    let place = folder.to_owned();
    let work = move || {
        let files = objects.iter().map(|object| place.join(object.as_ref()));
        let folders: BTreeSet<PathBuf> = files.map(|file| parent_of(&file).to_owned()).collect();
        folders.iter().try_for_each(|folder| {
            match sync_folder(folder) {
                // With everything that was in it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                synced => synced,
            }
        })
    };
    let action = || format!("make durable what lies in {}", folder.display());
    match tokio::task::spawn_blocking(work).await {
        Ok(synced) => synced.map_err(|source| Error::unavailable(action(), source)),
        Err(source) => Err(Error::unavailable(action(), source)),
    }
}
