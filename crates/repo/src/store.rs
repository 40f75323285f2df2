//! The few things the engine asks of an object store, with errors in its own words.

mod salvage;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStoreExt, PutMode, PutOptions,
    PutPayload,
};
use strongroom_chunk::{FOOTER_BYTES, Header, Kind, ObjectId};
use strongroom_store::{Fault, Storage, fault_of};
use strongroom_types::IdSource;

use crate::keyring::{Checked, LiveKeys, NextRoot, Opener};
use crate::{Error, Result, layout, marks};
pub(crate) use salvage::Holes;
use salvage::cut_short;

#[derive(Debug, Clone)]
pub(crate) struct Store {
    storage: Storage,
    /// Learns newer keys when an object is read that needs them.
    keys: Option<Arc<LiveKeys>>,
}

/// What [`Store::create`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Created {
    New,
    WasThere,
}

/// An object as a listing shows it.
#[derive(Debug, Clone)]
pub(crate) struct Listed {
    pub(crate) id: ObjectId,
    /// Length in bytes.
    pub(crate) length: u64,
    /// When it was put, by the store's clock; microseconds since 1970.
    pub(crate) modified_us: i64,
    /// Changes when another object takes the name.
    pub(crate) stamp: String,
}

impl Store {
    pub(crate) fn new(storage: Storage) -> Self {
        Self {
            storage,
            keys: None,
        }
    }

    /// The same place, for who has its keys.
    pub(crate) fn with_keys(self, keys: Arc<LiveKeys>) -> Self {
        Self {
            keys: Some(keys),
            ..self
        }
    }

    /// Learns the keys that were added since. [`Error::KeysChanged`] when another secret opens them.
    pub(crate) async fn refresh_keys(&self) -> Result<()> {
        match &self.keys {
            Some(keys) => keys.refresh(self).await,
            None => Ok(()),
        }
    }

    /// See [`LiveKeys::change`].
    pub(crate) async fn change_keys(
        &self,
        opener: Opener<'_>,
        next: NextRoot,
        ids: &Arc<dyn IdSource>,
    ) -> Result<()> {
        match &self.keys {
            Some(keys) => keys.change(self, opener, next, ids).await,
            None => Err(Error::Broken("a place without keys")),
        }
    }

    /// See [`LiveKeys::check`].
    pub(crate) async fn check_keys(&self) -> Result<Checked> {
        match &self.keys {
            Some(keys) => keys.check(self).await,
            None => Err(Error::Broken("a place without keys")),
        }
    }

    /// Looks at the header of an object that was read: another process may have begun to seal with newer keys.
    pub(crate) async fn meet(&self, header: Option<&[u8]>) -> Result<()> {
        let header = header.and_then(|bytes| Header::decode(bytes).ok());
        if let (Some(header), Some(keys)) = (header, &self.keys)
            && header.repository == keys.keys().repository()
            && header.generation > keys.keys().newest_generation()
        {
            keys.refresh(self).await?;
        }
        Ok(())
    }

    /// Where the objects lie.
    pub(crate) fn storage(&self) -> &Storage {
        &self.storage
    }

