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
use strongroom_types::Chain;

use crate::adopt;
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

/// How often an estimate begins anew because packs went meanwhile: a collection does not wait for who leaves no trace.
const ESTIMATES_MAX: usize = 4;

/// What a collection would free, by the same rules and without a trace.
async fn estimate(
    engine: &Engine,
    options: &CollectOptions,
    progress: Progress<'_>,
) -> Result<CollectReport> {
    let mut estimates = 1;
    loop {
        match estimate_once(engine, options, progress).await {
            Err(Error::Missing { .. }) if estimates < ESTIMATES_MAX => estimates += 1,
            estimated => return estimated,
        }
    }
}

async fn estimate_once(
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
    let mut packs = PackTable::candidates(engine).await?;
    let sessions = sessions::survey(engine, Some(session.id())).await?;
    if sessions
        .iter()
        .any(|s| s.is_alive() && s.may_be_collector())
    {
        return Err(Error::Busy);
    }
    report.sessions_ended = sessions::end_dead(engine, &sessions).await?;
    packs.protect(&alive(&sessions));
    let intents = sessions::intents(engine, session.id()).await?;
    let mut copier = Copier::new(engine, session.id(), options.bytes_per_second, progress);
    let condemnable = condemnable(engine, packs, &intents, options, &mut copier, &mut report);
    let (mut marker, condemned) = condemnable.await?;
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

/// How often a collection begins to mark anew because of damage that it meets. Each time it knows more.
const MARKINGS_MAX: usize = 8;

/// Finds the packs that are to go, behind copying what is in use of those of which little is. What is in use was
/// found with an index that lists every pack that can be read, and in packs that can be read if there is any.
async fn condemnable<'a>(
    engine: &'a Engine,
    mut packs: PackTable,
    intents: &[Root],
    options: &CollectOptions,
    copier: &mut Copier<'a>,
    report: &mut CollectReport,
) -> Result<(Marker<'a>, Vec<u32>)> {
    // By number in the table as it was first listed.
    let mut copied = HashSet::new();
    for _ in 0..MARKINGS_MAX {
        // Damaged segments count as lost: what they listed is listed again first.
        adopt::catch_up(engine).await?;
        let refused = engine.index.refused_count();
        let table = packs.clone();
        let mut marker = mark(engine, table, intents.to_vec(), copier.progress(), report).await?;
        let choice = choose::choose(engine, &marker.table, options.compact_below_percent).await?;
        if engine.index.refused_count() != refused {
            continue;
        }
        choice.report(&marker.table, report);
        let mut distrusted = marker.table.ids(&choice.unreadable);
        if distrusted.is_empty() {
            // Beside the sparse packs, what is in use of packs that an earlier collection condemned.
            let mut copies = choice.sparse.clone();
            copies.extend(marker.table.condemned_in_use());
            let rescued = rescue(&mut marker.table, copier, copies).await?;
            let sparse = choice.sparse.into_iter();
            copied.extend(sparse.filter(|number| rescued.copied.contains(number)));
            distrusted = marker.table.ids(&rescued.unreadable);
            if distrusted.is_empty() {
                let mut condemned = choice.dead;
                condemned.extend(copied);
                return Ok((marker, condemned));
            }
        }
        packs.distrust(&distrusted);
        for number in &copied {
            packs.get_mut(*number).condemn();
        }
    }
    Err(Error::Corrupt {
        object: "packs".to_owned(),
        detail: "each time they are read, others are damaged".to_owned(),
    })
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
    if marker.chunks_missing() > 0 {
        // What is missing is in no pack that the index lists.
        marker.table.keep_unlisted(engine);
    }
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

/// Packs that were to be copied.
struct Rescued {
    /// Nothing is needed of them any more by that.
    copied: HashSet<u32>,
    unreadable: Vec<u32>,
}

/// Copies what is in use of these packs. What cannot be read stays where it is.
async fn rescue(
    table: &mut PackTable,
    copier: &mut Copier<'_>,
    packs: Vec<u32>,
) -> Result<Rescued> {
    let mut rescued = Rescued {
        copied: HashSet::with_capacity(packs.len()),
        unreadable: Vec::new(),
    };
    for number in packs {
        let pack = table.get(number);
        match copier.copy(pack.kind, pack.id, pack.live()).await {
            Ok(()) => {
                rescued.copied.insert(number);
            }
            Err(error @ (Error::Corrupt { .. } | Error::Missing { .. })) => {
                tracing::warn!(error = %Chain(&error), "a pack cannot be rewritten");
                rescued.unreadable.push(number);
            }
            Err(error) => return Err(error),
        }
    }
    table.add_own(copier.finish().await?);
    for number in &rescued.copied {
        table.get_mut(*number).forget_live();
    }
    Ok(rescued)
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
