//! Looking for damage: every pack once, then every point's tree, shared parts once.

mod damage;
mod objects;
mod packs;
mod points;

use std::collections::HashMap;
use std::num::NonZero;

use futures::{StreamExt, stream};
use strongroom_chunk::{Kind, ObjectId};
use strongroom_types::Chain;

use crate::engine::Engine;
use crate::index::Index;
use crate::{Remedy, Result, VerifyDepth, VerifyProgress, VerifyReport, keyring, layout};
use damage::DamageList;
use packs::PackState;
use points::PointCheck;

/// Packs checked side by side, beside one for each processor: while one is read, another is checked.
const PACKS_READ_AHEAD: usize = 1;
/// Each takes a window of a few MiB.
const PACKS_IN_FLIGHT_MAX: usize = 9;

pub(crate) type Progress<'a> = &'a (dyn Fn(VerifyProgress) + Sync);

pub(crate) async fn verify(
    engine: &Engine,
    depth: VerifyDepth,
    progress: Progress<'_>,
) -> Result<VerifyReport> {
    // With caches of its own: what was read before the damage must not hide it.
    let engine = &engine.fresh();
    // Points first: what they need was durable before they were, so the listings below have it.
    let points = engine.points.read_all().await?;
    let mut damage = DamageList::default();
    objects::check_configs(engine, &mut damage).await?;
    check_keyring(engine, &mut damage).await?;
    let lone_copies = objects::check_points(engine, &mut damage).await?;
    objects::check_sessions(engine, &mut damage).await?;
    objects::check_segments(engine, &mut damage).await?;
    let mut bad = engine.index.refresh(&engine.store, &engine.keys).await?;
    bad.extend(engine.index.check(&engine.store, &engine.keys).await?);
    for bad in bad {
        damage.add_segment(&bad.object, &bad.error);
    }
    let mut done = VerifyProgress {
        points_total: points.len() as u64,
        ..VerifyProgress::default()
    };
    let states = check_packs(engine, depth, progress, &mut done, &mut damage).await?;
    mark(engine, depth, &states).await?;
    let mut check = PointCheck::new(engine, depth, &states, &mut damage);
    for (id, point) in points {
        check.point(id, point).await?;
        done.points_checked += 1;
        progress(done);
    }
    let (damage, damage_count) = damage.finish();
    Ok(VerifyReport {
        points_checked: done.points_checked,
        packs_checked: done.packs_checked,
        bytes_read: done.bytes_read,
        damage,
        damage_count,
        lone_copies,
    })
}

/// Looks at an index segment once more; `Corrupt` says that it is damaged still.
pub(crate) async fn look_again(engine: &Engine, segment: ObjectId) -> Result<()> {
    objects::check_segment(engine, segment).await?;
    Index::look_again(&engine.store, &engine.keys, segment).await
}

async fn check_keyring(engine: &Engine, damage: &mut DamageList) -> Result<()> {
    let checked = engine.store.check_keys().await?;
    if let Some(error) = &checked.trouble {
        damage.add(keyring::FOLDER, error);
    }
    for path in &checked.unsound {
        let problem = "damaged or missing, or not as its copy is";
        damage.add_remediable(path.as_ref(), problem, Remedy::Copy);
    }
    Ok(())
}

/// Keeps the marks in the store true. A place that cannot be written is verified all the same.
async fn mark(
    engine: &Engine,
    depth: VerifyDepth,
    states: &HashMap<ObjectId, PackState>,
) -> Result<()> {
    engine.refresh_marks().await?;
    for (id, state) in states {
        let (store, marks) = (&engine.store, &engine.marks);
        let marked = marks.contains(*id);
        let change = match state.problems().next() {
            // What can be healed can be built upon, and what no key opens is not damaged.
            Some(_) if matches!(state, PackState::Healable(_) | PackState::Foreign(_)) => Ok(()),
            Some(problem) if !marked => marks.add(store, *id, problem).await,
            None if marked && depth == VerifyDepth::ReadData => marks.remove(store, *id).await,
            _ => Ok(()),
        };
        if let Err(error) = change {
            tracing::warn!(error = %Chain(&error), pack = %id, "a pack cannot be marked as damaged or sound");
        }
    }
    Ok(())
}

async fn check_packs(
    engine: &Engine,
    depth: VerifyDepth,
    progress: Progress<'_>,
    done: &mut VerifyProgress,
    damage: &mut DamageList,
) -> Result<HashMap<ObjectId, PackState>> {
    let mut listed = Vec::new();
    for kind in [Kind::DataPack, Kind::NodePack] {
        let packs = engine.store.list(kind).await?;
        listed.extend(packs.into_iter().map(|pack| (kind, pack.id)));
    }
    done.packs_total = listed.len() as u64;
    progress(*done);
    let mut states = HashMap::with_capacity(listed.len());
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut checks = stream::iter(listed)
        .map(|(kind, id)| async move { (kind, id, packs::check(engine, kind, id, depth).await) })
        .buffer_unordered((processors + PACKS_READ_AHEAD).min(PACKS_IN_FLIGHT_MAX));
    while let Some((kind, id, result)) = checks.next().await {
        done.packs_checked += 1;
        if let Some((state, bytes_read)) = result? {
            state.add_to(damage, &layout::name(kind, id));
            states.insert(id, state);
            done.bytes_read += bytes_read;
        }
        progress(*done);
    }
    Ok(states)
}
