use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    Result,
};

/// Deletions that one sync of each folder makes durable together, as in `strongroom-store`.
const DELETIONS_AT_ONCE: usize = 256;

/// A folder of objects on a disk that loses its power at the n-th step. It takes the steps of a local place: an object is
/// written to a file of another name, which is synced, then linked or renamed to its own, and its folder is synced; a
/// deletion removes files and syncs their folders. Each step is seen by everybody at once, and survives the cut
/// for sure only behind a sync: of the others any may be lost, later ones kept.
#[derive(Debug, Clone)]
pub struct PowerCut {
    /// What processes see until the cut.
    visible: Arc<InMemory>,
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug)]
struct Disk {
    cut_at: u64,
    steps: u64,
    files: Vec<File>,
    /// By name, without a slash at the end; the place itself is "".
    folders: BTreeMap<String, Folder>,
}

#[derive(Debug)]
struct File {
    bytes: Bytes,
    is_synced: bool,
}

#[derive(Debug, Default)]
struct Folder {
    durable: BTreeMap<String, Entry>,
    /// Since the last sync, in order.
    pending: Vec<Change>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Folder,
    /// Its number.
    File(usize),
}

#[derive(Debug, Clone)]
enum Change {
    Added(String, Entry),
    Removed(String),
    /// Both at once, or none.
    Renamed {
        from: String,
        to: String,
        entry: Entry,
    },
}

impl Folder {
    fn apply(entries: &mut BTreeMap<String, Entry>, change: Change) {
        match change {
            Change::Added(name, entry) => drop(entries.insert(name, entry)),
            Change::Removed(name) => drop(entries.remove(&name)),
            Change::Renamed { from, to, entry } => {
                entries.remove(&from);
                entries.insert(to, entry);
            }
        }
    }

    fn sync(&mut self) {
        for change in std::mem::take(&mut self.pending) {
            Self::apply(&mut self.durable, change);
        }
    }
}

impl PowerCut {
    /// Begins with what `objects` holds, all of it durable. Steps count from 1; with `cut_at` 0 the power stays.
    pub async fn new(objects: &InMemory, cut_at: u64) -> Result<Arc<Self>> {
        let mut disk = Disk {
            cut_at,
            steps: 0,
            files: Vec::new(),
            folders: BTreeMap::from([(String::new(), Folder::default())]),
        };
        let mut listed = objects.list(None);
        while let Some(meta) = listed.next().await {
            let path = meta?.location;
            let bytes = objects.get(&path).await?.bytes().await?;
            disk.files.push(File {
                bytes,
                is_synced: true,
            });
            disk.put_durably(path.as_ref());
        }
        Ok(Arc::new(Self {
            visible: Arc::new(objects.fork()),
            disk: Arc::new(Mutex::new(disk)),
        }))
    }

    /// Number of steps so far.
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Has the power gone?
    pub fn is_cut(&self) -> bool {
        self.lock().is_cut()
    }

    /// Writes to a folder what is found after the cut. `luck` is asked about every step that no sync made durable: an
    /// even number means that it survived. Of a file that was not synced it says what it holds.
    pub fn write_survivors(
        &self,
        target: &std::path::Path,
        luck: &mut dyn FnMut() -> u64,
    ) -> io::Result<()> {
        self.lock().write_folder("", target, luck)
    }

    async fn step<T>(&self, step: impl FnOnce(&mut Disk) -> T) -> Result<T> {
        let done = {
            let mut disk = self.lock();
            disk.steps += 1;
            disk.check()?;
            step(&mut disk)
        };
        // Others take theirs in between.
        tokio::task::yield_now().await;
        Ok(done)
    }

    async fn make_folders(&self, folder: &str) -> Result<()> {
        for (parent, name) in ancestors(folder) {
            let path = join(&parent, &name);
            if self.lock().folders.contains_key(&path) {
                continue;
            }
            self.step(|disk| {
                disk.folders.entry(path).or_default();
                disk.change(&parent, Change::Added(name, Entry::Folder));
            })
            .await?;
            self.step(|disk| disk.sync(&parent)).await?;
        }
        Ok(())
    }

    /// A file of another name with these bytes, synced; its name and number.
    async fn stage(&self, folder: &str, name: &str, bytes: Bytes) -> Result<(String, Entry)> {
        let (staging, number) = self
            .step(|disk| {
                let number = disk.files.len();
                disk.files.push(File {
                    bytes: Bytes::new(),
                    is_synced: false,
                });
                // Numbered by the file, so that no two are alike.
                let staging = format!("{name}#{}", number + 1);
                let entry = Entry::File(number);
                disk.change(folder, Change::Added(staging.clone(), entry));
                (staging, number)
            })
            .await?;
        self.step(|disk| disk.files[number].bytes = bytes).await?;
        self.step(|disk| disk.files[number].is_synced = true)
            .await?;
        Ok((staging, Entry::File(number)))
    }

