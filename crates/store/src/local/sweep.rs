//! Half-written files of writers that were killed. A writer fills `NAME#1` (or `#2`, …) and then links it to NAME;
//! no listing shows such a file, so nobody else would ever remove it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

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

/// Removes half-written files that nobody has written to since `before`.
pub(crate) async fn sweep(folder: &Path, before: Timestamp) -> Result<Swept> {
    let folder = folder.to_owned();
    let work = move || {
        let mut swept = Swept::default();
        let done = sweep_folder(&folder, before, DEPTH_MAX, &mut swept);
        done.map(|()| swept).map_err(|source| {
            let action = format!("remove half-written files in {}", folder.display());
            Error::unavailable(action, source)
        })
    };
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|source| Error::unavailable("look for half-written files", source))?
}

fn sweep_folder(folder: &Path, before: Timestamp, depth: u8, swept: &mut Swept) -> io::Result<()> {
    let mut removed = false;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && depth > 0 {
            sweep_folder(&entry.path(), before, depth - 1, swept)?;
        }
        let leftover = entry.file_name().to_str().is_some_and(is_staging_name);
        if !kind.is_file() || !leftover {
            continue;
        }
        let metadata = match entry.metadata() {
            // Its writer ended just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if changed_at(&metadata)? >= before {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            done => done?,
        }
        swept.files += 1;
        swept.bytes += metadata.len();
        removed = true;
    }
    if removed { sync_folder(folder) } else { Ok(()) }
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
