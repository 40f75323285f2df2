use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
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
    /// This call does its work; it and all later ones fail.
    CrashAfterEffect,
    /// Of what this call writes, the first half becomes visible; it and all later ones fail. Only a store that
    /// breaks its promises does this.
    Torn,
    /// This one call is done twice and answers what the second time gave: its request was delivered again.
    Twice,
    /// This one call lets every other task go first.
    Delay,
    /// This one call ends its task with a panic: a defect of ours, or of the client of the store.
    Panic,
}

impl Fault {
    /// All that a store can do.
    pub const ALL: [Self; 7] = [
        Self::Fail,
        Self::FailAfterEffect,
        Self::Crash,
        Self::CrashAfterEffect,
        Self::Torn,
        Self::Twice,
        Self::Delay,
    ];

    fn ends_the_process(self) -> bool {
        matches!(self, Self::Crash | Self::CrashAfterEffect | Self::Torn)
    }
}

/// Turns that a delayed call gives to others.
const YIELDS: usize = 100;

/// An object store that fails at its n-th call, reads and listings included.
#[derive(Debug)]
pub struct FailingStore {
    inner: Arc<dyn ObjectStore>,
    plan: Arc<Plan>,
}

#[derive(Debug)]
struct Plan {
    fault: Fault,
    fail_at: u64,
    calls: AtomicU64,
    struck: AtomicBool,
}

impl FailingStore {
    /// Calls count from 1; with `fail_at` 0 nothing fails.
    pub fn new(inner: Arc<dyn ObjectStore>, fault: Fault, fail_at: u64) -> Arc<Self> {
        let plan = Plan {
            fault,
            fail_at,
            calls: AtomicU64::new(0),
            struck: AtomicBool::new(false),
        };
        Arc::new(Self {
            inner,
            plan: Arc::new(plan),
        })
    }

    /// Number of calls so far.
    pub fn calls(&self) -> u64 {
        self.plan.calls.load(Ordering::SeqCst)
    }

    /// Has the fault come to pass?
    pub fn has_struck(&self) -> bool {
        self.plan.struck.load(Ordering::SeqCst)
    }
}

impl Plan {
    /// Counts a call; the fault is what it meets.
    fn count(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        if self.fail_at != 0 && call == self.fail_at {
            self.struck.store(true, Ordering::SeqCst);
            return Some(self.fault);
        }
        let dead = self.fault.ends_the_process() && self.struck.load(Ordering::SeqCst);
        dead.then_some(Fault::Crash)
    }

    async fn call<T, W>(&self, work: impl Fn() -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        match self.count() {
            None => work().await,
            Some(Fault::Fail | Fault::Crash | Fault::Torn) => Err(error()),
            Some(Fault::FailAfterEffect | Fault::CrashAfterEffect) => {
                // The lost answer is the point, whatever it was.
                drop(work().await);
                Err(error())
            }
            Some(Fault::Panic) => panic!("the test made this call panic"),
            Some(Fault::Twice) => {
                drop(work().await);
                work().await
            }
            Some(Fault::Delay) => {
                for _ in 0..YIELDS {
                    tokio::task::yield_now().await;
                }
                work().await
            }
        }
    }
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
        let tears = self.plan.fault == Fault::Torn && self.calls() + 1 == self.plan.fail_at;
        if tears {
            let whole: Vec<u8> = payload.iter().flatten().copied().collect();
            let half = Bytes::copy_from_slice(&whole[..whole.len() / 2]);
            // Nobody hears of it.
            drop(
                self.inner
                    .put_opts(location, half.into(), options.clone())
                    .await,
            );
        }
        let put = || {
            self.inner
                .put_opts(location, payload.clone(), options.clone())
        };
        self.plan.call(put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begin = || self.inner.put_multipart_opts(location, options.clone());
        self.plan.call(begin).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let get = || self.inner.get_opts(location, options.clone());
        self.plan.call(get).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let get = || self.inner.get_ranges(location, ranges);
        self.plan.call(get).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, plan) = (Arc::clone(&self.inner), Arc::clone(&self.plan));
        let delete = move |location: Result<Path>| {
            let (inner, plan) = (Arc::clone(&inner), Arc::clone(&plan));
            async move {
                let location = location?;
                plan.call(|| inner.delete(&location)).await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.plan.count() {
            None | Some(Fault::Twice | Fault::Delay) => self.inner.list(prefix),
            Some(_) => stream::once(async { Err(error()) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.plan
            .call(|| self.inner.list_with_delimiter(prefix))
            .await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let copy = || self.inner.copy_opts(from, to, options.clone());
        self.plan.call(copy).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let rename = || self.inner.rename_opts(from, to, options.clone());
        self.plan.call(rename).await
    }
}
