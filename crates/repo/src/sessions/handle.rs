//! Holding a session: begun, renewed in the background, ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strongroom_chunk::{Kind, ObjectId};
use strongroom_types::{Chain, Timestamp};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::host::Host;
use super::records::{self, End, Intent, SessionKind, SessionRecord};
use super::{ENDS_KEPT, LEASE, RENEWAL, SessionId};
use crate::engine::Engine;
use crate::points::StoredPoint;
use crate::store::Created;
use crate::{Error, Result, layout};

/// A session that is kept alive until it is ended or dropped.
#[derive(Debug)]
pub(crate) struct Session {
    shared: Arc<Shared>,
    /// Stops the renewal, which then removes the session's objects or leaves them.
    stop: Option<oneshot::Sender<Leave>>,
    renewal: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    id: SessionId,
    record: SessionRecord,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The newest of the session's objects.
    number: u64,
    renewed_at: Timestamp,
    /// An answer was lost: there may be one object more.
    unsure: bool,
    /// A point may appear at any time: others must go on protecting it.
    committing: bool,
}

/// What to do with the session's objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leave {
    Nothing,
    Everything,
}

impl Session {
    /// Begins a session. Behind this, `engine.condemned` has all that the session must not use: a list that is put
    /// later belongs to a generation for which this session is waited for.
    pub(crate) async fn begin(
        engine: &Arc<Engine>,
        kind: SessionKind,
        point: Option<String>,
    ) -> Result<Self> {
        let generation = engine
            .condemned
            .refresh(&engine.store, &engine.keys)
            .await?;
        let shared = Arc::new(Shared {
            engine: Arc::clone(engine),
            id: SessionId::random(&*engine.env.ids),
            record: SessionRecord {
                kind,
                generation,
                point,
                host: Host::current(),
            },
            state: Mutex::new(State {
                number: 1,
                renewed_at: engine.env.clock.now(),
                unsure: false,
                committing: false,
            }),
        });
        // Nobody else has this id: if it was there, the request was delivered twice.
        shared.put(1).await?;
        let (stop, stopped) = oneshot::channel();
        let renewal = tokio::spawn(renew(Arc::clone(&shared), stopped));
        let session = Self {
            shared,
            stop: Some(stop),
            renewal: Some(renewal),
        };
        engine
            .condemned
            .refresh(&engine.store, &engine.keys)
            .await?;
        Ok(session)
    }

    pub(crate) fn id(&self) -> SessionId {
        self.shared.id
    }

    /// Another may have taken this session for dead and said so. Asked before anything that must not happen then.
    pub(crate) async fn check(&self) -> Result<()> {
        match self.shared.read_end().await? {
            Some(End::Fenced) => Err(Error::Fenced),
            Some(End::Committing(_)) | None => Ok(()),
        }
    }

    /// From here on the point may be put, and what it needs is protected whether this process lives or not.
    /// [`Error::Fenced`] when the session was taken for dead before.
    pub(crate) async fn commit(&self, point: &StoredPoint) -> Result<()> {
        let shared = &self.shared;
        let silent = shared
            .engine
            .env
            .clock
            .now()
            .since(shared.lock().renewed_at);
        if silent > ENDS_KEPT / 2 {
            return Err(Error::Fenced);
        }
        let end = End::Committing(Intent::new(point, shared.record.host.clone()));
        shared.lock().committing = true;
        let engine = &shared.engine;
        let (store, keys, ids) = (&engine.store, &engine.keys, &*engine.env.ids);
        let name = (Kind::SessionEnd, shared.id.end_object());
        match records::put(store, keys, ids, name, &end).await {
            Ok(Created::New) => Ok(()),
            // The answer to an earlier attempt may have been lost on the way.
            result => match (shared.read_end().await?, result) {
                (Some(End::Committing(_)), _) => Ok(()),
                (Some(End::Fenced), _) => {
                    shared.lock().committing = false;
                    Err(Error::Fenced)
                }
                (None, result) => Err(result.err().unwrap_or(Error::Fenced)),
            },
        }
    }

    /// Whoever takes this process for gone, or a clock that was set forward, may have removed what [`Session::commit`]
    /// put, and with it the protection of the point. [`Error::Fenced`] then: the point must not be acknowledged.
    pub(crate) async fn confirm(&self) -> Result<()> {
        match self.shared.read_end().await? {
            Some(End::Committing(_)) => Ok(()),
            Some(End::Fenced) | None => Err(Error::Fenced),
        }
    }

