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

/// The id in an object's path; nothing for what we did not put there.
pub(crate) fn parse(kind: Kind, path: &Path) -> Option<ObjectId> {
    let id = ObjectId::from_hex(path.filename()?)?;
    (path.as_ref() == name(kind, id)).then_some(id)
}
