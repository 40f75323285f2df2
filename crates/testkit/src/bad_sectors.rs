use std::collections::HashMap;
use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result,
};

/// A store on a disk with bad sectors: reads that touch them fail as Linux says it, with EIO. What replaces an object
/// lies elsewhere; what is moved keeps them.
#[derive(Debug)]
pub struct BadSectors {
    inner: Arc<dyn ObjectStore>,
    disk: Arc<Mutex<Disk>>,
}

#[derive(Debug, Default)]
struct Disk {
    bad: HashMap<Path, Vec<Range<u64>>>,
    /// Nothing can be read.
    is_gone: bool,
}

impl BadSectors {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            disk: Arc::default(),
        })
    }

    /// From now on these bytes of the object cannot be read.
    pub fn spoil(&self, object: &Path, bytes: Range<u64>) {
        let mut disk = self.lock();
        disk.bad.entry(object.clone()).or_default().push(bytes);
    }

    /// Everything can be read again, as if it were on another disk.
    pub fn mend(&self) {
        self.lock().bad.clear();
    }

    /// From now on nothing can be read.
    pub fn lose_disk(&self) {
        self.lock().is_gone = true;
    }

    /// Objects that still lie on bad sectors.
    pub fn spoiled(&self) -> Vec<Path> {
        let mut spoiled: Vec<Path> = self.lock().bad.keys().cloned().collect();
        spoiled.sort();
        spoiled
    }

    fn check(&self, object: &Path, range: &Range<u64>) -> Result<()> {
        let disk = self.lock();
        let is_bad = |bad: &Range<u64>| bad.start < range.end && range.start < bad.end;
        let hit = disk.bad.get(object).is_some_and(|b| b.iter().any(is_bad));
        if disk.is_gone || hit {
            return Err(input_output_error());
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn input_output_error() -> Error {
    Error::Generic {
        store: "BadSectors",
        source: Box::new(io::Error::from_raw_os_error(5)),
    }
}

impl fmt::Display for BadSectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BadSectors({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for BadSectors {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options).await?;
        self.lock().bad.remove(location);
        Ok(put)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let is_head = options.head;
        let mut result = self.inner.get_opts(location, options).await?;
        let range = result.range.clone();
        // The file is opened; reading it fails.
        if !is_head && let Err(error) = self.check(location, &range) {
            result.payload = GetResultPayload::Stream(stream::once(async { Err(error) }).boxed());
        }
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        for range in ranges {
            self.check(location, range)?;
        }
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let disk = Arc::clone(&self.disk);
        let deleted = self.inner.delete_stream(locations);
        deleted
            .inspect(move |location| {
                if let Ok(location) = location {
                    let mut disk = disk.lock().unwrap_or_else(PoisonError::into_inner);
                    disk.bad.remove(location);
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check(from, &(0..u64::MAX))?;
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        let mut disk = self.lock();
        if let Some(bad) = disk.bad.remove(from) {
            disk.bad.insert(to.clone(), bad);
        }
        Ok(())
    }
}
