//! The content of disks as images, raw or qcow2, made while they are read.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use strongroom_block::{DataClusters, QCOW2_CLUSTER, Qcow2Layout};
use strongroom_repo::{Content, PointId, Repository, Segment};
use strongroom_service::contents::{ContentStore, ContentStream, DiskContent};
use strongroom_service::rows::Backup;
use strongroom_service::{App, Error};
use strongroom_types::VolumeFormat;
use tokio::sync::OnceCell;

use crate::repositories::{Repositories, RepositoryError};

/// How much of a point's tree is looked through at a time, in bytes of its disk.
const WALKED_AT_ONCE: u64 = 4 << 30;
/// Parts of it that are looked through at the same time.
const WALKS_AT_ONCE: usize = 4;
/// Looking through a tree reads no data.
const NO_CACHE: usize = 0;
/// Who reads an image by ranges asks for each. One takes 2 MiB for each TiB of data.
const LAYOUTS_KEPT: usize = 8;
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// The layout of an image, once somebody has found it.
type Known = Arc<OnceCell<Arc<Qcow2Layout>>>;

/// Reads the points of this installation's repositories.
pub struct StoredContents {
    repositories: Arc<Repositories>,
    /// Those that were used last come last.
    layouts: Mutex<VecDeque<(PointId, Known)>>,
}

/// A point as an image.
#[derive(Debug)]
pub(crate) struct PointContent {
    repository: Repository,
    point: PointId,
    size_bytes: u64,
    /// None: raw.
    layout: Option<Arc<Qcow2Layout>>,
}

/// Why an image cannot be read.
#[derive(Debug, thiserror::Error)]
enum ContentError {
    #[error(transparent)]
    Service(#[from] Error),
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Read(#[from] strongroom_repo::Error),
    #[error("the backup has no point")]
    NoPoint,
    #[error("a task that looks through a tree stopped unexpectedly")]
    Broken,
}

impl StoredContents {
    pub fn new(repositories: Arc<Repositories>) -> Self {
        Self {
            repositories,
            layouts: Mutex::default(),
        }
    }

    async fn look_up(
        &self,
        app: &App,
        disk: &Backup,
        format: VolumeFormat,
    ) -> Result<PointContent, ContentError> {
        let (vault, project) = (&disk.vault_id, &disk.project_id);
        let repository: Result<_, ContentError> =
            self.repositories.of_vault(app, vault, project).await;
        let repository = repository?;
        let point = disk.point_id.as_deref().and_then(|id| id.parse().ok());
        let point: PointId = point.ok_or(ContentError::NoPoint)?;
        let layout = match format {
            VolumeFormat::Raw => None,
            VolumeFormat::Qcow2 => Some(self.layout(&repository, &point).await?),
        };
        Ok(PointContent::open(repository, point, layout).await?)
    }

    /// Goes on with looking through a large tree when whoever asked has gone, for those who ask again.
    async fn layout(
        &self,
        repository: &Repository,
        point: &PointId,
    ) -> Result<Arc<Qcow2Layout>, ContentError> {
        let known = self.place_of(point);
        let (repository, point) = (repository.clone(), point.clone());
        let looking = tokio::spawn(async move {
            let layout = known.get_or_try_init(async || {
                Ok::<_, strongroom_repo::Error>(Arc::new(lay_out(&repository, &point).await?))
            });
            layout.await.cloned()
        });
        Ok(looking.await.map_err(|_| ContentError::Broken)??)
    }

    fn place_of(&self, point: &PointId) -> Known {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        let found = layouts.iter().position(|(known, _)| known == point);
        let found = found.and_then(|place| layouts.remove(place));
        let (point, known) = found.unwrap_or_else(|| (point.clone(), Known::default()));
        if layouts.len() == LAYOUTS_KEPT {
            layouts.pop_front();
        }
        layouts.push_back((point, Arc::clone(&known)));
        known
    }
}

impl fmt::Debug for StoredContents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredContents").finish_non_exhaustive()
    }
}

#[async_trait]
impl ContentStore for StoredContents {
    async fn find(
        &self,
        app: &App,
        disk: &Backup,
        format: VolumeFormat,
    ) -> Result<Box<dyn DiskContent>, Error> {
        match self.look_up(app, disk, format).await {
            Ok(content) => Ok(Box::new(content)),
            Err(ContentError::Service(error)) => Err(error),
            Err(error) => Err(Error::StorageUnavailable(Box::new(error))),
        }
    }
}

impl DiskContent for PointContent {
    fn size_bytes(&self) -> u64 {
        match &self.layout {
            None => self.size_bytes,
            Some(layout) => layout.file_bytes(),
        }
    }