    /// Writes an object unless there is one of this name; durable when it returns.
    pub(crate) async fn create(&self, path: &Path, pieces: Vec<Bytes>) -> Result<Created> {
        let options = PutOptions {
            mode: PutMode::Create,
            ..PutOptions::default()
        };
        let payload: PutPayload = pieces.into_iter().collect();
        match self.storage.objects.put_opts(path, payload, options).await {
            Ok(_) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::WasThere),
            Err(error) => Err(Error::store("write", path, error)),
        }
    }

    /// Makes durable that these objects, which others wrote, are there.
    pub(crate) async fn make_durable(&self, paths: Vec<Path>) -> Result<()> {
        Ok(self.storage.make_durable(paths).await?)
    }

    /// Begins an object of several parts, for names that nobody else uses: it is there, whole and durable, once it
    /// is completed, and replaces what has its name.
    pub(crate) async fn begin_upload(&self, path: &Path) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.storage.objects.put_multipart(path).await;
        begun.map_err(|error| Error::store("write", path, error))
    }

    /// Reads an object; [`Error::Corrupt`] if the disk cannot read all of it, as of every read here, or it is larger than
    /// [`layout::bytes_max`].
    pub(crate) async fn read(&self, path: &Path) -> Result<Bytes> {
        let bytes = self.read_plain(path).await?;
        self.meet(Some(&bytes)).await?;
        Ok(bytes)
    }

    /// Reads an object that is no sealed one.
    pub(crate) async fn read_plain(&self, path: &Path) -> Result<Bytes> {
        self.salvage(path).await?.whole(path)
    }

    /// The last `length` bytes of an object, or all of it if it is shorter, and its whole length.
    pub(crate) async fn read_tail(&self, path: &Path, length: u64) -> Result<(Bytes, u64)> {
        let options = GetOptions {
            range: Some(GetRange::Suffix(length)),
            ..GetOptions::default()
        };
        let read = match self.storage.objects.get_opts(path, options).await {
            Ok(result) => {
                let object_length = result.meta.size;
                result.bytes().await.map(|tail| (tail, object_length))
            }
            Err(error) => Err(error),
        };
        let (tail, object_length) = match read {
            Ok(read) => read,
            Err(error) => {
                let object_length = self.length_of_unreadable(path, error).await?;
                let range = object_length.saturating_sub(length)..object_length;
                let tail = self.salvage_range(path, range).await?;
                (tail.whole(path)?, object_length)
            }
        };
        let footer = tail.len().checked_sub(FOOTER_BYTES);
        self.meet(footer.map(|at| &tail[at..])).await?;
        Ok((tail, object_length))
    }

    pub(crate) async fn read_ranges(
        &self,
        path: &Path,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>> {
        let parts = self.storage.objects.get_ranges(path, ranges).await;
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) if fault_of(&error) == Fault::Unreadable => {
                return self.read_each(path, ranges).await;
            }
            Err(error) => return Err(self.explain(path, ranges, error).await),
        };
        for (part, range) in parts.iter().zip(ranges) {
            if part.len() as u64 != range.end - range.start {
                return Err(cut_short(path));
            }
        }
        Ok(parts)
    }

    /// Says which bytes it was that could not be read.
    async fn read_each(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut parts = Vec::with_capacity(ranges.len());
        let mut holes = Holes::default();
        for range in ranges {
            let salvaged = self.salvage_range(path, range.clone()).await?;
            holes.extend(salvaged.holes);
            parts.push(salvaged.bytes);
        }
        if holes.is_empty() {
            return Ok(parts);
        }
        Err(holes.error(path))
    }

    /// Places refuse ranges that lie behind an object's end, each in its own words.
    async fn explain(
        &self,
        path: &Path,
        ranges: &[Range<u64>],
        error: object_store::Error,
    ) -> Error {
        let end = ranges.iter().map(|range| range.end).max().unwrap_or(0);
        if fault_of(&error) == Fault::Failed
            && let Ok(meta) = self.storage.objects.head(path).await
            && meta.size < end
        {
            return cut_short(path);
        }
        Error::store("read", path, error)
    }

    /// Every object of a kind; files that are none of ours are left out.
    pub(crate) async fn list(&self, kind: Kind) -> Result<Vec<Listed>> {
        self.list_folder(layout::folder(kind), |path| layout::parse(kind, path))
            .await
    }

    pub(crate) async fn list_point_copies(&self) -> Result<Vec<Listed>> {
        self.list_folder(layout::POINT_COPIES, layout::parse_point_copy)
            .await
    }

    async fn list_folder(
        &self,
        folder: &str,
        parse: impl Fn(&Path) -> Option<ObjectId>,
    ) -> Result<Vec<Listed>> {
        let folder = Path::from(folder);
        let objects: Vec<ObjectMeta> = self
            .storage
            .objects
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|error| Error::store("list", &folder, error))?;
        let listed = objects.into_iter().filter_map(|object| {
            Some(Listed {
                id: parse(&object.location)?,
                length: object.size,
                modified_us: object.last_modified.timestamp_micros(),
                stamp: format!("{} {:?}", object.last_modified, object.e_tag),
            })
        });
        Ok(listed.collect())
    }

    /// The last parts of the names of all objects in a folder.
    pub(crate) async fn list_names(&self, folder: &str) -> Result<Vec<String>> {
        let folder = Path::from(folder);
        let objects = self.storage.objects.list(Some(&folder));
        let names = objects.try_filter_map(async |o| Ok(o.location.filename().map(str::to_owned)));
        let listed = names.try_collect().await;
        listed.map_err(|error| Error::store("list", &folder, error))
    }

    /// The packs that are marked as damaged.
    pub(crate) async fn list_marks(&self) -> Result<Vec<ObjectId>> {
        let folder = Path::from(marks::FOLDER);
        let marks = self
            .storage
            .objects
            .list(Some(&folder))
            .try_filter_map(|mark| async move {
                Ok(mark.location.filename().and_then(ObjectId::from_hex))
            });
        let listed = marks.try_collect().await;
        listed.map_err(|error| Error::store("list", &folder, error))
    }

    /// Puts this content in the place of what has the name, or where nothing has: whoever reads sees the one or the
    /// other, whole. For content that is known to be right, since it may undo what others did meanwhile.
    pub(crate) async fn replace(&self, path: &Path, pieces: Vec<Bytes>) -> Result<()> {
        let payload: PutPayload = pieces.into_iter().collect();
        let put = self.storage.objects.put(path, payload).await;
        put.map(drop)
            .map_err(|error| Error::store("replace", path, error))
    }

    /// Gives an object another name, unless something has it, without reading it.
    pub(crate) async fn rename(&self, from: &Path, to: &Path) -> Result<Created> {
        match self.storage.objects.rename_if_not_exists(from, to).await {
            Ok(()) => Ok(Created::New),
            Err(object_store::Error::AlreadyExists { .. }) => Ok(Created::WasThere),
            Err(error) => Err(Error::store("move", from, error)),
        }
    }

    /// Is there an object of this name, whatever it holds?
    pub(crate) async fn exists(&self, path: &Path) -> Result<bool> {
        match self.storage.objects.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(Error::store("look for", path, error)),
        }
    }

    /// Removes an object; nothing happens if there is none.
    pub(crate) async fn delete(&self, path: &Path) -> Result<()> {
        match self.storage.objects.delete(path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::store("delete", path, error)),
        }
    }
}
