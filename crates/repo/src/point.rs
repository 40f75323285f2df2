use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use strongroom_types::Timestamp;

use crate::Error;

/// Names a point: 32 hex digits derived from its name under the repository's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PointId(String);

impl PointId {
    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PointId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let valid =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::Invalid("a point id is 32 hex digits".to_owned()))
        }
    }
}

impl TryFrom<String> for PointId {
    type Error = Error;
    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl From<PointId> for String {
    fn from(id: PointId) -> Self {
        id.0
    }
}

/// What a caller says about a point before writing it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPoint {
    /// The caller's idempotency key, unique in the repository: a retry with the same name finds the
    /// committed point instead of writing a second one. At most 256 bytes.
    pub name: String,
    /// The disk or directory whose states belong together. At most 256 bytes.
    pub lineage: String,
    /// Size of the source; exactly so many bytes, holes included, must be written before the commit.
    pub size_bytes: u64,
    /// Free for the caller; at most 64 KiB as JSON.
    pub attributes: serde_json::Value,
}

/// A committed state of a lineage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    pub id: PointId,
    pub name: String,
    pub lineage: String,
    /// Size of the image, holes included.
    pub size_bytes: u64,
    pub created_at: Timestamp,
    /// Root of the node tree in hex: equal roots of equally large points mean equal content.
    pub root: String,
    pub attributes: serde_json::Value,
    /// Non-zero bytes that were read and cut; not those that were carried over from the point before, unread.
    pub bytes_scanned: u64,
    /// Plain bytes of the chunks that the repository did not hold yet.
    pub bytes_new: u64,
    /// Sealed bytes written for this point: packs, nodes and index, without the point object itself.
    pub bytes_stored: u64,
}

/// What a commit made.
#[derive(Debug, Clone, PartialEq)]
pub struct Commit {
    pub point: Point,
    /// See [`Point::bytes_scanned`].
    pub bytes_scanned: u64,
    /// See [`Point::bytes_new`].
    pub bytes_new: u64,
    /// See [`Point::bytes_stored`].
    pub bytes_stored: u64,
}
