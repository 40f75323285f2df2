//! Making good what damage took, as far as anything still knows it. Every step looks at what is there, and can be
//! done again: a repair that was interrupted is repeated.

use bytes::Bytes;
use object_store::path::Path;
use strongroom_chunk::{Kind, ObjectId};

use crate::adopt;
use crate::config::Config;
use crate::engine::Engine;
use crate::store::Created;
use crate::verify::{self, Progress};
use crate::{Damage, Error, Remedy, Result, VerifyDepth, keyring, layout};

/// Objects of one name that were put aside before.
const QUARANTINED_MAX: u32 = 100;

/// Does a repair change anything?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Repair,
    /// Tell what a repair would do.
    Plan,
}

/// What a repair did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct RepairReport {
    /// Number of objects that were found damaged.
    pub damage_count: u64,
    pub repaired: Vec<Repaired>,
    /// What cannot be made good, and whom it hits. Bounded as in a verification.
    pub left: Vec<Damage>,
    /// More was found than one repair takes: run it again.
    pub more: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Repaired {
    /// Name of the object in the store.
    pub object: String,
    pub action: RepairAction,
}

/// What was done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RepairAction {
    /// Written again as its parity says that it was.
    Healed,
    /// Written again from its copy.
    Copied,
    /// What it said was read from the packs and written anew.
    Indexed,
    /// Moved to `quarantine/`: nothing in it can be read, and nothing was deleted.
    Quarantined,
}

