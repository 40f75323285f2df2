//! Collection: removes what no point needs, and rewrites packs of which little is needed. Nobody waits for it.
//!
//! A pack goes in two steps. First it is condemned, for good: whoever begins later does not use it. Then, once all
//! who began earlier have ended, what their points took from it meanwhile is copied, and it is deleted.
//! `docs/formats/sessions.md` has the argument why nothing is lost, whatever stops and comes back when.

mod choose;
mod copy;
mod mark;
mod report;
mod sweep;
mod table;
mod throttle;

use std::collections::HashSet;
use std::sync::Arc;

use strongroom_chunk::Kind;

use crate::engine::Engine;
use crate::points::Root;
use crate::sessions::{self, Seen, Session, SessionId, SessionKind};
use crate::{Error, Result};
pub(crate) use choose::Shares;
use copy::Copier;
use mark::Marker;
pub use report::{CollectOptions, CollectPhase, CollectProgress, CollectReport};
pub(crate) use table::{PackTable, Slots};

pub(crate) type Progress<'a> = &'a (dyn Fn(CollectProgress) + Sync);

pub(crate) async fn collect(
    engine: &Arc<Engine>,
    options: &CollectOptions,
    progress: Progress<'_>,
) -> Result<CollectReport> {
    if options.dry_run {
        return estimate(engine, options, progress).await;
    }
    let session = Session::begin(engine, SessionKind::Collector, None).await?;
    let result = run(engine, &session, options, progress).await;
    session.end().await;
    result
}

/// What a collection would free, by the same rules and without a trace.
async fn estimate(
    engine: &Engine,
    options: &CollectOptions,
    progress: Progress<'_>,
) -> Result<CollectReport> {
    engine
        .condemned
        .refresh(&engine.store, &engine.keys)
        .await?;
    let mut table = PackTable::candidates(engine).await?;
    let sessions = sessions::survey(engine, None).await?;
    table.protect(&alive(&sessions));
    let mut report = CollectReport::default();
    let marker = mark(engine, table, Vec::new(), progress, &mut report).await?;
    let choice = choose::choose(engine, &marker.table, options.compact_below_percent).await?;
    choice.report(&marker.table, &mut report);
    (report.packs_pending, report.bytes_pending) = marker.table.pending();
    report.sessions_alive = count(&sessions, Seen::is_alive);
    Ok(report)
}

async fn run(
    engine: &Arc<Engine>,
    session: &Session,
    options: &CollectOptions,
    progress: Progress<'_>,
) -> Result<CollectReport> {
    let mut report = CollectReport::default();
    // Packs before sessions before points: a pack in this listing whose session is not at work any more was
    // committed, if ever, by a point in that listing.
    let mut table = PackTable::candidates(engine).await?;
    let sessions = sessions::survey(engine, Some(session.id())).await?;
    if sessions.iter().any(|s| s.is_alive() && s.is_collector()) {
        return Err(Error::Busy);
    }
    report.sessions_ended = sessions::end_dead(engine, &sessions).await?;
    table.protect(&alive(&sessions));
    let intents = sessions::intents(engine, session.id()).await?;
    let mut marker = mark(engine, table, intents, progress, &mut report).await?;

    let choice = choose::choose(engine, &marker.table, options.compact_below_percent).await?;
    choice.report(&marker.table, &mut report);
    let mut copier = Copier::new(engine, session.id(), options.bytes_per_second, progress);
    // Beside the sparse packs, what is in use of packs that an earlier collection condemned.
    let mut copies = choice.sparse.clone();
    copies.extend(marker.table.condemned_in_use());
    let copied = rescue(&mut marker.table, &mut copier, copies).await?;
    let mut condemned = choice.dead;
    condemned.extend(
        choice
            .sparse
            .into_iter()
            .filter(|number| copied.contains(number)),
    );
    condemn(engine, session, &mut marker.table, condemned).await?;
    sweep::sweep(
        engine,
        session,
        options,
        progress,
        (&mut marker, &mut copier),
        &mut report,
    )
    .await?;
    report.bytes_copied = copier.bytes_stored();
    Ok(report)
}

