use std::ops::Range;
use std::sync::Arc;

use strongroom_chunk::{Kind, ObjectId, Profile};
use strongroom_store::{Storage, StorageKind};
use strongroom_types::{Clock, IdSource};

use crate::config::{Config, PACK_BYTES_TARGETS};
use crate::engine::Engine;
use crate::keyring::{LiveKeys, NextRoot, Opener};
use crate::reader::Order;
use crate::sessions::Reading;
use crate::store::Store;
use crate::{
    CollectOptions, CollectProgress, CollectReport, Error, NewPoint, Point, PointId, PointReader,
    PointView, PointWriter, RepairReport, Reread, Result, Secret, Stats, VerifyDepth,
    VerifyProgress, VerifyReport, collect, layout, occupied, points, repair, stats, verify,
};

/// Time and randomness, passed in so that tests decide both.
#[derive(Debug, Clone)]
pub struct Env {
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<dyn IdSource>,
}

/// Chosen once, when a repository is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    pub profile: Profile,
    /// A pack is closed once it has this many bytes: 64 KiB to 1 GiB.
    pub pack_bytes_target: u64,
    /// Packs carry parity, so that small damage heals; costs 3.1 % of large packs, 70 KiB of small ones.
    pub parity: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: Profile::Default,
            pack_bytes_target: 32 << 20,
            parity: false,
        }
    }
}

impl Options {
    /// The defaults for this storage: what lies on a single disk gets parity.
    pub fn suited_to(storage: &Storage) -> Self {
        Self {
            parity: storage.kind() == StorageKind::Local,
            ..Self::default()
        }
    }
}

/// One project's data: a key, a dedup domain and a place in an object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    pub(crate) engine: Arc<Engine>,
}

impl Repository {
    /// Makes a repository with a new random key. [`Error::Exists`] when there is one, [`Error::Missing`]
    /// when there is one that lost its configs.
    pub async fn init(
        storage: impl Into<Storage>,
        secret: &Secret,
        options: Options,
        env: Env,
    ) -> Result<Self> {
        if !PACK_BYTES_TARGETS.contains(&options.pack_bytes_target) {
            return Err(Error::Invalid("a pack has 64 KiB to 1 GiB".to_owned()));
        }
        let store = Store::new(storage.into());
        for name in layout::CONFIGS {
            if Config::read(&store, name).await?.is_some() {
                return Err(Error::Exists);
            }
        }
        refuse_without_config(&store).await?;
        store.storage().prove_exclusive_create(&*env.ids).await?;
        let (secret, now) = (secret.clone(), env.clock.now());
        let ids = Arc::clone(&env.ids);
        let (config, keys) = blocking(move || Config::create(&secret, options, now, &*ids)).await?;
        config.store(&store).await?;
        Self::start(store, &keys, env, &config)
    }

