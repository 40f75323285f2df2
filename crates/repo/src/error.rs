use std::sync::Arc;

use object_store::path::Path;
use strongroom_store::{Fault, fault_of};

use crate::{Point, PointId};

/// What went wrong, by what the caller can do about it. `Display` leaves the source out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The place holds no repository; `Repository::init` makes one.
    #[error("no repository here")]
    NotARepository,
    /// The place already holds a repository; `Repository::open` opens it.
    #[error("there already is a repository here")]
    Exists,
    /// The key file or the passphrase is not the one that opens the repository, or not any more.
    #[error("wrong key: it does not open this repository")]
    WrongKey,
    /// A key file was given where a passphrase is wanted, or a passphrase where a key file is.
    #[error("wrong key: this repository is opened by {wanted}")]
    WrongKind { wanted: &'static str },
    /// Another process changed the keys, or is about to: open the repository again, with its present secret.
    #[error(
        "the repository's keys were changed; open it again with its present key file or passphrase"
    )]
    KeysChanged,
    /// A text given as a key file is none.
    #[error("not a key file: {detail}")]
    InvalidKeyFile { detail: &'static str },
    /// Written by a newer Strongroom: update the program.
    #[error("{object} has format version {version}, newer than this program understands")]
    NewerVersion { object: String, version: u16 },
    /// Sealed under a root key that the keyring does not have: the storage lost the newest keyring or went back to an
    /// older one. Nothing is wrong with the object; bring the keyring back.
    #[error(
        "{object} is sealed under generation {generation} of the keys, which the keyring does not have: it is older than the object"
    )]
    NewerKeys { object: String, generation: u16 },
    #[error("no point `{0}`")]
    PointNotFound(String),
    /// More than one point starts with the given prefix.
    #[error("`{0}` fits more than one point")]
    PointAmbiguous(String),
    /// A point of this name is committed already; adopt it instead of writing it again.
    #[error("point `{}` is committed already", .0.name)]
    PointExists(Box<Point>),
    /// The caller's request contradicts itself; asking again does not help.
    #[error("invalid request: {0}")]
    Invalid(String),
    /// An object does not hold what it was written with: restore it from a copy, or back up again.
    #[error("{object} is damaged: {detail}")]
    Corrupt { object: String, detail: String },
    /// An object that a point needs is gone.
    #[error("{object} is missing")]
    Missing { object: String },
    /// What was said to be unchanged since the point before is not: whoever said so errs, and nothing was written. Begin
    /// again, and read everything.
    #[error("the image has changed at byte {offset}, where it was said to be as it was")]
    Changed { offset: u64 },
    /// The image could not be read again where a chunk is changed in part; the source is the reader's own error.
    #[error("the image cannot be read again at byte {offset}")]
    Reread {
        offset: u64,
        #[source]
        source: Source,
    },
    /// No space left in the store.
    #[error("the store is full")]
    Full(#[source] Source),
    /// The store would let writers destroy each other's data; another one must be used.
    #[error("the store cannot hold a repository")]
    NotExclusive(#[source] Source),
    /// The store failed; trying again later may help.
    #[error("the store failed while it had to {action}")]
    Unavailable {
        action: String,
        #[source]
        source: Source,
    },
    /// This writer may not go on: it was stopped, or another one took its place.
    #[error("the writer was stopped")]
    Fenced,
    /// Another collection is at work in this repository; it does what this one would.
    #[error("another collection is at work")]
    Busy,
    /// A thread of the engine ended without a word; a defect.
    #[error("the engine stopped unexpectedly: {0}")]
    Broken(&'static str),
}

/// A cause that several errors may share.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn not_found(id: &PointId) -> Self {
        Self::PointNotFound(id.to_string())
    }

    /// Names the object that `error` was found in.
    pub(crate) fn decoding(object: &str, error: strongroom_chunk::Error) -> Self {
        match error {
            strongroom_chunk::Error::NewerVersion(version) => Self::NewerVersion {
                object: object.to_owned(),
                version,
            },
            strongroom_chunk::Error::NewerKeys(generation) => Self::NewerKeys {
                object: object.to_owned(),
                generation,
            },
            other => Self::Corrupt {
                object: object.to_owned(),
                detail: other.to_string(),
            },
        }
    }

    /// `action` is what could not be done to the object or folder.
    pub(crate) fn store(action: &str, object: &Path, error: object_store::Error) -> Self {
        let fault = fault_of(&error);
        let source: Source = Arc::new(error);
        match (fault, fault.advice()) {
            (Fault::Missing, _) => Self::Missing {
                object: object.to_string(),
            },
            (Fault::Full, _) => Self::Full(source),
            (_, None) => Self::Unavailable {
                action: format!("{action} {object}"),
                source,
            },
            (_, Some(advice)) => Self::Unavailable {
                action: format!("{action} {object}: {advice}"),
                source,
            },
        }
    }
}

impl From<strongroom_store::Error> for Error {
    fn from(error: strongroom_store::Error) -> Self {
        use strongroom_store::Error as Storage;
        match error {
            Storage::NoFolder(_) => Self::NotARepository,
            Storage::Invalid(detail) => Self::Invalid(detail),
            Storage::NotExclusive => Self::NotExclusive(Arc::new(error)),
            Storage::Unavailable { action, source } => Self::Unavailable { action, source },
        }
    }
}
