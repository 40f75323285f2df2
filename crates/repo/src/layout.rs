//! Names of the objects in the store.

use object_store::path::Path;
use strongroom_chunk::{Kind, ObjectId};

/// Two copies: without one of them no key opens the repository.
pub(crate) const CONFIGS: [&str; 2] = ["config", "config-copy"];

/// The folder that holds all objects of a kind.
pub(crate) fn folder(kind: Kind) -> &'static str {
    match kind {
        Kind::DataPack => "packs",
        Kind::NodePack => "nodes",
        Kind::IndexSegment => "index",
        Kind::Point => "points",
        Kind::Session => "sessions",
        Kind::SessionEnd => "ended",
        Kind::Condemned => "condemned",
    }
}

/// How large an object of this name can be that is read into memory as a whole. Far above what writers make, since it
/// only has to keep damaged and forged objects from exhausting the memory.
pub(crate) fn bytes_max(path: &Path) -> u64 {
    let folder = path.parts().next();
    match folder.as_ref().map_or("", |folder| folder.as_ref()) {
        // The config may ask for 1 GiB; behind that come a frame, the directory and the parity.
        "packs" | "nodes" | "quarantine" => 5 << 28,
        "index" | "condemned" => 1 << 30,
        // A point's attributes have 64 KiB, a keyring 1024 keys.
        _ => 1 << 20,
    }
}

/// Packs are many, so they are spread over 256 folders.
pub(crate) fn name(kind: Kind, id: ObjectId) -> String {
    let hex = id.to_string();
    match kind {
        Kind::DataPack | Kind::NodePack => format!("{}/{}/{hex}", folder(kind), &hex[..2]),
        Kind::IndexSegment | Kind::Point | Kind::Session | Kind::SessionEnd | Kind::Condemned => {
            format!("{}/{hex}", folder(kind))
        }
    }
}

pub(crate) fn path(kind: Kind, id: ObjectId) -> Path {
    Path::from(name(kind, id))
}

/// Every kind of object, in the order in which a scrub visits them.
pub(crate) const KINDS: [Kind; 7] = [
    Kind::Point,
    Kind::IndexSegment,
    Kind::NodePack,
    Kind::DataPack,
    Kind::Session,
    Kind::SessionEnd,
    Kind::Condemned,
];

/// The copies of points: a point is small, and nothing else says what was backed up.
pub(crate) const POINT_COPIES: &str = "points-copy";

pub(crate) fn point_copy(id: ObjectId) -> Path {
    Path::from(format!("{POINT_COPIES}/{id}"))
}

pub(crate) fn parse_point_copy(path: &Path) -> Option<ObjectId> {
    let id = ObjectId::from_hex(path.filename()?)?;
    (*path == point_copy(id)).then_some(id)
}

/// The folder of what was put aside.
pub(crate) const QUARANTINE: &str = "quarantine";

/// Where what is of no use any more is put aside.
pub(crate) fn quarantine(path: &Path, number: u32) -> Path {
    match number {
        0 => Path::from(format!("{QUARANTINE}/{path}")),
        _ => Path::from(format!("{QUARANTINE}/{path}.{number}")),
    }
}

/// The id in an object's path; nothing for what we did not put there.
pub(crate) fn parse(kind: Kind, path: &Path) -> Option<ObjectId> {
    let id = ObjectId::from_hex(path.filename()?)?;
    (path.as_ref() == name(kind, id)).then_some(id)
}