    async fn remove(self, locations: Vec<Result<Path>>) -> Vec<Result<Path>> {
        let mut folders = Vec::new();
        let mut results = Vec::with_capacity(locations.len());
        for location in locations {
            let removed = match location {
                Ok(location) => self.unlink(&location).await.map(|()| location),
                failed => failed,
            };
            folders.extend(removed.as_ref().ok().map(|l| split(l).0.to_owned()));
            results.push(removed);
        }
        folders.sort();
        folders.dedup();
        for folder in folders {
            if let Err(error) = self.step(|disk| disk.sync(&folder)).await {
                return vec![Err(error)];
            }
        }
        results
    }

    async fn unlink(&self, location: &Path) -> Result<()> {
        self.visible.head(location).await?;
        let (folder, name) = split(location);
        self.step(|disk| disk.change(folder, Change::Removed(name.to_owned())))
            .await?;
        self.visible.delete(location).await
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk {
    fn is_cut(&self) -> bool {
        self.cut_at != 0 && self.steps >= self.cut_at
    }

    fn check(&self) -> Result<()> {
        if self.is_cut() {
            return Err(Error::Generic {
                store: "PowerCut",
                source: "the power is gone".into(),
            });
        }
        Ok(())
    }

    /// The last file, under this name.
    fn put_durably(&mut self, path: &str) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        for (parent, child) in ancestors(folder) {
            let path = join(&parent, &child);
            let parent = self.folders.entry(parent).or_default();
            parent.durable.insert(child, Entry::Folder);
            self.folders.entry(path).or_default();
        }
        let entry = Entry::File(self.files.len() - 1);
        let folder = self.folders.entry(folder.to_owned()).or_default();
        folder.durable.insert(name.to_owned(), entry);
    }

    fn change(&mut self, folder: &str, change: Change) {
        let folder = self.folders.entry(folder.to_owned()).or_default();
        folder.pending.push(change);
    }

    fn sync(&mut self, folder: &str) {
        self.folders.entry(folder.to_owned()).or_default().sync();
    }

    fn write_folder(
        &self,
        name: &str,
        target: &std::path::Path,
        luck: &mut dyn FnMut() -> u64,
    ) -> io::Result<()> {
        fs::create_dir_all(target)?;
        let Some(folder) = self.folders.get(name) else {
            return Ok(());
        };
        let mut entries = folder.durable.clone();
        for change in &folder.pending {
            if luck().is_multiple_of(2) {
                Folder::apply(&mut entries, change.clone());
            }
        }
        for (child, entry) in entries {
            let path = target.join(&child);
            match entry {
                Entry::Folder => self.write_folder(&join(name, &child), &path, luck)?,
                Entry::File(number) => fs::write(path, self.files[number].after_cut(luck))?,
            }
        }
        Ok(())
    }
}

impl File {
    fn after_cut(&self, luck: &mut dyn FnMut() -> u64) -> Vec<u8> {
        let length = self.bytes.len();
        if self.is_synced {
            return self.bytes.to_vec();
        }
        match luck() % 4 {
            0 => Vec::new(),
            1 => self.bytes[..length / 2].to_vec(),
            2 => vec![0; length],
            _ => self.bytes.to_vec(),
        }
    }
}

/// Each folder on the way to this one, and itself, with the one that it lies in.
fn ancestors(folder: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut parent = String::new();
    for name in folder.split('/').filter(|name| !name.is_empty()) {
        found.push((parent.clone(), name.to_owned()));
        parent = join(&parent, name);
    }
    found
}

fn join(folder: &str, name: &str) -> String {
    match folder {
        "" => name.to_owned(),
        _ => format!("{folder}/{name}"),
    }
}

fn split(location: &Path) -> (&str, &str) {
    let path = location.as_ref();
    path.rsplit_once('/').unwrap_or(("", path))
}

impl fmt::Display for PowerCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PowerCut")
    }
}

#[async_trait]
impl ObjectStore for PowerCut {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let (folder, name) = split(location);
        self.make_folders(folder).await?;
        let bytes: Vec<u8> = payload.iter().flatten().copied().collect();
        let (staging, entry) = self.stage(folder, name, bytes.into()).await?;
        let is_new = options.mode == PutMode::Create;
        let (to, from) = (name.to_owned(), staging.clone());
        let named = if is_new {
            Change::Added(to, entry)
        } else {
            Change::Renamed { from, to, entry }
        };
        self.lock().check()?;
        let put = self.visible.put_opts(location, payload, options).await;
        if put.is_ok() {
            self.step(|disk| disk.change(folder, named)).await?;
        }
        // What is there already is made durable too.
        self.step(|disk| disk.sync(folder)).await?;
        if is_new {
            self.step(|disk| disk.change(folder, Change::Removed(staging)))
                .await?;
        }
        put
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(Error::NotImplemented {
            operation: "an object of several parts".to_owned(),
            implementer: self.to_string(),
        })
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.lock().check()?;
        self.visible.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.lock().check()?;
        self.visible.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let objects = self.clone();
        locations
            .ready_chunks(DELETIONS_AT_ONCE)
            .then(move |locations| objects.clone().remove(locations))
            .flat_map(stream::iter)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.lock().check() {
            Ok(()) => self.visible.list(prefix),
            Err(error) => stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.lock().check()?;
        self.visible.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(Error::NotImplemented {
            operation: "a copy".to_owned(),
            implementer: self.to_string(),
        })
    }
}
