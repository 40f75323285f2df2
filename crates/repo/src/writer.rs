//! Writing a point. Bytes pass four stages on threads of their own, joined by bounded channels:
//!
//! compare (with the parent) → cut (zero test, cutting) → choose (look-up, frames) → assemble (seal, packs, tree) → upload.
//! Several working threads compare for cut, hash chunks for choose and compress frames for assemble.

mod assemble;
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
use crate::{Commit, Error, NewPoint, PointId, Result, layout};
pub(crate) use assemble::new_pack;
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
    Hole(u64),
    Finish,
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
    parent: Option<PointId>,
    input: mpsc::Sender<Input>,
    outcome: oneshot::Receiver<Outcome>,
    /// Small portions not handed on yet.
    small: BytesMut,
    written: u64,
}

impl PointWriter {
    pub(crate) async fn begin(engine: Arc<Engine>, new: NewPoint) -> Result<Self> {
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
        let (parent, root) = match parent {
            // A root that cannot be read is damage for `verify` to tell; a point needs none before it.
            Some((id, point)) => (Some(id), point.root().ok().flatten()),
            None => (None, None),
        };
        let session = Arc::new(Session::new(lease.id(), packs));
        let (input, outcome) = pipeline::start(&engine, &session, new.size_bytes, root)?;
        Ok(Self {
            engine,
            session,
            lease,
            new,
            parent,
            input,
            outcome,
            small: BytesMut::new(),
            written: 0,
        })
    }

    /// Takes the next bytes, any number of them. Waits while the stages behind are busy.
    pub async fn write(&mut self, mut data: Bytes) -> Result<()> {
        self.advance(data.len() as u64)?;
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
        self.flush_small().await?;
        self.send(Input::Hole(length_bytes)).await
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
        self.flush_small().await?;
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
            parent: self.parent.clone(),
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
