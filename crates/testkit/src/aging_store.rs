use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// A store whose clock tests move forward: what was put before looks older then.
#[derive(Debug)]
pub struct AgingStore {
    inner: Arc<dyn ObjectStore>,
    times: Arc<Mutex<Times>>,
}

#[derive(Debug, Default)]
struct Times {
    ahead: Duration,
    /// How far the clock had been moved when an object was put.
    put: HashMap<Path, Duration>,
}

impl AgingStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            times: Arc::default(),
        })
    }

    /// Lets time pass for the store.
    pub fn pass(&self, time: Duration) {
        lock(&self.times).ahead += time;
    }
}

fn lock(times: &Mutex<Times>) -> MutexGuard<'_, Times> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}

fn dated(times: &Mutex<Times>, mut meta: ObjectMeta) -> ObjectMeta {
    if let Some(ahead) = lock(times).put.get(&meta.location) {
        meta.last_modified += *ahead;
    }
    meta
}

impl fmt::Display for AgingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgingStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for AgingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let put = self.inner.put_opts(location, payload, options).await?;
        let mut times = lock(&self.times);
        let ahead = times.ahead;
        times.put.insert(location.clone(), ahead);
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
        let mut result = self.inner.get_opts(location, options).await?;
        result.meta = dated(&self.times, result.meta);
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let times = Arc::clone(&self.times);
        let listed = self.inner.list(prefix);
        listed
            .map(move |meta| meta.map(|m| dated(&times, m)))
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let mut result = self.inner.list_with_delimiter(prefix).await?;
        let objects = result.objects.into_iter();
        result.objects = objects.map(|meta| dated(&self.times, meta)).collect();
        Ok(result)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
