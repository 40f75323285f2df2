//! The second step: waiting for those who began before packs were condemned, copying what they took from them, and
//! deleting.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use strongroom_chunk::Kind;
use strongroom_types::Chain;

use super::copy::Copier;
use super::mark::Marker;
use super::{CollectOptions, CollectPhase, CollectProgress, CollectReport, Progress};
use crate::engine::Engine;
use crate::points::Root;
use crate::sessions::{self, CondemnedList, Seen, Session, SessionId};
use crate::{Result, adopt, index, layout};

/// How often those who are waited for are looked at.
const LOOK: Duration = Duration::from_secs(2);
const DELETES_IN_FLIGHT: usize = 16;
/// No writer takes so long for one object.
const LEFTOVERS_AGE: Duration = Duration::from_hours(24);

/// Deletes the condemned packs that nobody may need any more; the others are pending.
pub(super) async fn sweep(
    engine: &Engine,
    session: &Session,
    options: &CollectOptions,
    progress: Progress<'_>,
    (marker, copier): (&mut Marker<'_>, &mut Copier<'_>),
    report: &mut CollectReport,
) -> Result<()> {
    let lists = engine.condemned.lists();
    let newest = engine.condemned.newest();
    let sessions = wait(engine, session, newest, options.wait, progress).await?;
    report.sessions_alive = sessions.iter().filter(|s| s.is_alive()).count() as u64;
    let known = oldest_generation(&sessions);
    let ripe = lists
        .range(..=known)
        .map(|(g, list)| (*g, Arc::clone(list)));
    let ripe: Vec<(u64, Arc<CondemnedList>)> = ripe.collect();
    // Those who were waited for may have put points since.
    let mut roots = sessions::intents(engine, session.id()).await?;
    roots.extend(super::roots_of_points(engine).await?.into_iter().flatten());
    let certain = copy_what_came_since(engine, marker, copier, roots).await?;
    report.chunks_missing = marker.chunks_missing();
    // Behind this, nothing that this collection counted on can be taken away by another: what it copied is where
    // the index says, and what it deletes stays condemned.
    session.check().await?;
    let ripe = if certain { ripe } else { Vec::new() };
    for (_, list) in &ripe {
        delete(engine, marker, list, progress, report).await?;
    }
    (report.packs_pending, report.bytes_pending) = marker.table.pending();
    clean_up(engine, session, marker).await?;
    for (generation, list) in ripe {
        // The newest stays: no generation comes twice.
        if generation < newest && all_gone(marker, &list) && !is_listed(engine, &list) {
            engine.condemned.remove(&engine.store, generation).await?;
        }
    }
    Ok(())
}

/// Copies what these points use of condemned packs. False when damage was met by that: then nothing may be deleted, and
/// the next collection, which begins with that knowledge, finds what is in use.
async fn copy_what_came_since(
    engine: &Engine,
    marker: &mut Marker<'_>,
    copier: &mut Copier<'_>,
    roots: Vec<Root>,
) -> Result<bool> {
    let missing = marker.chunks_missing();
    adopt::catch_up(engine).await?;
    let refused = engine.index.refused_count();
    marker.table.extend(engine).await?;
    marker.walk(roots).await?;
    let in_use = marker.table.condemned_in_use();
    let rescued = super::rescue(&mut marker.table, copier, in_use).await?;
    Ok(rescued.unreadable.is_empty()
        && engine.index.refused_count() == refused
        && marker.chunks_missing() == missing)
}

/// Until all that are at work know this generation, or the time is over; returns who is at work.
async fn wait(
    engine: &Engine,
    session: &Session,
    generation: u64,
    wait: Duration,
    progress: Progress<'_>,
) -> Result<Vec<Seen>> {
    let mut left = wait;
    loop {
        let sessions = sessions::survey(engine, Some(session.id())).await?;
        sessions::end_dead(engine, &sessions).await?;
        let older = |s: &&Seen| s.is_alive() && s.generation() < generation;
        let waiting = sessions.iter().filter(older).count();
        if waiting == 0 || left.is_zero() {
            return Ok(sessions);
        }
        progress(CollectProgress {
            phase: CollectPhase::Wait,
            done: waiting as u64,
        });
        let pause = LOOK.min(left);
        tokio::time::sleep(pause).await;
        left -= pause;
    }
}