fn alive(sessions: &[Seen]) -> HashSet<SessionId> {
    let alive = sessions.iter().filter(|session| session.is_alive());
    alive.map(|session| session.id).collect()
}

fn count(sessions: &[Seen], which: impl Fn(&Seen) -> bool) -> u64 {
    sessions.iter().filter(|session| which(session)).count() as u64
}

/// Marks what all points need, and what those need that may still appear.
async fn mark<'a>(
    engine: &'a Engine,
    mut table: PackTable,
    mut roots: Vec<Root>,
    progress: Progress<'a>,
    report: &mut CollectReport,
) -> Result<Marker<'a>> {
    let points = roots_of_points(engine).await?;
    report.points = points.len() as u64;
    roots.extend(points.into_iter().flatten());
    engine.index.refresh(&engine.store, &engine.keys).await?;
    engine.marks.refresh(&engine.store).await?;
    // What the points need was durable before they were: it is in this listing.
    table.extend(engine).await?;
    (report.packs, report.bytes) = table.size();
    let mut marker = Marker::new(engine, table, progress);
    marker.walk(roots).await?;
    report.nodes_visited = marker.nodes_visited();
    report.chunks_missing = marker.chunks_missing();
    Ok(marker)
}

/// Roots of all points; nothing for an image that is one hole. A point that cannot be read ends the collection:
/// nobody knows what it needs, and it may be repaired.
async fn roots_of_points(engine: &Engine) -> Result<Vec<Option<Root>>> {
    let points = engine.points.read_all().await?;
    let roots = points.into_iter().map(|(id, point)| {
        let name = crate::layout::name(Kind::Point, id);
        point?.root().map_err(|error| Error::decoding(&name, error))
    });
    roots.collect()
}

/// Copies what is in use of these packs; returns those of which nothing is needed any more by that. What cannot be
/// read stays where it is.
async fn rescue(
    table: &mut PackTable,
    copier: &mut Copier<'_>,
    packs: Vec<u32>,
) -> Result<HashSet<u32>> {
    let mut copied = HashSet::with_capacity(packs.len());
    for number in packs {
        let pack = table.get(number);
        match copier.copy(pack.kind, pack.id, pack.live()).await {
            Ok(()) => {
                copied.insert(number);
            }
            Err(error @ (Error::Corrupt { .. } | Error::Missing { .. })) => {
                tracing::warn!(error = %strongroom_types::Chain(&error), "a pack cannot be rewritten");
            }
            Err(error) => return Err(error),
        }
    }
    table.add_own(copier.finish().await?);
    for number in &copied {
        table.get_mut(*number).forget_live();
    }
    Ok(copied)
}

/// Nothing of these packs is needed: from here on nobody who begins uses them.
async fn condemn(
    engine: &Engine,
    session: &Session,
    table: &mut PackTable,
    packs: Vec<u32>,
) -> Result<()> {
    if packs.is_empty() {
        return Ok(());
    }
    let list = packs.iter().map(|number| {
        let pack = table.get(*number);
        (pack.kind, pack.id)
    });
    let list: Vec<_> = list.collect();
    let generation = engine.condemned.newest() + 1;
    let (store, keys, ids) = (&engine.store, &engine.keys, &*engine.env.ids);
    // Taken: by a collection that took this one for dead.
    if !engine
        .condemned
        .add(store, keys, ids, generation, list)
        .await?
    {
        return Err(Error::Busy);
    }
    for number in packs {
        table.get_mut(number).condemn();
    }
    // If this collection was taken for dead, another may have counted on what it has just condemned: the next one
    // finds that out and copies it. This one must not delete anything.
    session.check().await
}
