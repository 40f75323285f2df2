//! The store as one process reaches it. Its own clock stamps the objects; a listing comes in pages, and sees what
//! is there when each of them is fetched.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::gate::{Gate, Life, Request, Verdict};
use crate::random::mix;
use crate::time::WorldTime;

/// How the store lists: so many objects at once, by name as S3 does, or in no order that means anything, as a
/// file system does.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Listing {
    pub(crate) page: usize,
    pub(crate) sorted: bool,
}

impl Listing {
    fn rank(self, path: &Path) -> (u64, Path) {
        let hash = |hash, byte: u8| mix(hash ^ u64::from(byte));
        let rank = if self.sorted {
            0
        } else {
            path.as_ref().bytes().fold(1, hash)
        };
        (rank, path.clone())
    }
}

/// What all processes share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) gate: Gate,
    pub(crate) time: Arc<WorldTime>,
    pub(crate) objects: InMemory,
    stamps: Mutex<HashMap<Path, i64>>,
    listing: Listing,
    /// Microseconds that a stamp is exact to.
    grain: i64,
}

impl World {
    pub(crate) fn new(listing: Listing, grain: i64) -> Arc<Self> {
        Arc::new(Self {
            gate: Gate::default(),
            time: WorldTime::new(),
            objects: InMemory::new(),
            stamps: Mutex::default(),
            listing,
            grain,
        })
    }

    /// Does what changes the store, for a caller who is gone.
    pub(crate) async fn haunt(&self, request: Request) {
        // There is nobody to hear the answer.
        match request {
            Request::Put(path, payload, options) => {
                drop(self.put(&path, payload, options).await);
            }
            Request::Delete(path) => drop(self.objects.delete(&path).await),
            Request::Read(_) | Request::List(_) => {}
        }
    }

    async fn put(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let result = self.objects.put_opts(path, payload, options).await?;
        let stamp = self.time.micros() / self.grain * self.grain;
        self.lock().insert(path.clone(), stamp);
        Ok(result)
    }

    fn stamped(&self, mut meta: ObjectMeta) -> ObjectMeta {
        let stamp = self.lock().get(&meta.location).copied().unwrap_or(0);
        let since = Duration::from_micros(u64::try_from(stamp).expect("after 1970"));
        meta.last_modified = (SystemTime::UNIX_EPOCH + since).into();
        meta
    }

    /// Bytes of all objects in a folder, and one more for each.
    pub(crate) async fn bytes_in(&self, folder: &str) -> u64 {
        let objects = self.objects.list(Some(&Path::from(folder)));
        let sizes = objects.map_ok(|object| object.size + 1);
        sizes
            .try_fold(0, |sum, size| async move { Ok(sum + size) })
            .await
            .expect("memory")
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Path, i64>> {
        self.stamps.lock().expect("no thread panics in here")
    }
}

/// One life's way to the store.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) life: Life,
}

impl Client {
    async fn call<T, W>(&self, request: Request, work: impl Fn() -> W) -> Result<T>
    where
        W: Future<Output = Result<T>>,
    {
        let verdict = self.world.gate.pass(self.life, request).await;
        let Some(verdict) = verdict else {
            return Err(failure("this process is dead"));
        };
        let result = match verdict {
            Verdict::Work => work().await,
            Verdict::Fail => Err(failure("nothing was done")),
            Verdict::FailAfterEffect => {
                drop(work().await);
                Err(failure("the answer was lost"))
            }
            Verdict::Twice => {
                drop(work().await);
                work().await
            }
        };
        self.world.gate.done(self.life);
        result
    }
}

fn failure(text: &'static str) -> Error {
    Error::Generic {
        store: "simulation",
        source: text.into(),
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Client({})", self.life)
    }
}

#[async_trait]
impl ObjectStore for Client {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let request = Request::Put(location.clone(), payload.clone(), options.clone());
        let put = || self.world.put(location, payload.clone(), options.clone());
        self.call(request, put).await
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(failure("objects are small here"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let get = || async {
            let mut result = self
                .world
                .objects
                .get_opts(location, options.clone())
                .await?;
            result.meta = self.world.stamped(result.meta);
            Ok(result)
        };
        self.call(Request::Read(location.clone()), get).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let get = || self.world.objects.get_ranges(location, ranges);
        self.call(Request::Read(location.clone()), get).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let client = self.clone();
        let delete = move |location: Result<Path>| {
            let client = client.clone();
            async move {
                let location = location?;
                let request = Request::Delete(location.clone());
                client
                    .call(request, || client.world.objects.delete(&location))
                    .await?;
                Ok(location)
            }
        };
        locations.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let client = self.clone();
        let prefix = prefix.cloned().unwrap_or_default();
        let pages = stream::try_unfold(Some(None), move |state| {
            let (client, prefix) = (client.clone(), prefix.clone());
            async move {
                let Some(behind) = state else {
                    return Ok(None);
                };
                let page = client.page(&prefix, behind.as_ref()).await?;
                let full = page.len() == client.world.listing.page;
                let last = page.last().map(|object| object.location.clone());
                let items = stream::iter(page.into_iter().map(Ok));
                Ok::<_, Error>(Some((items, last.filter(|_| full).map(Some))))
            }
        });
        pages.try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let request = Request::List(prefix.cloned().unwrap_or_default());
        let list = || async {
            let mut result = self.world.objects.list_with_delimiter(prefix).await?;
            let stamped = result
                .objects
                .into_iter()
                .map(|meta| self.world.stamped(meta));
            result.objects = stamped.collect();
            Ok(result)
        };
        self.call(request, list).await
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(failure("nobody copies here"))
    }
}

impl Client {
    /// The next objects behind one that was listed last.
    async fn page(&self, prefix: &Path, behind: Option<&Path>) -> Result<Vec<ObjectMeta>> {
        let listing = self.world.listing;
        let list = || async {
            let all: Vec<ObjectMeta> = self.world.objects.list(Some(prefix)).try_collect().await?;
            let behind = behind.map(|path| listing.rank(path));
            let ranked = all
                .into_iter()
                .map(|object| (listing.rank(&object.location), object));
            let mut page: Vec<_> = ranked
                .filter(|(rank, _)| behind.as_ref().is_none_or(|behind| rank > behind))
                .collect();
            page.sort_by(|(left, _), (right, _)| left.cmp(right));
            page.truncate(listing.page);
            let stamped = page
                .into_iter()
                .map(|(_, object)| self.world.stamped(object));
            Ok(stamped.collect())
        };
        self.call(Request::List(prefix.clone()), list).await
    }
}