/// Everybody at work knows the lists up to this one.
fn oldest_generation(sessions: &[Seen]) -> u64 {
    let alive = sessions.iter().filter(|session| session.is_alive());
    alive.map(Seen::generation).min().unwrap_or(u64::MAX)
}

async fn delete(
    engine: &Engine,
    marker: &mut Marker<'_>,
    list: &CondemnedList,
    progress: Progress<'_>,
    report: &mut CollectReport,
) -> Result<()> {
    let table = &mut marker.table;
    let doomed = list.iter().filter_map(|(kind, id)| {
        let number = table.find(*id)?;
        let pack = table.get(number);
        // What could not be copied stays.
        (pack.live().is_empty() && !pack.is_gone()).then_some((number, *kind, *id, pack.length))
    });
    let doomed: Vec<_> = doomed.collect();
    let mut deletions = stream::iter(doomed)
        .map(|(number, kind, id, length)| async move {
            engine.store.delete(&layout::path(kind, id)).await?;
            engine.packs.forget(id);
            Ok::<_, crate::Error>((number, length))
        })
        .buffer_unordered(DELETES_IN_FLIGHT);
    while let Some((number, length)) = deletions.try_next().await? {
        table.get_mut(number).set_gone();
        report.packs_deleted += 1;
        report.bytes_deleted += length;
        progress(CollectProgress {
            phase: CollectPhase::Delete,
            done: report.packs_deleted,
        });
    }
    Ok(())
}

fn all_gone(marker: &Marker<'_>, list: &CondemnedList) -> bool {
    let mut packs = list.iter().filter_map(|(_, id)| marker.table.find(*id));
    packs.all(|number| marker.table.get(number).is_gone())
}

/// Writers tell by the list that these packs were not lost.
fn is_listed(engine: &Engine, list: &CondemnedList) -> bool {
    list.iter().any(|(_, id)| engine.index.lists_pack(*id))
}

/// Marks of packs that are gone, copies of points that are gone, files that killed writers did not finish, and
/// what the index says of packs that are gone.
async fn clean_up(engine: &Engine, session: &Session, marker: &Marker<'_>) -> Result<()> {
    for pack in engine.marks.all() {
        let number = marker.table.find(pack);
        if number.is_none_or(|number| marker.table.get(number).is_gone()) {
            engine.marks.remove(&engine.store, pack).await?;
        }
    }
    engine.points.delete_idle_copies().await?;
    remove_leftovers(engine, session).await?;
    let mut gone = index::gone_packs(engine).await?;
    if marker.chunks_missing() > 0 {
        // What was lost stays listed while somebody needs it: writers look at each chunk then, and store it again.
        let condemned = engine.condemned.packs();
        gone.retain(|pack| condemned.contains(pack));
    }
    index::merge_segments(engine, &gone).await
}

/// Half-written files: at once those of packs whose session is not at work any more.
async fn remove_leftovers(engine: &Engine, session: &Session) -> Result<()> {
    let (storage, clock) = (engine.store.storage(), &*engine.env.clock);
    // Before the sessions: a session is there before its packs.
    let mut unfinished: HashSet<Path> = storage.unfinished().await?.into_iter().collect();
    if !unfinished.is_empty() {
        let sessions = sessions::survey(engine, Some(session.id())).await?;
        let mut alive = super::alive(&sessions);
        alive.insert(session.id());
        let packs = [Kind::DataPack, Kind::NodePack];
        unfinished.retain(|path| {
            let mut ids = packs.iter().filter_map(|kind| layout::parse(*kind, path));
            ids.any(|id| !alive.contains(&SessionId::of_pack(id)))
        });
    }
    if let Err(error) = storage
        .sweep_leftovers(clock, LEFTOVERS_AGE, unfinished)
        .await
    {
        tracing::warn!(error = %Chain(&error), "unfinished files cannot be removed");
    }
    Ok(())
}
