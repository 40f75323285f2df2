//! Writing a point. Bytes pass four stages on threads of their own, joined by bounded channels:
//!
//! compare (with the parent) → cut (zero test, cutting) → choose (look-up, frames) → assemble (seal, packs, tree) → upload.
//! Several working threads compare for cut, hash chunks for choose and compress frames for assemble. Where the caller says
//! that nothing has changed, cut takes chunks and subtrees from the parent (`carry`).

mod assemble;
mod carriable;
mod carry;
mod choose;
mod compare;
mod cut;
mod frame;
mod parent;
mod pipeline;
mod session;
mod tree;
mod upload;
mod work;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use strongroom_chunk::Kind;
use tokio::sync::{mpsc, oneshot};

use crate::adopt;
use crate::engine::Engine;
use crate::points::{self, StoredPoint};
use crate::repository::object_id;
use crate::sessions::{self, SessionKind};
use crate::store::Created;
use crate::{Commit, Error, NewPoint, Point, PointId, Result, layout};
pub(crate) use assemble::new_pack;
pub use carriable::Carriable;
pub use carry::Reread;
use parent::ParentTree;
use pipeline::Outcome;
use session::Session;

/// Larger portions are handed on in parts of this size, smaller ones are joined.
const PORTION_BYTES: usize = 1 << 20;
/// Portions below this are copied together; it is cheaper than handing them on one by one.
const SMALL_BYTES: usize = 64 << 10;

/// What the caller hands over.
#[derive(Debug)]
enum Input {
    Data(Bytes),
    /// Bytes that should be the parent's.
    Audit(Bytes),
    Hole(u64),
    Unchanged(Unchanged),
    Finish,
}

/// A stretch that is the parent's.
#[derive(Debug, Clone, Copy)]
struct Unchanged {
    length: u64,
    /// So is the block behind it, which comes as data or a hole.
    same_behind: bool,
}

/// Takes the bytes of one point in order, from offset 0. Dropping it without [`PointWriter::commit`]
/// leaves the repository as it was, but for packs that the next writer adopts or a collection removes.
#[derive(Debug)]
pub struct PointWriter {
    engine: Arc<Engine>,
    session: Arc<Session>,
    /// Says in the store that this writer is at work.
    lease: sessions::Session,
    new: NewPoint,
    parent: Option<Point>,
    /// Can the image be read again?
    rereads: bool,
    /// Until somebody wants it.
    carriable: Option<Carriable>,
    input: mpsc::Sender<Input>,
    outcome: oneshot::Receiver<Outcome>,
    /// Small portions not handed on yet.
    small: BytesMut,
    /// Bytes behind them that are unchanged, not handed on yet: the longer a stretch, the less must be read at its ends.
    unchanged: u64,
    written: u64,
}

impl PointWriter {
    pub(crate) async fn begin(
        engine: Arc<Engine>,
        new: NewPoint,
        reread: Option<Reread>,
    ) -> Result<Self> {
        points::check(&new)?;
        if let Some((id, point)) = engine.points.find_named(&new.name).await? {
            return Err(Error::PointExists(Box::new(point.to_point(id))));
        }
        let lease =
            sessions::Session::begin(&engine, SessionKind::Writer, Some(new.name.clone())).await?;
        let packs = adopt::catch_up(&engine).await?;
        let parent = engine
            .points
            .read_readable()
            .await?
            .into_iter()
            .rfind(|(_, point)| point.lineage == new.lineage);
        let session = Arc::new(Session::new(lease.id(), packs));
        let rereads = reread.is_some();
        let stored = parent.as_ref().map(|(_, point)| point);
        let tree = ParentTree::new(&engine, &session, stored);
        let carriable = Carriable::new(tree, new.size_bytes);
        let started = pipeline::start(&engine, &session, new.size_bytes, stored, reread);
        let (input, outcome) = started?;
        Ok(Self {
            engine,
            session,
            lease,
            new,
            parent: parent.map(|(id, point)| point.to_point(id)),
            rereads,
            carriable: Some(carriable),
            input,
            outcome,
            small: BytesMut::new(),
            unchanged: 0,
            written: 0,
        })
    }

