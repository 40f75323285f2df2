//! Bringing index segments to where they can be searched: in the repository's folder, in the cache folder, or in memory.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use strongroom_chunk::{HEADER_BYTES, Keys, Kind, ObjectId};
use strongroom_index::{Error as IndexError, OpenSegment};
use strongroom_store::{Fault, fault_of_io};
use strongroom_types::Chain;
use tempfile::NamedTempFile;

use crate::repository::blocking;
use crate::store::Store;
use crate::{Error, Result, layout};

/// Read at once from the store.
const WINDOW_BYTES: u64 = 8 << 20;

/// Opens the segment `id`, an object of `length` bytes.
pub(super) async fn open(
    store: &Store,
    keys: &Keys,
    id: ObjectId,
    length: u64,
) -> Result<OpenSegment> {
    let segment = if let Some(folder) = store.storage().folder() {
        let file = folder.join(layout::name(Kind::IndexSegment, id));
        match open_file(store, file, id, keys).await {
            Err(error) => return Err(in_place(store, id, error).await),
            segment => segment?,
        }
    } else if let Some(cache) = cache_folder(store, keys)
        && !OpenSegment::is_small(length)
    {
        open_cached(store, keys, id, length, cache).await?
    } else {
        open_in_memory(store, keys, id).await?
    };
    if segment.id() == id {
        return Ok(segment);
    }
    Err(another(id))
}

async fn open_file(store: &Store, file: PathBuf, id: ObjectId, keys: &Keys) -> Result<OpenSegment> {
    let keys = keys.clone();
    let (header, file) = blocking(move || {
        let mut header = Vec::with_capacity(HEADER_BYTES);
        let read = File::open(&file)
            .and_then(|file| file.take(HEADER_BYTES as u64).read_to_end(&mut header));
        match read {
            Ok(_) => Ok((header, file)),
            Err(error) => Err(failed(&layout::name(Kind::IndexSegment, id), error.into())),
        }
    })
    .await?;
    store.meet(Some(&header)).await?;
    blocking(move || {
        let opened = OpenSegment::open_file(&file, &keys);
        opened.map_err(|error| failed(&layout::name(Kind::IndexSegment, id), error))
    })
    .await
}

async fn open_in_memory(store: &Store, keys: &Keys, id: ObjectId) -> Result<OpenSegment> {
    let path = layout::path(Kind::IndexSegment, id);
    let bytes = store.read(&path).await?;
    let keys = keys.clone();
    blocking(move || {
        let opened = OpenSegment::open_bytes(bytes, &keys);
        opened.map_err(|error| failed(path.as_ref(), error))
    })
    .await
}

/// A copy that cannot be used is made again; where none can be made, memory must do.
async fn open_cached(
    store: &Store,
    keys: &Keys,
    id: ObjectId,
    length: u64,
    folder: PathBuf,
) -> Result<OpenSegment> {
    let file = folder.join(id.to_string());
    if let Ok(segment) = open_file(store, file.clone(), id, keys).await
        && segment.length() == length
    {
        return Ok(segment);
    }
    let downloaded = match download(store, id, length, &folder).await? {
        Ok(copy) => blocking(move || Ok(keep(copy, &folder.join(id.to_string())))).await?,
        Err(error) => Err(error),
    };
    match downloaded {
        Ok(()) => match open_file(store, file, id, keys).await {
            // Swept by another process that knows newer segments.
            Err(Error::Missing { .. }) => open_in_memory(store, keys, id).await,
            opened => opened,
        },
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "an index segment cannot be kept in the cache folder");
            open_in_memory(store, keys, id).await
        }
    }
}

/// The inner error is the cache folder's.
async fn download(
    store: &Store,
    id: ObjectId,
    length: u64,
    folder: &Path,
) -> Result<io::Result<NamedTempFile>> {
    let path = layout::path(Kind::IndexSegment, id);
    let made = fs::create_dir_all(folder).and_then(|()| NamedTempFile::new_in(folder));
    let mut file = match made {
        Ok(file) => file,
        Err(error) => return Ok(Err(error)),
    };
    let mut from = 0;
    while from < length {
        let to = length.min(from + WINDOW_BYTES);
        let ranges = std::slice::from_ref(&(from..to)).to_vec();
        let window = store.read_ranges(&path, &ranges).await?.concat();
        let (written, back) = blocking(move || Ok((file.write_all(&window), file))).await?;
        file = back;
        if let Err(error) = written {
            return Ok(Err(error));
        }
        from = to;
    }
    Ok(Ok(file))
}

