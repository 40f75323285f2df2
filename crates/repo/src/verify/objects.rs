//! The objects beside packs: configs, index segments, points and their copies, what sessions leave.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use strongroom_chunk::{Kind, ObjectId, open_object};

use super::damage::{DamageList, problem_of};
use crate::config::Config;
use crate::engine::Engine;
use crate::points::point_id;
use crate::scrub::{Expected, check_clear};
use crate::{Error, PointId, Remedy, Result, VerifyReport, layout};

const READS_IN_FLIGHT: usize = 16;
const OF_ANOTHER: &str = "it is the copy of another point that had this name";

pub(super) async fn check_configs(engine: &Engine, damage: &mut DamageList) -> Result<()> {
    for name in layout::CONFIGS {
        let problem = match Config::read(&engine.store, name).await {
            Ok(Some(config)) if config.id == engine.id => continue,
            Ok(Some(_)) => "it belongs to another repository".to_owned(),
            Ok(None) => "missing".to_owned(),
            Err(error @ Error::Corrupt { .. }) => problem_of(&error),
            Err(error @ Error::NewerVersion { .. }) => {
                damage.add(name, &error);
                continue;
            }
            Err(error) => return Err(error),
        };
        damage.add_remediable(name, &problem, Remedy::Copy);
    }
    Ok(())
}

/// The clear hashes of every index segment; the index itself checks what the key tells.
pub(super) async fn check_segments(engine: &Engine, damage: &mut DamageList) -> Result<()> {
    let listed = engine.store.list(Kind::IndexSegment).await?;
    let mut checks = stream::iter(listed)
        .map(|object| async move { (object.id, check_segment(engine, object.id).await) })
        .buffer_unordered(READS_IN_FLIGHT);
    while let Some((id, checked)) = checks.next().await {
        match checked {
            // Merged into another one meanwhile.
            Ok(()) | Err(Error::Missing { .. }) => {}
            Err(error @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => {
                damage.add_segment(&layout::name(Kind::IndexSegment, id), &error);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The clear hashes of one segment.
pub(super) async fn check_segment(engine: &Engine, id: ObjectId) -> Result<()> {
    let path = layout::path(Kind::IndexSegment, id);
    let expected = expected(engine, Kind::IndexSegment, id);
    check_clear(&engine.store, &path, expected, None)
        .await
        .map(drop)
}

fn expected(engine: &Engine, kind: Kind, id: ObjectId) -> Expected {
    Expected {
        kind,
        id,
        repository: engine.keys.repository(),
    }
}

/// Sessions, their ends, and condemned lists. Those that vanish meanwhile are as they should be.
pub(super) async fn check_sessions(engine: &Engine, damage: &mut DamageList) -> Result<()> {
    for kind in [Kind::Session, Kind::SessionEnd, Kind::Condemned] {
        for object in engine.store.list(kind).await? {
            let path = layout::path(kind, object.id);
            let bytes = match engine.store.read(&path).await {
                Err(Error::Missing { .. }) => continue,
                Err(error @ Error::Corrupt { .. }) => {
                    damage.add(path.as_ref(), &error);
                    continue;
                }
                bytes => bytes?,
            };
            match open_object(&bytes, kind, &engine.keys) {
                Ok((header, _)) if header.object == object.id => {}
                Ok(_) => {
                    damage.add_problem(path.as_ref(), "it is another object under this name");
                }
                Err(error) => damage.add(path.as_ref(), &Error::decoding(path.as_ref(), error)),
            }
        }
    }
    Ok(())
}

/// Points and their copies, each by itself: one is enough to restore. A copy without its point is no damage: whoever
/// deletes a point takes it first. Returns those, since it may have been lost as well.
pub(super) async fn check_points(engine: &Engine, damage: &mut DamageList) -> Result<Vec<PointId>> {
    let copies = ids(engine.store.list_point_copies().await?);
    let points = ids(engine.store.list(Kind::Point).await?);
    for id in &points {
        check_point(engine, *id, copies.contains(id), damage).await?;
    }
    let mut alone: Vec<ObjectId> = copies.difference(&points).copied().collect();
    alone.sort_unstable();
    alone.truncate(VerifyReport::LONE_COPIES_MAX);
    Ok(alone.into_iter().map(point_id).collect())
}

async fn check_point(
    engine: &Engine,
    id: ObjectId,
    has_copy: bool,
    damage: &mut DamageList,
) -> Result<()> {
    let (path, copy_path) = (layout::path(Kind::Point, id), layout::point_copy(id));
    let point = engine.points.read_object_at(id, &path).await;
    if !has_copy && point.is_ok() {
        // A writer died before it made it, or it was lost; nothing is missing but a spare.
        return engine.points.restore_copy(id).await;
    }
    let copy = engine.points.read_object_at(id, &copy_path).await;
    match (&point, &copy) {
        (Ok((object, _)), Ok((copied, _))) if object != copied => {
            // Unless its name was given to another one since it was read.
            if matches!(engine.points.read_object_at(id, &path).await, Ok((now, _)) if now == *object)
            {
                damage.add_remediable(copy_path.as_ref(), OF_ANOTHER, Remedy::Copy);
            }
        }
        (Ok(_), Ok(_) | Err(Error::Missing { .. })) | (Err(Error::Missing { .. }), _) => {}
        (Ok(_), Err(error)) => {
            let problem = problem_of(damage_only(error)?);
            damage.add_remediable(copy_path.as_ref(), &problem, Remedy::Copy);
        }
        (Err(error), Ok(_)) => {
            let problem = problem_of(damage_only(error)?);
            damage.add_remediable(path.as_ref(), &problem, Remedy::Copy);
        }
        (Err(error), Err(Error::Missing { .. })) => {
            damage.add(path.as_ref(), damage_only(error)?);
        }
        (Err(error), Err(of_copy)) => {
            damage_only(of_copy)?;
            damage.add(path.as_ref(), damage_only(error)?);
        }
    }
    Ok(())
}

/// A failure of the store ends the verification; damage is noted.
fn damage_only(error: &Error) -> Result<&Error> {
    match error {
        Error::Corrupt { .. } | Error::NewerVersion { .. } | Error::NewerKeys { .. } => Ok(error),
        other => Err(other.clone()),
    }
}

fn ids(listed: Vec<crate::store::Listed>) -> HashSet<ObjectId> {
    listed.into_iter().map(|object| object.id).collect()
}