    /// Takes the next bytes, any number of them. Waits while the stages behind are busy.
    pub async fn write(&mut self, mut data: Bytes) -> Result<()> {
        self.advance(data.len() as u64)?;
        self.flush_unchanged().await?;
        if data.len() < SMALL_BYTES {
            self.small.extend_from_slice(&data);
            if self.small.len() >= PORTION_BYTES {
                self.flush_small().await?;
            }
            return Ok(());
        }
        self.flush_small().await?;
        while !data.is_empty() {
            let portion = data.split_to(data.len().min(PORTION_BYTES));
            self.send(Input::Data(portion)).await?;
        }
        Ok(())
    }

    /// The next `length_bytes` bytes are zero; costs nothing, however many they are.
    pub async fn hole(&mut self, length_bytes: u64) -> Result<()> {
        self.advance(length_bytes)?;
        self.flush().await?;
        self.send(Input::Hole(length_bytes)).await
    }

    /// The lineage's newest point when this writer began: what [`PointWriter::unchanged`] compares with.
    pub fn parent(&self) -> Option<&Point> {
        self.parent.as_ref()
    }

    /// What tells which of the unchanged bytes will be read, to one reader of the image. Whoever takes it vouches for the block
    /// behind each unchanged stretch too.
    pub fn take_carriable(&mut self) -> Option<Carriable> {
        self.carriable.take()
    }

    /// The caller vouches that the next `length_bytes` bytes are those that [`PointWriter::parent`] has there. They are
    /// not read, but for those around what has changed; the point is the one that an image read whole would give.
    /// [`Error::Invalid`] without a parent, behind its end, or if the writer cannot read the image again
    /// (`Repository::begin_point_over`).
    pub async fn unchanged(&mut self, length_bytes: u64) -> Result<()> {
        if !self.rereads {
            return Err(cut::nothing_to_carry_from());
        }
        self.advance_over_parent(length_bytes)?;
        self.flush_small().await?;
        self.unchanged += length_bytes;
        Ok(())
    }

    /// Takes the next bytes, of which the caller believes that they are the parent's. This call or a later one fails with
    /// [`Error::Changed`] if a chunk or hole of the parent lies wholly in `data` and differs; then nothing is committed.
    /// What of the parent cannot be read is not compared. [`Error::Invalid`] without a parent, or behind its end. `data`
    /// stays in memory as one piece: some MiB at most.
    pub async fn audit(&mut self, data: Bytes) -> Result<()> {
        self.advance_over_parent(data.len() as u64)?;
        self.flush().await?;
        self.send(Input::Audit(data)).await
    }

    /// Makes everything durable, then the point visible. Exactly `NewPoint.size_bytes` bytes must have
    /// been written. [`Error::PointExists`] when another writer committed the name meanwhile.
    pub async fn commit(mut self) -> Result<Commit> {
        if self.written != self.new.size_bytes {
            return Err(Error::Invalid(format!(
                "{} bytes were written, {} announced",
                self.written, self.new.size_bytes
            )));
        }
        self.flush().await?;
        self.send(Input::Finish).await?;
        let Ok(outcome) = (&mut self.outcome).await else {
            return Err(self.session.failure());
        };
        let point = self.point(&outcome);
        self.prove_later_packs().await?;
        self.lease.commit(&point).await?;
        let (id, winner) = self.put(&point).await?;
        if winner.session == point.session
            && let Err(error @ Error::Fenced) = self.lease.confirm().await
        {
            // Nobody was told of it, and what it needs may be gone.
            self.engine.points.delete(object_id(&id)).await?;
            return Err(error);
        }
        self.lease.end().await;
        if winner.session != point.session {
            return Err(Error::PointExists(Box::new(winner.to_point(id))));
        }
        Ok(Commit {
            point: point.to_point(id),
            bytes_scanned: point.bytes_scanned,
            bytes_new: point.bytes_new,
            bytes_stored: point.bytes_stored,
        })
    }