/// What an object's name says.
enum Target {
    Config(&'static str),
    Object(Kind, ObjectId),
    PointCopy(ObjectId),
    Keyring(Path),
}

pub(crate) async fn repair(
    engine: &Engine,
    mode: Mode,
    progress: Progress<'_>,
) -> Result<RepairReport> {
    refuse_without_keyring(engine).await?;
    let found = verify::verify(engine, VerifyDepth::ReadData, progress).await?;
    refuse_without_keyring(engine).await?;
    let engine = &engine.fresh();
    engine.refresh_marks().await?;
    let mut report = RepairReport {
        damage_count: found.damage_count,
        more: found.damage_count > found.damage.len() as u64,
        ..RepairReport::default()
    };
    let mut segments = Vec::new();
    for damage in found.damage {
        let action = match target(&damage.object) {
            Some(Target::Object(Kind::IndexSegment, id)) => {
                let damaged = is_damaged_still(engine, id).await?;
                segments.extend(damaged.then_some(id));
                damaged.then_some(RepairAction::Indexed)
            }
            Some(target) => act(engine, mode, &target, damage.remedy).await?,
            None => None,
        };
        if let Some(action) = action {
            let object = damage.object.clone();
            report.repaired.push(Repaired { object, action });
        }
        if action.is_none_or(|action| action == RepairAction::Quarantined) {
            report.left.push(damage);
        }
    }
    if mode == Mode::Repair && report.damage_count > 0 {
        index_anew(engine, &segments).await?;
    }
    Ok(report)
}

/// Where keys may be missing, sound objects look damaged.
async fn refuse_without_keyring(engine: &Engine) -> Result<()> {
    match engine.store.check_keys().await?.trouble {
        None => Ok(()),
        Some(trouble) => Err(trouble),
    }
}

/// One of a newer version or under newer keys is not damaged, and one that is gone was merged.
async fn is_damaged_still(engine: &Engine, segment: ObjectId) -> Result<bool> {
    match verify::look_again(engine, segment).await {
        Err(Error::Corrupt { .. }) => Ok(true),
        Ok(())
        | Err(Error::Missing { .. } | Error::NewerVersion { .. } | Error::NewerKeys { .. }) => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Lists the packs that no sound segment lists; only then the damaged segments go.
async fn index_anew(engine: &Engine, damaged: &[ObjectId]) -> Result<()> {
    let engine = engine.fresh();
    engine.index.leave_out(damaged);
    adopt::catch_up(&engine).await?;
    for id in damaged {
        let path = layout::path(Kind::IndexSegment, *id);
        quarantine(&engine, Mode::Repair, &path).await?;
    }
    Ok(())
}

fn target(object: &str) -> Option<Target> {
    let path = Path::from(object);
    if let Some(name) = layout::CONFIGS.into_iter().find(|name| *name == object) {
        return Some(Target::Config(name));
    }
    if let Some(id) = layout::parse_point_copy(&path) {
        return Some(Target::PointCopy(id));
    }
    if path.prefix_matches(&Path::from(keyring::FOLDER)) {
        return Some(Target::Keyring(path));
    }
    layout::KINDS
        .into_iter()
        .find_map(|kind| layout::parse(kind, &path).map(|id| Target::Object(kind, id)))
}

/// Makes one object good, if that can be done.
async fn act(
    engine: &Engine,
    mode: Mode,
    target: &Target,
    remedy: Option<Remedy>,
) -> Result<Option<RepairAction>> {
    match (target, remedy) {
        (Target::Config(name), Some(Remedy::Copy)) => put_config_back(engine, mode, name).await,
        (Target::Object(kind, id), Some(Remedy::Parity)) => {
            heal_pack(engine, mode, *kind, *id).await
        }
        (Target::Object(..), Some(Remedy::Packs)) => Ok(Some(RepairAction::Indexed)),
        (Target::Object(Kind::Point, id), Some(Remedy::Copy)) => {
            let (to, from) = (layout::path(Kind::Point, *id), layout::point_copy(*id));
            copy_point(engine, mode, *id, &from, &to).await
        }
        (Target::PointCopy(id), Some(Remedy::Copy)) => {
            let (from, to) = (layout::path(Kind::Point, *id), layout::point_copy(*id));
            copy_point(engine, mode, *id, &from, &to).await
        }
        (Target::Keyring(path), Some(Remedy::Copy)) => {
            let done = match mode {
                Mode::Plan => true,
                Mode::Repair => keyring::mend(&engine.store, &engine.id, path).await?,
            };
            Ok(done.then_some(RepairAction::Copied))
        }
        (Target::Object(kind @ (Kind::DataPack | Kind::NodePack), id), None) => {
            let loaded = engine.packs.load_as_it_is(*kind, *id).await;
            quarantine_if_corrupt(engine, mode, &layout::path(*kind, *id), loaded.map(drop)).await
        }
        (Target::Object(Kind::Point, id), None) => {
            let copy = layout::point_copy(*id);
            let point = layout::path(Kind::Point, *id);
            let copied = copy_point(engine, mode, *id, &copy, &point).await?;
            if copied.is_some() {
                return Ok(copied);
            }
            let read = engine.points.read_at(*id, &copy).await.map(drop);
            quarantine_if_corrupt(engine, mode, &copy, read).await?;
            let read = engine.points.read_at(*id, &point).await.map(drop);
            quarantine_if_corrupt(engine, mode, &point, read).await
        }
        _ => Ok(None),
    }
}

async fn put_config_back(
    engine: &Engine,
    mode: Mode,
    name: &'static str,
) -> Result<Option<RepairAction>> {
    match Config::read(&engine.store, name).await {
        // Good by now.
        Ok(Some(config)) if config.id == engine.id => return Ok(None),
        Ok(_) | Err(Error::Corrupt { .. }) => {}
        Err(error) => return Err(error),
    }
    for other in layout::CONFIGS.into_iter().filter(|other| *other != name) {
        let object = engine.store.read(&Path::from(other)).await?;
        if Config::decode(&object)?.id != engine.id {
            return Ok(None);
        }
        replace(engine, mode, &Path::from(name), object).await?;
    }
    let keyring = keyring::newest(&engine.store, &engine.id).await?.found;
    if mode == Mode::Repair && keyring.is_some() {
        // What was copied may have held a key that is in the keyring now.
        Config::remove_keys(&engine.store, &engine.id).await?;
    }
    Ok(Some(RepairAction::Copied))
}

async fn heal_pack(
    engine: &Engine,
    mode: Mode,
    kind: Kind,
    id: ObjectId,
) -> Result<Option<RepairAction>> {
    let Some(bytes) = engine.packs.healed(kind, id).await? else {
        return Ok(None);
    };
    replace(engine, mode, &layout::path(kind, id), bytes).await?;
    if mode == Mode::Repair && engine.marks.contains(id) {
        engine.marks.remove(&engine.store, id).await?;
    }
    Ok(Some(RepairAction::Healed))
}

async fn copy_point(
    engine: &Engine,
    mode: Mode,
    id: ObjectId,
    from: &Path,
    to: &Path,
) -> Result<Option<RepairAction>> {
    let (object, _) = match engine.points.read_object_at(id, from).await {
        Err(Error::Missing { .. } | Error::Corrupt { .. } | Error::NewerKeys { .. }) => {
            return Ok(None);
        }
        read => read?,
    };
    match engine.points.read_object_at(id, to).await {
        Err(Error::Corrupt { .. }) => {}
        // The point says what its copy has to be.
        Ok((other, _)) if *to == layout::point_copy(id) && other != object => {}
        // Deleted since it was looked at, or good by now.
        Ok(_)
        | Err(Error::Missing { .. } | Error::NewerVersion { .. } | Error::NewerKeys { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    }
    replace(engine, mode, to, object).await?;
    // Of a point that is deleted both go, and what was just written may have come behind that.
    if mode == Mode::Repair && matches!(engine.store.read(from).await, Err(Error::Missing { .. })) {
        engine.store.delete(to).await?;
        return Ok(None);
    }
    Ok(Some(RepairAction::Copied))
}

async fn replace(engine: &Engine, mode: Mode, path: &Path, object: Bytes) -> Result<()> {
    match mode {
        Mode::Plan => Ok(()),
        Mode::Repair => engine.store.replace(path, vec![object]).await,
    }
}

/// Only what is damaged: an object of a newer version or under newer keys, or one that is gone, is left alone.
async fn quarantine_if_corrupt(
    engine: &Engine,
    mode: Mode,
    path: &Path,
    read: Result<()>,
) -> Result<Option<RepairAction>> {
    match read {
        Err(Error::Corrupt { .. }) => {
            let moved = quarantine(engine, mode, path).await?;
            Ok(moved.then_some(RepairAction::Quarantined))
        }
        Ok(())
        | Err(Error::Missing { .. } | Error::NewerVersion { .. } | Error::NewerKeys { .. }) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Moves an object aside: it stands there before it goes here. False for one that stays where it is.
async fn quarantine(engine: &Engine, mode: Mode, path: &Path) -> Result<bool> {
    let object = match engine.store.read(path).await {
        Err(Error::Missing { .. }) => return Ok(false),
        // What cannot be read cannot be copied, and keeps its bad sectors out of use.
        Err(Error::Corrupt { .. }) => None,
        object => Some(object?),
    };
    if mode == Mode::Plan {
        return Ok(true);
    }
    for number in 0..QUARANTINED_MAX {
        let aside = layout::quarantine(path, number);
        let Some(object) = &object else {
            match engine.store.rename(path, &aside).await? {
                Created::New => return Ok(true),
                Created::WasThere => continue,
            }
        };
        let created = engine.store.create(&aside, vec![object.clone()]).await?;
        if created == Created::New || is(engine, &aside, object).await? {
            engine.store.delete(path).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Has an earlier repair put it aside already?
async fn is(engine: &Engine, aside: &Path, object: &Bytes) -> Result<bool> {
    match engine.store.read(aside).await {
        Ok(there) => Ok(there == *object),
        Err(Error::Missing { .. } | Error::Corrupt { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