/// Whole before it has its name, so that a cut-off copy is never taken for the object.
fn keep(copy: NamedTempFile, target: &Path) -> io::Result<()> {
    copy.as_file().sync_all()?;
    copy.persist(target).map_err(|error| error.error)?;
    Ok(())
}

/// Reads all of a segment as the store has it now.
pub(super) async fn check(store: &Store, keys: &Keys, segment: Arc<OpenSegment>) -> Result<()> {
    let (id, length, keys) = (segment.id(), segment.length(), keys.clone());
    let is_in_place = store.storage().folder().is_some();
    let copy = match cache_folder(store, &keys) {
        Some(cache) if !OpenSegment::is_small(length) => {
            let copy = download(store, id, length, &cache).await?;
            Some(copy.map_err(|error| failed("cache", error.into()))?)
        }
        _ => None,
    };
    let checked = blocking(move || {
        let checked = match copy {
            Some(copy) => OpenSegment::open_file(copy.path(), &keys).and_then(|s| s.check_all()),
            None => segment.check_all(),
        };
        checked.map_err(|error| failed(&layout::name(Kind::IndexSegment, id), error))
    });
    match checked.await {
        Err(error) if is_in_place => Err(in_place(store, id, error).await),
        checked => checked,
    }
}

/// What `error` means for a segment that lies in the repository's own folder: a bad sector under it is damage, and
/// the packs say what it said.
async fn in_place(store: &Store, id: ObjectId, error: Error) -> Error {
    let Error::Unavailable { action, source } = error else {
        return error;
    };
    let fault = source.downcast_ref().map(fault_of_io);
    if fault == Some(Fault::Unreadable) && store.is_otherwise_readable().await {
        return Error::Corrupt {
            object: layout::name(Kind::IndexSegment, id),
            detail: "the disk cannot read it".to_owned(),
        };
    }
    Error::Unavailable { action, source }
}

/// Opens and checks a segment without any copy of it.
pub(super) async fn check_stored(store: &Store, keys: &Keys, id: ObjectId) -> Result<()> {
    let segment = match store.storage().folder() {
        Some(folder) => {
            let file = folder.join(layout::name(Kind::IndexSegment, id));
            open_file(store, file, id, keys).await?
        }
        None => open_in_memory(store, keys, id).await?,
    };
    if segment.id() != id {
        return Err(another(id));
    }
    blocking(move || {
        let checked = segment.check_all();
        checked.map_err(|error| failed(&layout::name(Kind::IndexSegment, id), error))
    })
    .await
}

fn another(id: ObjectId) -> Error {
    Error::Corrupt {
        object: layout::name(Kind::IndexSegment, id),
        detail: "it is another object under this name".to_owned(),
    }
}

/// Where copies of this repository's segments are kept, if it lies elsewhere.
fn cache_folder(store: &Store, keys: &Keys) -> Option<PathBuf> {
    let storage = store.storage();
    if storage.folder().is_some() {
        return None;
    }
    let cache = storage.cache()?;
    Some(cache.join(keys.repository().to_string()).join("index"))
}

/// Removes copies of other segments than these.
pub(super) async fn sweep_cache(store: &Store, keys: &Keys, in_use: HashSet<ObjectId>) {
    let Some(folder) = cache_folder(store, keys) else {
        return;
    };
    let swept = blocking(move || Ok(sweep(&folder, &in_use))).await;
    if let Ok(Err(error)) = swept
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(error = %Chain(&error), "old copies of index segments stay in the cache folder");
    }
}

fn sweep(folder: &Path, in_use: &HashSet<ObjectId>) -> io::Result<()> {
    for file in fs::read_dir(folder)? {
        let file = file?;
        let id = file.file_name().to_str().and_then(ObjectId::from_hex);
        if id.is_some_and(|id| !in_use.contains(&id)) {
            fs::remove_file(file.path())?;
        }
    }
    Ok(())
}

/// What `error` means for the object.
pub(super) fn failed(object: &str, error: IndexError) -> Error {
    match error {
        IndexError::Damaged(error) => Error::decoding(object, error),
        IndexError::Read(error) if error.kind() == io::ErrorKind::NotFound => Error::Missing {
            object: object.to_owned(),
        },
        IndexError::Read(source) => Error::Unavailable {
            action: format!("read {object}"),
            source,
        },
        IndexError::Input { error, .. } => failed(object, *error),
        IndexError::Stopped => Error::Fenced,
    }
}