    /// What the index learnt from others since the beginning may name packs that were gone before: a writer that was
    /// taken for dead lists them when it wakes up. One that is there now stays for this session.
    async fn prove_later_packs(&self) -> Result<()> {
        let mut later = self.session.later_packs();
        if later.is_empty() {
            return Ok(());
        }
        for kind in [Kind::DataPack, Kind::NodePack] {
            for object in self.engine.store.list(kind).await? {
                later.remove(&object.id);
            }
        }
        match later.into_iter().next() {
            None => Ok(()),
            Some(pack) => Err(Error::Missing {
                object: layout::name(Kind::DataPack, pack),
            }),
        }
    }

    /// Puts the point; returns the one that stands behind it, of this writer or of a faster one.
    async fn put(&self, point: &StoredPoint) -> Result<(PointId, StoredPoint)> {
        let points = &self.engine.points;
        let failure = match points.create(point, &*self.engine.env.ids).await {
            Ok((id, Created::New)) => return Ok((id, point.clone())),
            Ok((_, Created::WasThere)) => None,
            // Perhaps only the answer was lost.
            Err(error) => Some(error),
        };
        match (points.find_named(&point.name).await?, failure) {
            (Some(found), _) => Ok(found),
            (None, Some(error)) => Err(error),
            // It was there and is deleted: this name has had its point.
            (None, None) => Err(Error::Fenced),
        }
    }

    fn point(&self, outcome: &Outcome) -> StoredPoint {
        let root = outcome.root;
        StoredPoint {
            name: self.new.name.clone(),
            lineage: self.new.lineage.clone(),
            size_bytes: self.new.size_bytes,
            created_at_us: self.engine.env.clock.now().as_micros(),
            profile: self.engine.options.profile.as_str().to_owned(),
            session: Some(self.lease.id().to_string()),
            parent: self.parent.as_ref().map(|parent| parent.id.clone()),
            root: root
                .map_or(strongroom_chunk::ContentId::ZERO, |r| r.id)
                .to_string(),
            root_place: root.map(|r| (r.place.pack.to_string(), r.place.slot)),
            attributes: self.new.attributes.clone(),
            bytes_scanned: outcome.bytes_scanned,
            bytes_new: outcome.bytes_new,
            bytes_stored: outcome.bytes_stored,
        }
    }

    fn advance(&mut self, length: u64) -> Result<()> {
        let written = self.written.checked_add(length);
        let written = written.filter(|written| *written <= self.new.size_bytes);
        self.written = written.ok_or_else(|| {
            Error::Invalid(format!(
                "more than the announced {} bytes",
                self.new.size_bytes
            ))
        })?;
        Ok(())
    }

    /// As [`Self::advance`], and not behind the parent's end.
    fn advance_over_parent(&mut self, length: u64) -> Result<()> {
        let Some(parent) = &self.parent else {
            return Err(cut::nothing_to_carry_from());
        };
        if length > parent.size_bytes.saturating_sub(self.written) {
            return Err(Error::Invalid(format!(
                "the parent has only {} bytes",
                parent.size_bytes
            )));
        }
        self.advance(length)
    }

    async fn flush(&mut self) -> Result<()> {
        self.flush_small().await?;
        self.flush_unchanged().await
    }

    async fn flush_unchanged(&mut self) -> Result<()> {
        match std::mem::take(&mut self.unchanged) {
            0 => Ok(()),
            length => {
                let same_behind = self.carriable.is_none();
                let stretch = Unchanged {
                    length,
                    same_behind,
                };
                self.send(Input::Unchanged(stretch)).await
            }
        }
    }

    async fn flush_small(&mut self) -> Result<()> {
        if self.small.is_empty() {
            return Ok(());
        }
        let portion = self.small.split().freeze();
        self.send(Input::Data(portion)).await
    }

    async fn send(&mut self, input: Input) -> Result<()> {
        match self.input.send(input).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.session.failure()),
        }
    }
}