    /// Whether there is a repository, damaged or not, whatever its key is.
    pub async fn exists(storage: impl Into<Storage>) -> Result<bool> {
        match Config::load(&Store::new(storage.into())).await {
            Ok(_) | Err(Error::Corrupt { .. } | Error::NewerVersion { .. }) => Ok(true),
            Err(Error::NotARepository) => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub async fn open(storage: impl Into<Storage>, secret: &Secret, env: Env) -> Result<Self> {
        let store = Store::new(storage.into());
        let config = match Config::load(&store).await {
            Err(Error::NotARepository) => {
                refuse_without_config(&store).await?;
                return Err(Error::NotARepository);
            }
            loaded => loaded?,
        };
        let keys = LiveKeys::open(&store, &config, secret).await?;
        Self::start(store, &keys, env, &config)
    }

    fn start(store: Store, live: &Arc<LiveKeys>, env: Env, config: &Config) -> Result<Self> {
        let store = store.with_keys(Arc::clone(live));
        let keys = live.keys().clone();
        let engine = Engine::new(store, keys, env, config.id.clone(), config.options()?);
        Ok(Self {
            engine: Arc::new(engine),
        })
    }

    /// The repository's uuid.
    pub fn id(&self) -> &str {
        &self.engine.id
    }

    /// Where the repository lies.
    pub fn storage(&self) -> &Storage {
        self.engine.store.storage()
    }

    /// Starts writing a point. [`Error::PointExists`] when one of this name is committed.
    pub async fn begin_point(&self, new: NewPoint) -> Result<PointWriter> {
        self.engine.prove_writable().await?;
        // What is written from here on shall be sealed under the newest keys.
        self.refresh_keys().await?;
        PointWriter::begin(Arc::clone(&self.engine), new, None).await
    }

    /// The same for a caller who knows what has not changed since the lineage's newest point
    /// ([`PointWriter::unchanged`]). The writer reads with `reread` where it needs bytes around what has changed; it is
    /// dropped behind the writer, as soon as it is not in use.
    pub async fn begin_point_over(&self, new: NewPoint, reread: Reread) -> Result<PointWriter> {
        self.engine.prove_writable().await?;
        self.refresh_keys().await?;
        PointWriter::begin(Arc::clone(&self.engine), new, Some(reread)).await
    }

    /// How many times this process read a damaged pack that its parity healed. `repair` heals it for good.
    pub fn packs_healed(&self) -> u64 {
        self.engine.packs.healed_count()
    }

    /// Learns what other processes did to the keys; costs one listing. [`Error::KeysChanged`] when the secret that this
    /// process opened the repository with opens it no more.
    pub async fn refresh_keys(&self) -> Result<()> {
        self.engine.store.refresh_keys().await
    }

    /// Adds a root key: what is written from now on is sealed under it, by every process that knows `secret`. Data is
    /// not rewritten, and what was stored before is found again. From now on `secret` alone opens the repository; to
    /// keep the one that does now, [`Repository::add_root_key`] is safer. [`Error::KeysChanged`] when somebody else
    /// changed them meanwhile.
    ///
    /// After any other error the change may have been made: opening with `secret` tells, and finishes it.
    pub async fn rotate_keys(&self, secret: &Secret) -> Result<()> {
        self.change_keys(Opener::New(secret), NextRoot::Add).await
    }

    /// Adds a root key as [`Repository::rotate_keys`] does. What this process opened the repository with goes on to
    /// open it.
    pub async fn add_root_key(&self) -> Result<()> {
        self.change_keys(Opener::Same, NextRoot::Add).await
    }

    /// From now on `secret` alone opens the repository. Errors as of [`Repository::rotate_keys`].
    pub async fn change_secret(&self, secret: &Secret) -> Result<()> {
        self.change_keys(Opener::New(secret), NextRoot::Keep).await
    }

    async fn change_keys(&self, opener: Opener<'_>, next: NextRoot) -> Result<()> {
        self.engine.prove_writable().await?;
        let store = &self.engine.store;
        store.change_keys(opener, next, &self.engine.env.ids).await
    }

    /// How often a root key was added.
    pub fn key_generation(&self) -> u16 {
        self.engine.keys.newest_generation()
    }

    /// Every point, oldest first. Unreadable ones are logged and left out; `verify` names them.
    pub async fn list_points(&self) -> Result<Vec<Point>> {
        let points = self.engine.points.read_readable().await?;
        Ok(points.into_iter().map(|(id, p)| p.to_point(id)).collect())
    }

    pub async fn get_point(&self, id: &PointId) -> Result<Point> {
        let point = match self.engine.points.read(object_id(id)).await {
            Err(Error::Missing { .. }) => return Err(Error::not_found(id)),
            other => other?,
        };
        Ok(point.to_point(id.clone()))
    }

    /// The point whose name this is, or whose id begins so. [`Error::PointAmbiguous`] when several do.
    pub async fn find_point(&self, name: &str) -> Result<Option<Point>> {
        if let Some((id, point)) = self.engine.points.find(name).await? {
            return Ok(Some(point.to_point(id)));
        }
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let ids = self.engine.points.list_ids().await?;
        let mut fitting = ids
            .into_iter()
            .map(points::point_id)
            .filter(|id| id.as_str().starts_with(name));
        match (fitting.next(), fitting.next()) {
            (Some(id), None) => self.get_point(&id).await.map(Some),
            (None, _) => Ok(None),
            (Some(_), Some(_)) => Err(Error::PointAmbiguous(name.to_owned())),
        }
    }

    /// Removes a point if it is there. What only it needed is reclaimed by a later collection.
    pub async fn delete_point(&self, id: &PointId) -> Result<()> {
        self.engine.points.delete(object_id(id)).await
    }

    /// Starts reading a point from its first byte to its last.
    pub async fn read_point(&self, id: &PointId) -> Result<PointReader> {
        self.read_in(id, Order::Image).await
    }

    /// Starts reading a point in whatever order is quickest. What lies scattered over packs is fetched and opened once for
    /// some GiB of the image, instead of once for each place that needs it.
    pub async fn read_point_in_any_order(&self, id: &PointId) -> Result<PointReader> {
        self.read_in(id, Order::Packs).await
    }

    async fn read_in(&self, id: &PointId, order: Order) -> Result<PointReader> {
        // Before the point: what one that is there still needs is not removed any more.
        let session = Reading::begin(&self.engine).await;
        let point = match self.engine.points.read(object_id(id)).await {
            Err(Error::Missing { .. }) => return Err(Error::not_found(id)),
            other => other?,
        };
        self.engine.refresh_marks().await?;
        let whole = 0..point.size_bytes;
        PointReader::start(Arc::clone(&self.engine), &point, whole, session, order)
    }

    /// As [`Repository::read_point`], of a part of the image; nodes and chunks outside of it are not read.
    pub async fn read_point_range(&self, id: &PointId, range: Range<u64>) -> Result<PointReader> {
        let session = Reading::begin(&self.engine).await;
        let point = match self.engine.points.read(object_id(id)).await {
            Err(Error::Missing { .. }) => return Err(Error::not_found(id)),
            other => other?,
        };
        if range.start > range.end || range.end > point.size_bytes {
            return Err(Error::Invalid(
                "the range reaches beyond the image".to_owned(),
            ));
        }
        self.engine.refresh_marks().await?;
        PointReader::start(
            Arc::clone(&self.engine),
            &point,
            range,
            session,
            Order::Image,
        )
    }

    /// Opens a point to be read anywhere, with at most `cache_bytes` of its data kept in memory.
    pub async fn view_point(&self, id: &PointId, cache_bytes: usize) -> Result<PointView> {
        let session = Reading::begin(&self.engine).await;
        let point = match self.engine.points.read(object_id(id)).await {
            Err(Error::Missing { .. }) => return Err(Error::not_found(id)),
            other => other?,
        };
        self.engine.refresh_marks().await?;
        let engine = Arc::clone(&self.engine);
        PointView::open(engine, object_id(id), &point, session, cache_bytes)
    }

    /// The id that a point of this name has or would have.
    pub fn point_id_of(&self, name: &str) -> PointId {
        points::point_id(self.engine.keys.point_id(name))
    }

    /// Sealed bytes of the distinct frames, of data and of nodes, that these points need. What is damaged or
    /// gone is logged and not counted.
    pub async fn occupied(&self, points: &[PointId]) -> Result<u64> {
        occupied::occupied(&self.engine, points).await
    }

    /// What is held, by whom, and what forgetting each point would free. Writers and readers may go on meanwhile. What
    /// cannot be read is named and left out.
    pub async fn stats(&self) -> Result<Stats> {
        self.refresh_keys().await?;
        let _session = Reading::begin(&self.engine).await;
        stats::stats(&self.engine).await
    }

    /// Removes what no point needs any more, while writers and readers go on. [`Error::Busy`] when another
    /// collection is at work. A dry run writes nothing.
    pub async fn collect(
        &self,
        options: &CollectOptions,
        progress: &(dyn Fn(CollectProgress) + Sync),
    ) -> Result<CollectReport> {
        if !options.dry_run {
            self.engine.prove_writable().await?;
        }
        // What is rewritten shall be sealed under the newest keys.
        self.refresh_keys().await?;
        collect::collect(&self.engine, options, progress).await
    }

    /// Looks for damage; see [`VerifyDepth`]. Writers and readers may go on meanwhile. Damaged packs are marked:
    /// later writers store again what they held, and what finds another copy can be restored.
    pub async fn verify(
        &self,
        depth: VerifyDepth,
        progress: &(dyn Fn(VerifyProgress) + Sync),
    ) -> Result<VerifyReport> {
        self.refresh_keys_of_what_is_damaged().await?;
        let session = Reading::begin(&self.engine).await;
        let report = verify::verify(&self.engine, depth, progress).await;
        session.end().await;
        report
    }

    /// What is sealed under keys that are newer than ours is not damaged. A keyring that is, is found later.
    async fn refresh_keys_of_what_is_damaged(&self) -> Result<()> {
        match self.refresh_keys().await {
            Err(Error::Missing { .. } | Error::Corrupt { .. }) => Ok(()),
            refreshed => refreshed,
        }
    }

    /// Verifies, reading everything, and makes good what parity, copies and packs still know. Writers and readers may
    /// go on meanwhile. [`Error::Corrupt`] or [`Error::Missing`], and nothing is done, when it is the keyring that is
    /// damaged, gone or older than before: without it, sound objects look damaged.
    pub async fn repair(&self, progress: &(dyn Fn(VerifyProgress) + Sync)) -> Result<RepairReport> {
        self.engine.prove_writable().await?;
        self.refresh_keys_of_what_is_damaged().await?;
        let session = Reading::begin(&self.engine).await;
        let report = repair::repair(&self.engine, repair::Mode::Repair, progress).await;
        session.end().await;
        report
    }

    /// What [`Repository::repair`] would do.
    pub async fn plan_repair(
        &self,
        progress: &(dyn Fn(VerifyProgress) + Sync),
    ) -> Result<RepairReport> {
        self.refresh_keys_of_what_is_damaged().await?;
        let session = Reading::begin(&self.engine).await;
        let report = repair::repair(&self.engine, repair::Mode::Plan, progress).await;
        session.end().await;
        report
    }
}

/// Tells a place that holds nothing from a repository whose configs are gone: a new one made there would
/// hide its points for good.
async fn refuse_without_config(store: &Store) -> Result<()> {
    for kind in [Kind::Point, Kind::IndexSegment] {
        if !store.list(kind).await?.is_empty() {
            return Err(Error::Missing {
                object: "config".to_owned(),
            });
        }
    }
    Ok(())
}

pub(crate) fn object_id(id: &PointId) -> ObjectId {
    ObjectId::from_hex(id.as_str()).expect("a point id is 32 hex digits")
}

/// Runs slow computing where it does not hold up the runtime.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Error::Broken("a computing thread"))?
}