    /// The session ends and nothing more is put by it. Only a failure to say so is left behind, which costs others
    /// a while of waiting.
    pub(crate) async fn end(mut self) {
        let engine = &self.shared.engine;
        if self.shared.lock().committing {
            let path = layout::path(Kind::SessionEnd, self.shared.id.end_object());
            match engine.store.delete(&path).await {
                Ok(()) => self.shared.lock().committing = false,
                Err(error) => log("how it ended cannot be removed", &self.shared, &error),
            }
        }
        self.stop();
        if let Some(renewal) = self.renewal.take() {
            // It cannot panic, and nobody cancels it but the end of the runtime.
            drop(renewal.await);
        }
    }

    fn stop(&mut self) {
        let leave = if self.shared.lock().committing {
            Leave::Everything
        } else {
            Leave::Nothing
        };
        if let Some(stop) = self.stop.take() {
            // A renewal that is gone went with the runtime.
            let _ = stop.send(leave);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A reader's session; nothing on a store that cannot be written to. Nobody waits for such a reader, but what it
/// has lost it looks for again.
#[derive(Debug)]
pub(crate) struct Reading(Option<Session>);

impl Reading {
    pub(crate) async fn begin(engine: &Arc<Engine>) -> Self {
        match Session::begin(engine, SessionKind::Reader, None).await {
            Ok(session) => Self(Some(session)),
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "reading without a session: a collection will not wait");
                Self(None)
            }
        }
    }

    /// Whoever waits for this reader need not wait any more.
    pub(crate) async fn end(self) {
        if let Some(session) = self.0 {
            session.end().await;
        }
    }
}

async fn renew(shared: Arc<Shared>, mut stopped: oneshot::Receiver<Leave>) {
    let leave = loop {
        tokio::select! {
            leave = &mut stopped => break leave.unwrap_or(Leave::Nothing),
            () = tokio::time::sleep(RENEWAL) => {}
        }
        if let Err(error) = shared.renew().await {
            log("cannot be renewed", &shared, &error);
        }
    };
    if leave == Leave::Nothing
        && let Err(error) = shared.remove().await
    {
        log("cannot be removed", &shared, &error);
    }
}

impl Shared {
    async fn put(&self, number: u64) -> Result<Created> {
        let engine = &self.engine;
        let (store, keys, ids) = (&engine.store, &engine.keys, &*engine.env.ids);
        let name = (Kind::Session, self.id.object(number));
        records::put(store, keys, ids, name, &self.record).await
    }

    async fn renew(&self) -> Result<()> {
        let (number, silent) = {
            let mut state = self.lock();
            state.unsure = true;
            (
                state.number,
                self.engine.env.clock.now().since(state.renewed_at),
            )
        };
        if silent > LEASE && matches!(self.read_end().await?, Some(End::Fenced)) {
            return Err(Error::Fenced);
        }
        self.put(number + 1).await?;
        {
            let mut state = self.lock();
            state.number = number + 1;
            state.renewed_at = self.engine.env.clock.now();
            state.unsure = false;
        }
        // The one before stays until next time: a listing that goes on meanwhile finds at least one of them.
        match number.checked_sub(1) {
            None | Some(0) => Ok(()),
            Some(before) => self.delete(before).await,
        }
    }

    async fn remove(&self) -> Result<()> {
        let (number, unsure) = {
            let state = self.lock();
            (state.number, state.unsure)
        };
        let first = number.saturating_sub(1).max(1);
        for number in first..=number + u64::from(unsure) {
            self.delete(number).await?;
        }
        Ok(())
    }

    async fn delete(&self, number: u64) -> Result<()> {
        let path = layout::path(Kind::Session, self.id.object(number));
        self.engine.store.delete(&path).await
    }

    async fn read_end(&self) -> Result<Option<End>> {
        read_end(&self.engine, self.id.end_object()).await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a session ended, if that is written down.
pub(super) async fn read_end(engine: &Engine, object: ObjectId) -> Result<Option<End>> {
    match records::read(&engine.store, &engine.keys, Kind::SessionEnd, object).await {
        Ok(end) => Ok(Some(end)),
        Err(Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn log(what: &str, shared: &Shared, error: &Error) {
    tracing::warn!(error = %Chain(error), session = %shared.id, "a session {what}");
}
