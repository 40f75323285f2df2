use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use strongroom_chunk::Profile;
use strongroom_types::{Clock, IdSource};

use crate::{
    Commit, Error, NewPoint, Point, PointId, Result, Secret, VerifyDepth, VerifyProgress,
    VerifyReport,
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
    /// A pack is closed once it has this many bytes.
    pub pack_bytes_target: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            profile: Profile::Default,
            pack_bytes_target: 64 << 20,
        }
    }
}

/// One project's data: a key, a dedup domain and a place in an object store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Repository {
    id: Arc<str>,
}

const LATER: Error = Error::Broken("not built yet");

impl Repository {
    pub async fn init(
        _store: Arc<dyn ObjectStore>,
        _secret: &Secret,
        _options: Options,
        _env: Env,
    ) -> Result<Self> {
        Err(LATER)
    }
    pub async fn open(_store: Arc<dyn ObjectStore>, _secret: &Secret, _env: Env) -> Result<Self> {
        Err(LATER)
    }
    pub fn id(&self) -> &str {
        &self.id
    }
    pub async fn begin_point(&self, _new: NewPoint) -> Result<PointWriter> {
        Err(LATER)
    }
    pub async fn list_points(&self) -> Result<Vec<Point>> {
        Err(LATER)
    }
    pub async fn get_point(&self, _id: &PointId) -> Result<Point> {
        Err(LATER)
    }
    pub async fn find_point(&self, _name: &str) -> Result<Option<Point>> {
        Err(LATER)
    }
    pub async fn delete_point(&self, _id: &PointId) -> Result<()> {
        Err(LATER)
    }
    pub async fn read_point(&self, _id: &PointId) -> Result<PointReader> {
        Err(LATER)
    }
    pub async fn occupied(&self, _points: &[PointId]) -> Result<u64> {
        Err(LATER)
    }
    pub async fn verify(
        &self,
        _depth: VerifyDepth,
        _progress: &(dyn Fn(VerifyProgress) + Sync),
    ) -> Result<VerifyReport> {
        Err(LATER)
    }
}

#[derive(Debug)]
pub struct PointWriter {}

impl PointWriter {
    pub async fn write(&mut self, _data: Bytes) -> Result<()> {
        Err(LATER)
    }
    pub async fn hole(&mut self, _length_bytes: u64) -> Result<()> {
        Err(LATER)
    }
    pub async fn commit(self) -> Result<Commit> {
        Err(LATER)
    }
}

#[derive(Debug)]
pub struct PointReader {}

/// A stretch of a point's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub offset: u64,
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    Data(Bytes),
    /// So many zero bytes.
    Hole(u64),
}

impl PointReader {
    pub fn size_bytes(&self) -> u64 {
        0
    }
    pub async fn next(&mut self) -> Result<Option<Segment>> {
        Err(LATER)
    }
}
