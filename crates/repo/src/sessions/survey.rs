//! What a collection sees of all sessions, and how it ends those that are dead.

use std::collections::BTreeMap;
use std::time::Duration;

use strongroom_chunk::{Kind, ObjectId};
use strongroom_types::Chain;

use super::handle::read_end;
use super::records::{self, End, Intent, SessionKind, SessionRecord};
use super::{ENDS_KEPT, LEASE, SessionId};
use crate::engine::Engine;
use crate::points::Root;
use crate::store::{Created, Listed};
use crate::{Error, Result, layout};

/// A session as it stands in the store.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) id: SessionId,
    /// Nothing if it cannot be read: then it is one that must be waited for.
    record: Option<SessionRecord>,
    standing: Standing,
    objects: Vec<ObjectId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Alive,
    /// Silent for longer than its lease; it may come back.
    Silent,
    /// Its process is gone.
    Gone,
}

impl Seen {
    pub(crate) fn is_alive(&self) -> bool {
        self.standing == Standing::Alive
    }

    /// One of which nobody knows what it is may be.
    pub(crate) fn may_be_collector(&self) -> bool {
        self.record
            .as_ref()
            .is_none_or(|record| record.kind == SessionKind::Collector)
    }

    /// Lists up to this one are known to it.
    pub(crate) fn generation(&self) -> u64 {
        self.record.as_ref().map_or(0, |record| record.generation)
    }

    fn kind(&self) -> SessionKind {
        self.record.as_ref().map_or(SessionKind::Writer, |r| r.kind)
    }
}

/// How often sessions that are renewed or ended while they are read are listed again.
const LISTINGS_MAX: usize = 4;

/// All sessions but `own`. Without an own one nothing tells the store's time, and only those are dead whose process
/// is gone.
pub(crate) async fn survey(engine: &Engine, own: Option<SessionId>) -> Result<Vec<Seen>> {
    let mut listings = 1;
    loop {
        let (seen, all) = look(engine, own).await?;
        if all || listings == LISTINGS_MAX {
            return Ok(seen);
        }
        listings += 1;
    }
}

/// One look at the sessions. False beside them when one that was listed was not there any more.
async fn look(engine: &Engine, own: Option<SessionId>) -> Result<(Vec<Seen>, bool)> {
    let listed = engine.store.list(Kind::Session).await?;
    let mut sessions: BTreeMap<SessionId, Vec<(u64, Listed)>> = BTreeMap::new();
    for object in listed {
        let (id, number) = SessionId::parse(object.id);
        sessions.entry(id).or_default().push((number, object));
    }
    let now = own
        .and_then(|own| sessions.remove(&own))
        .and_then(|objects| objects.iter().map(|(_, o)| o.modified_us).max());
    let mut seen = Vec::with_capacity(sessions.len());
    let mut all = true;
    for (id, mut objects) in sessions {
        objects.sort_by_key(|(number, _)| *number);
        let Some((_, newest)) = objects.last() else {
            continue;
        };
        let record = match read(engine, newest.id).await {
            // Renewed or ended since it was listed.
            Err(Error::Missing { .. }) => {
                all = false;
                None
            }
            record => record?,
        };
        let host = record.as_ref().and_then(|record| record.host.as_ref());
        let standing = if host.is_some_and(super::host::Host::is_dead) {
            Standing::Gone
        } else if now.is_some_and(|now| age(now, newest) > LEASE) {
            Standing::Silent
        } else {
            Standing::Alive
        };
        seen.push(Seen {
            id,
            record,
            standing,
            objects: objects.into_iter().map(|(_, object)| object.id).collect(),
        });
    }
    Ok((seen, all))
}

async fn read(engine: &Engine, object: ObjectId) -> Result<Option<SessionRecord>> {
    match records::read(&engine.store, &engine.keys, Kind::Session, object).await {
        Ok(record) => Ok(Some(record)),
        Err(error @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => {
            tracing::warn!(error = %Chain(&error), "a session cannot be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn age(now_us: i64, object: &Listed) -> Duration {
    let micros = u64::try_from(now_us.saturating_sub(object.modified_us)).unwrap_or(0);
    Duration::from_micros(micros)
}

/// Ends the dead ones for good, so that none of them puts a point behind the collection's back; returns how many.
/// Their objects go, the words that fence them stay.
pub(crate) async fn end_dead(engine: &Engine, sessions: &[Seen]) -> Result<u64> {
    let mut ended = 0;
    for session in sessions.iter().filter(|session| !session.is_alive()) {
        // Also one whose process seems to be gone: what this one is shown of the machine may not be all there is.
        if session.kind() != SessionKind::Reader {
            fence(engine, session.id).await?;
        }
        for object in &session.objects {
            let path = layout::path(Kind::Session, *object);
            engine.store.delete(&path).await?;
        }
        ended += 1;
    }
    Ok(ended)
}

/// If the session has begun to commit, that stands, and what it commits is protected by the record.
async fn fence(engine: &Engine, id: SessionId) -> Result<()> {
    let (store, keys, ids) = (&engine.store, &engine.keys, &*engine.env.ids);
    let name = (Kind::SessionEnd, id.end_object());
    if records::put(store, keys, ids, name, &End::Fenced).await? == Created::New {
        tracing::warn!(session = %id, "a session that is silent or gone is ended");
    }
    Ok(())
}

/// No request reaches a server later than this behind the end of who sent it.
const REQUESTS_LATE: Duration = Duration::from_hours(1);

/// The points that sessions may still put without being at work any more, by their roots. Records that nobody can
/// need any more are removed.
pub(crate) async fn intents(engine: &Engine, own: SessionId) -> Result<Vec<Root>> {
    let now = own_time(engine, own).await?;
    let mut roots = Vec::new();
    for object in engine.store.list(Kind::SessionEnd).await? {
        let old = age(now, &object) > ENDS_KEPT;
        let end = read_end(engine, object.id).await;
        let root = match end {
            Ok(None | Some(End::Fenced)) => None,
            Ok(Some(End::Committing(intent))) => {
                // What a process asked of the kernel ends with it; a request on its way to a server may not.
                let local = engine.store.storage().folder().is_some();
                let late = age(now, &object) > REQUESTS_LATE;
                if intent.is_of_dead_process() && (local || late) {
                    remove(engine, object.id).await?;
                    continue;
                }
                root_of(&intent, object.id)?
            }
            Err(error) if old => {
                tracing::warn!(error = %Chain(&error), "an old end of a session cannot be read");
                None
            }
            Err(error) => return Err(error),
        };
        if old {
            remove(engine, object.id).await?;
        } else {
            roots.extend(root);
        }
    }
    Ok(roots)
}

fn root_of(intent: &Intent, object: ObjectId) -> Result<Option<Root>> {
    let name = layout::name(Kind::SessionEnd, object);
    intent.root().map_err(|error| Error::decoding(&name, error))
}

async fn remove(engine: &Engine, object: ObjectId) -> Result<()> {
    let path = layout::path(Kind::SessionEnd, object);
    engine.store.delete(&path).await
}

async fn own_time(engine: &Engine, own: SessionId) -> Result<i64> {
    let listed = engine.store.list(Kind::Session).await?;
    let own = listed
        .iter()
        .filter(|object| SessionId::parse(object.id).0 == own);
    // Without it this one was taken for dead and ended.
    own.map(|object| object.modified_us)
        .max()
        .ok_or(Error::Fenced)
}
