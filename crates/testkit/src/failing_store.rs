use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// This one call fails and does nothing.
    Fail,
    /// This one call does its work, and fails then: the answer was lost.
    FailAfterEffect,
    /// This call and all later ones fail and do nothing, as if the process had died.
    Crash,
}

/// An object store that fails at its n-th call, reads and listings included.
#[derive(Debug)]
pub struct FailingStore {
    inner: Arc<dyn ObjectStore>,
    fault: Fault,
    fail_at: u64,
    calls: AtomicU64,
    struck: AtomicBool,
}

impl FailingStore {
    /// Calls count from 1; with `fail_at` 0 nothing fails.
    pub fn new(inner: Arc<dyn ObjectStore>, fault: Fault, fail_at: u64) -> Arc<Self> {
        Arc::new(Self {
            inner,
            fault,
            fail_at,
            calls: AtomicU64::new(0),
            struck: AtomicBool::new(false),
        })
    }

    /// Number of calls so far.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Has the fault come to pass?
    pub fn has_struck(&self) -> bool {
        self.struck.load(Ordering::SeqCst)
    }

    /// Counts a call; the error is what it must end with.
    fn count(&self) -> Plan {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        let hit = self.fail_at != 0 && call == self.fail_at;
        let dead = self.fault == Fault::Crash && self.has_struck();
        if !hit && !dead {
            return Plan::Work;
        }
        self.struck.store(true, Ordering::SeqCst);
        match self.fault {
            Fault::Fail | Fault::Crash => Plan::Fail,
            Fault::FailAfterEffect => Plan::FailAfterEffect,
        }
    }

    async fn call<T>(&self, work: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match self.count() {
            Plan::Work => work.await,
            Plan::Fail => Err(error()),
            Plan::FailAfterEffect => {
                // The lost answer is the point, whatever it was.
                drop(work.await);
                Err(error())
            }
        }
    }
}

enum Plan {
    Work,
    Fail,
    FailAfterEffect,
}

fn error() -> Error {
    Error::Generic {
        store: "FailingStore",
        source: "the test made this call fail".into(),
    }
}

impl fmt::Display for FailingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FailingStore({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FailingStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.call(self.inner.put_opts(location, payload, options))
            .await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.call(self.inner.put_multipart_opts(location, options))
            .await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.call(self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.call(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.count() {
            Plan::Work => self.inner.delete_stream(locations),
            Plan::Fail => stream::once(async { Err(error()) }).boxed(),
            Plan::FailAfterEffect => self
                .inner
                .delete_stream(locations)
                .and_then(|_| async { Err(error()) })
                .boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.count() {
            Plan::Work => self.inner.list(prefix),
            Plan::Fail | Plan::FailAfterEffect => stream::once(async { Err(error()) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.call(self.inner.rename_opts(from, to, options)).await
    }
}