    fn read(self: Box<Self>, range: Range<u64>) -> ContentStream {
        let failed = |error| Error::StorageUnavailable(Box::new(error));
        match self.layout.clone() {
            None => self.disk(range, |part| [part]).map_err(failed).boxed(),
            Some(layout) => {
                let disk = layout.disk_range(&range);
                // The last cluster may reach beyond the disk.
                let beyond = disk.end.saturating_sub(self.size_bytes.max(disk.start));
                let within = disk.start.min(self.size_bytes)..disk.end.min(self.size_bytes);
                let metadata = stream::iter(metadata(Arc::clone(&layout), range)).map(Ok);
                let data = self.disk(within, move |part| {
                    layout.parts_of(part).collect::<Vec<_>>()
                });
                let end = stream::iter(zeros(beyond)).map(Ok);
                metadata.chain(data).chain(end).map_err(failed).boxed()
            }
        }
    }
}

impl PointContent {
    pub(crate) async fn open(
        repository: Repository,
        point: PointId,
        layout: Option<Arc<Qcow2Layout>>,
    ) -> Result<Self, strongroom_repo::Error> {
        Ok(Self {
            size_bytes: repository.get_point(&point).await?.size_bytes,
            repository,
            point,
            layout,
        })
    }

    /// What `chosen` takes of the stretches of a part of the disk.
    fn disk<C>(
        self: Box<Self>,
        range: Range<u64>,
        chosen: impl Fn(Range<u64>) -> C + Send + 'static,
    ) -> impl Stream<Item = Result<Bytes, strongroom_repo::Error>> + Send + 'static
    where
        C: IntoIterator<Item = Range<u64>, IntoIter: Send + 'static>,
    {
        let begin = async move { self.repository.read_point_range(&self.point, range).await };
        let segments = stream::once(begin).map_ok(|reader| {
            stream::try_unfold(reader, |mut reader| async move {
                let next = reader.next().await?;
                Ok::<_, strongroom_repo::Error>(next.map(|segment| (segment, reader)))
            })
        });
        let pieces = segments.try_flatten().map_ok(move |segment| {
            let parts = chosen(range_of(&segment)).into_iter();
            let pieces = parts.flat_map(move |part| pieces(&segment, &part));
            stream::iter(pieces.map(Ok))
        });
        pieces.try_flatten()
    }
}

/// Looks through a point's tree for what has data.
pub(crate) async fn lay_out(
    repository: &Repository,
    point: &PointId,
) -> Result<Qcow2Layout, strongroom_repo::Error> {
    let view = repository.view_point(point, NO_CACHE).await?;
    let size = view.size_bytes();
    let mut data = DataClusters::default();
    let begins = (0_u64..).map(|n| n.saturating_mul(WALKED_AT_ONCE));
    let begins = begins.take_while(|begin| *begin < size);
    let mut found = stream::iter(begins)
        .map(|begin| view.data_in(begin, WALKED_AT_ONCE.min(size - begin)))
        .buffered(WALKS_AT_ONCE);
    while let Some(part) = found.try_next().await? {
        data.extend(part);
    }
    drop(found);
    view.end().await;
    Ok(Qcow2Layout::new(size, data))
}

fn range_of(segment: &Segment) -> Range<u64> {
    let length = match &segment.content {
        Content::Data(bytes) => bytes.len() as u64,
        Content::Hole(length) => *length,
    };
    segment.offset..segment.offset + length
}

/// A part of a segment.
fn pieces(segment: &Segment, part: &Range<u64>) -> impl Iterator<Item = Bytes> + use<> {
    let (data, hole_bytes) = match &segment.content {
        Content::Data(bytes) => {
            let [start, end] = [part.start, part.end].map(|at| small(at - segment.offset));
            (Some(bytes.slice(start..end)), 0)
        }
        Content::Hole(_) => (None, part.end - part.start),
    };
    data.into_iter().chain(zeros(hole_bytes))
}

fn zeros(bytes: u64) -> impl Iterator<Item = Bytes> {
    let most = ZEROS.len() as u64;
    let lengths = (0..bytes)
        .step_by(ZEROS.len())
        .map(move |at| most.min(bytes - at));
    lengths.map(|length| Bytes::from_static(&ZEROS[..small(length)]))
}

/// The part of a range that lies before the data.
fn metadata(layout: Arc<Qcow2Layout>, range: Range<u64>) -> impl Iterator<Item = Bytes> {
    let end = range.end.min(layout.data_offset());
    let clusters = range.start / QCOW2_CLUSTER..end.div_ceil(QCOW2_CLUSTER);
    clusters.map(move |cluster| {
        let begin = cluster * QCOW2_CLUSTER;
        let inside =
            small(range.start.max(begin) - begin)..small(end.min(begin + QCOW2_CLUSTER) - begin);
        Bytes::from(layout.metadata(cluster)).slice(inside)
    })
}

/// A distance within a segment or a cluster.
fn small(bytes: u64) -> usize {
    usize::try_from(bytes).expect("what is in memory")
}
