//! Sessions: whoever writes or reads says so in the store, so that a collection leaves alone what it may need.
//!
//! A session is a row of small objects, each put beside the last one before that is removed: the store's own
//! clock tells how long it has been silent. `docs/formats/sessions.md` has the bytes and the argument.

mod condemned;
mod handle;
mod host;
mod records;
mod survey;

use std::fmt;
use std::time::Duration;

use strongroom_chunk::ObjectId;
use strongroom_types::IdSource;

pub(crate) use condemned::{Condemned, CondemnedList};
pub(crate) use handle::{Reading, Session};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use records::decode_records;
pub(crate) use records::{SessionKind, parse_root};
pub(crate) use survey::{Seen, end_dead, intents, survey};

/// A session that has been silent for so long by the store's clock is taken for dead.
pub(crate) const LEASE: Duration = Duration::from_mins(2);
const RENEWAL: Duration = Duration::from_secs(20);
/// So long the store remembers how a session ended that did not say so itself. A writer that slept longer
/// than half of it gives up by itself.
pub(crate) const ENDS_KEPT: Duration = Duration::from_hours(30 * 24);

/// Names a session; random.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionId([u8; 8]);

impl SessionId {
    fn random(ids: &dyn IdSource) -> Self {
        let mut bytes = [0; 8];
        ids.fill(&mut bytes);
        Self(bytes)
    }

    /// The session that wrote a pack. For packs from before there were sessions: one that never was.
    pub(crate) fn of_pack(pack: ObjectId) -> Self {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&pack.0[8..]);
        Self(bytes)
    }

    /// A new pack's id.
    pub(crate) fn new_pack(self, ids: &dyn IdSource) -> ObjectId {
        let mut bytes = [0; 16];
        ids.fill(&mut bytes[..8]);
        bytes[8..].copy_from_slice(&self.0);
        ObjectId(bytes)
    }

    /// The session that an object in `sessions/` belongs to, and the how-manieth it is.
    fn parse(object: ObjectId) -> (Self, u64) {
        let (id, number) = object.0.split_at(8);
        let half = |bytes: &[u8]| <[u8; 8]>::try_from(bytes).expect("half of 16 bytes");
        (Self(half(id)), u64::from_be_bytes(half(number)))
    }

    fn object(self, number: u64) -> ObjectId {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0);
        bytes[8..].copy_from_slice(&number.to_be_bytes());
        ObjectId(bytes)
    }

    /// The object in `ended/`.
    fn end_object(self) -> ObjectId {
        self.object(0)
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}
