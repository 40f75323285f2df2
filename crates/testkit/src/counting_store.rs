use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Counts the calls to a store by what they do and by the folder that they meet.
#[derive(Debug)]
pub struct CountingStore {
    inner: Arc<dyn ObjectStore>,
    calls: Arc<Mutex<Calls>>,
}

/// By kind of call and first part of the object's name.
type Calls = BTreeMap<(Call, String), u64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Put,
    Get,
    Delete,
    List,
}

impl CountingStore {
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self {
            inner,
            calls: Arc::default(),
        })
    }

    /// Calls of this kind that met a folder, so far.
    pub fn calls(&self, call: Call, folder: &str) -> u64 {
        let calls = lock(&self.calls);
        calls.get(&(call, folder.to_owned())).copied().unwrap_or(0)
    }

    /// Calls that change the store, so far.
    pub fn changes(&self) -> u64 {
        let calls = lock(&self.calls);
        let changes = calls
            .iter()
            .filter(|((call, _), _)| matches!(call, Call::Put | Call::Delete));
        changes.map(|(_, count)| count).sum()
    }

    fn count(&self, call: Call, location: &Path) {
        count(&self.calls, call, location);
    }
}

fn count(calls: &Mutex<Calls>, call: Call, location: &Path) {
    let folder = location.parts().next();
    let folder = folder.map_or_else(String::new, |part| part.as_ref().to_owned());
    *lock(calls).entry((call, folder)).or_default() += 1;
}

fn lock(calls: &Mutex<Calls>) -> MutexGuard<'_, Calls> {
    calls.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountingStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.count(Call::Put, location);
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.count(Call::Put, location);
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.count(Call::Get, location);
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.count(Call::Get, location);
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let calls = Arc::clone(&self.calls);
        let counted = locations.inspect(move |location| {
            if let Ok(location) = location {
                count(&calls, Call::Delete, location);
            }
        });
        self.inner.delete_stream(counted.boxed())
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.count(Call::List, &prefix.cloned().unwrap_or_default());
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.count(Call::List, &prefix.cloned().unwrap_or_default());
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.count(Call::Put, to);
        self.inner.copy_opts(from, to, options).await
    }
}
