//! Listing files. What cannot be looked at is an error: a listing that leaves out an object says that it is not there.

use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path as File;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectMeta, Result};

use super::objects::failed;

/// All objects below `prefix`, in no order. Files that go while this runs are left out, and those that are not whole yet.
pub(super) fn list(files: &LocalFileSystem, prefix: &Path) -> Result<Vec<ObjectMeta>> {
    let mut folders = vec![(prefix.clone(), files.path_to_filesystem(prefix)?)];
    let mut found = Vec::new();
    while let Some((location, folder)) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if is_absent(&error) => continue,
            Err(error) => return Err(failed(error)),
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            // Nothing else in this folder has a name that is no text, or this character.
            let Some(name) = name.to_str().filter(|name| !name.contains('#')) else {
                continue;
            };
            let location = location.clone().join(name);
            let Some((kind, metadata)) = look(&entry.path()).map_err(failed)? else {
                continue;
            };
            if kind.is_dir() {
                folders.push((location, entry.path()));
            } else if kind.is_file() {
                found.push(describe(location, &metadata).map_err(failed)?);
            }
        }
    }
    Ok(found)
}

/// What lies there, behind links too; nothing if it is gone.
fn look(file: &File) -> io::Result<Option<(FileType, Metadata)>> {
    match fs::metadata(file) {
        Ok(metadata) => Ok(Some((metadata.file_type(), metadata))),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

fn describe(location: Path, metadata: &Metadata) -> io::Result<ObjectMeta> {
    let modified = metadata.modified()?;
    let stamp = format!(
        "{:x}-{:x}-{:x}-{:x}",
        metadata.ino(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.len()
    );
    Ok(ObjectMeta {
        location,
        last_modified: modified.into(),
        size: metadata.len(),
        e_tag: Some(stamp),
        version: None,
    })
}
