//! Looking for damage: every pack once, then every point's tree, shared parts once.

mod damage;
mod packs;
mod points;

use std::collections::HashMap;

use futures::{StreamExt, stream};
use strongroom_chunk::{Kind, ObjectId};
use strongroom_types::Chain;

use crate::config::Config;
use crate::engine::Engine;
use crate::{Error, Result, VerifyDepth, VerifyProgress, VerifyReport, keyring, layout};
use damage::DamageList;
use packs::PackState;
use points::PointCheck;

/// Packs checked side by side; each is read in windows of a few MiB.
const PACKS_IN_FLIGHT: usize = 4;

type Progress<'a> = &'a (dyn Fn(VerifyProgress) + Sync);

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
    check_configs(engine, &mut damage).await?;
    check_keyring(engine, &mut damage).await?;
    let mut bad = engine.index.refresh(&engine.store, &engine.keys).await?;
    bad.extend(engine.index.check(&engine.store, &engine.keys).await?);
    for bad in bad {
        damage.add(&bad.object, &bad.error);
    }
    let mut done = VerifyProgress {
        points_total: points.len() as u64,
        ..VerifyProgress::default()
    };
    let states = check_packs(engine, depth, progress, &mut done, &mut damage).await?;
    mark(engine, depth, &states).await?;
    let mut check = PointCheck::new(engine, &states, &mut damage);
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
    })
}

async fn check_configs(engine: &Engine, damage: &mut DamageList) -> Result<()> {
    for name in layout::CONFIGS {
        match Config::read(&engine.store, name).await {
            Ok(Some(config)) if config.id == engine.id => {}
            Ok(Some(_)) => damage.add_problem(name, "it belongs to another repository"),
            Ok(None) => damage.add_problem(name, "missing"),
            Err(error @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => {
                damage.add(name, &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn check_keyring(engine: &Engine, damage: &mut DamageList) -> Result<()> {
    let changed = engine.keys.newest_generation() > 0;
    let newest = keyring::newest(&engine.store, &engine.id).await?;
    if let Some(error) = &newest.damage {
        damage.add(keyring::FOLDER, error);
    }
    match &newest.found {
        Some(found) => {
            for path in &found.unsound {
                damage.add_problem(path.as_ref(), "damaged or missing");
            }
        }
        None if changed => damage.add_problem(keyring::FOLDER, "missing"),
        None => {}
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
    let mut checks = stream::iter(listed)
        .map(|(kind, id)| async move { (kind, id, packs::check(engine, kind, id, depth).await) })
        .buffer_unordered(PACKS_IN_FLIGHT);
    while let Some((kind, id, result)) = checks.next().await {
        let (state, bytes_read) = result?;
        for problem in state.problems() {
            damage.add_problem(&layout::name(kind, id), problem);
        }
        states.insert(id, state);
        done.packs_checked += 1;
        done.bytes_read += bytes_read;
        progress(*done);
    }
    Ok(states)
}
