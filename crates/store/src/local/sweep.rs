//! Half-written files of writers that were killed. A writer fills `NAME#1` (or `#2`, …) and then links it to NAME;
//! no listing shows such a file, so nobody else would ever remove it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use object_store::path::Path as Object;
use strongroom_types::Timestamp;

use super::sync_folder;
use crate::{Error, Result};

/// Objects lie at most this many folders deep.
const DEPTH_MAX: u8 = 4;

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    pub files: u64,
    pub bytes: u64,
}

/// The objects that half-written files were to become.
pub(crate) async fn unfinished(folder: &Path) -> Result<Vec<Object>> {
    let root = folder.to_owned();
    blocking("look for", folder, move || {
        let mut objects = Vec::new();
        let mut note = |_: &Path, object: Object| {
            objects.push(object);
            Ok(false)
        };
        visit(&root, &root, DEPTH_MAX, &mut note)?;
        Ok(objects)
    })
    .await
}

/// Removes half-written files that nobody has written to since `before`, and those of `abandoned` objects.
pub(crate) async fn sweep(
    folder: &Path,
    before: Timestamp,
    abandoned: HashSet<Object>,
) -> Result<Swept> {
    let root = folder.to_owned();
    blocking("remove", folder, move || {
        let mut swept = Swept::default();
        let mut remove = |file: &Path, object: Object| {
            // Its writer may end at any time.
            let Some(metadata) = unless_gone(fs::symlink_metadata(file))? else {
                return Ok(false);
            };
            if changed_at(&metadata)? >= before && !abandoned.contains(&object) {
                return Ok(false);
            }
            let removed = unless_gone(fs::remove_file(file))?.is_some();
            if removed {
                swept.files += 1;
                swept.bytes += metadata.len();
            }
            Ok(removed)
        };
        visit(&root, &root, DEPTH_MAX, &mut remove)?;
        Ok(swept)
    })
    .await
}

async fn blocking<T: Send + 'static>(
    verb: &str,
    folder: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T> {
    let action = format!("{verb} half-written files in {}", folder.display());
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|source| Error::unavailable(action, source)),
        Err(source) => Err(Error::unavailable(action, source)),
    }
}

/// Calls `act` with each half-written file and its object. What that removed is durably gone when this returns.
fn visit(
    root: &Path,
    folder: &Path,
    depth: u8,
    act: &mut dyn FnMut(&Path, Object) -> io::Result<bool>,
) -> io::Result<()> {
    let mut removed = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (kind, file) = (entry.file_type()?, entry.path());
        if kind.is_dir() && depth > 0 {
            visit(root, &file, depth - 1, act)?;
        }
        if let (true, Some(object)) = (kind.is_file(), object_of(root, &file)) {
            removed |= act(&file, object)?;
        }
    }
    if removed { sync_folder(folder) } else { Ok(()) }
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a half-written file was to become; nothing for any other file.
fn object_of(root: &Path, file: &Path) -> Option<Object> {
    let name = file.strip_prefix(root).ok()?.to_str()?;
    let (object, _) = name.rsplit_once('#').filter(|_| is_staging_name(name))?;
    Object::parse(object).ok()
}

fn is_staging_name(name: &str) -> bool {
    let number = name.rsplit_once('#').map_or("", |(_, number)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

fn changed_at(metadata: &fs::Metadata) -> io::Result<Timestamp> {
    let since = metadata.modified()?.duration_since(UNIX_EPOCH);
    let since = since.unwrap_or(Duration::ZERO);
    Ok(Timestamp::from_micros(0).plus(since))
}
