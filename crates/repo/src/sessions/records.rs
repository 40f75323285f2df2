//! What the objects of sessions say, sealed JSON like points.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strongroom_chunk::{ContentId, Header, Keys, Kind, ObjectId, Place, open_object, seal_object};
use strongroom_types::IdSource;

use super::host::Host;
use crate::points::{Root, StoredPoint};
use crate::store::{Created, Store};
use crate::{Error, Result, layout};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SessionKind {
    Writer,
    Reader,
    Collector,
}

/// An object in `sessions/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SessionRecord {
    pub(crate) kind: SessionKind,
    /// The newest condemned list that the session knew when it began; 0 for none.
    pub(crate) generation: u64,
    /// Name of the point to be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) point: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) host: Option<Host>,
}

/// An object in `ended/`: of two that want to decide, the first put wins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "lowercase")]
pub(crate) enum End {
    /// The session was taken for dead. It writes no point any more.
    Fenced,
    /// The session may put its point from here on.
    Committing(Intent),
}

/// What the point needs that a session may put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    point: String,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    root_place: Option<(String, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
}

impl Intent {
    pub(crate) fn new(point: &StoredPoint, host: Option<Host>) -> Self {
        Self {
            point: point.name.clone(),
            root: point.root.clone(),
            root_place: point.root_place.clone(),
            host,
        }
    }

    pub(crate) fn is_of_dead_process(&self) -> bool {
        self.host.as_ref().is_some_and(Host::is_dead)
    }

    pub(crate) fn root(&self) -> Result<Option<Root>, strongroom_chunk::Error> {
        parse_root(&self.root, self.root_place.as_ref())
    }
}

/// The root of a tree as points and intents spell it; nothing for an image that is one hole.
pub(crate) fn parse_root(
    root: &str,
    place: Option<&(String, u32)>,
) -> Result<Option<Root>, strongroom_chunk::Error> {
    let malformed = strongroom_chunk::Error::Malformed("a root that is no id");
    let id = ContentId::from_hex(root).ok_or(malformed)?;
    if id == ContentId::ZERO {
        return Ok(None);
    }
    let (pack, slot) = place.ok_or(malformed)?;
    let pack = ObjectId::from_hex(pack).ok_or(malformed)?;
    let place = Place { pack, slot: *slot };
    Ok(Some(Root { id, place }))
}

/// Puts a sealed record unless there is one of this id.
pub(super) async fn put<T: Serialize + Sync>(
    store: &Store,
    keys: &Keys,
    ids: &dyn IdSource,
    (kind, id): (Kind, ObjectId),
    record: &T,
) -> Result<Created> {
    let header = Header::new(kind, keys, id, ids);
    let json = serde_json::to_vec(record).expect("a record has string keys only");
    let object = seal_object(&header, keys, &json);
    let path = layout::path(kind, id);
    store.create(&path, vec![object.into()]).await
}

pub(super) async fn read<T: DeserializeOwned>(
    store: &Store,
    keys: &Keys,
    kind: Kind,
    id: ObjectId,
) -> Result<T> {
    let path = layout::path(kind, id);
    let bytes = store.read(&path).await?;
    let corrupt = |error| Error::decoding(path.as_ref(), error);
    let (header, json) = open_object(&bytes, kind, keys).map_err(corrupt)?;
    let malformed = |text| corrupt(strongroom_chunk::Error::Malformed(text));
    if header.object != id {
        return Err(malformed("it is another object under this name"));
    }
    serde_json::from_slice(&json).map_err(|_| malformed("a record with missing fields"))
}

/// For the fuzzer: `json` as everything that a session's object may say.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn decode_records(json: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<SessionRecord>(json) {
        let _ = record.host.is_some_and(|host| host.is_dead());
    }
    if let Ok(End::Committing(intent)) = serde_json::from_slice(json) {
        let _ = intent.root();
    }
    super::condemned::decode(json);
}
