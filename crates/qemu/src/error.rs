use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// Why a QEMU or a guest agent did not do what it was asked; one variant for each thing a caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens at the socket: the machine does not run, or runs elsewhere.
    #[error("{} cannot be connected to", socket.display())]
    Unreachable {
        socket: PathBuf,
        #[source]
        source: io::Error,
    },

    /// The other side ended, or a message to it was cut short: connect anew.
    #[error("the other side hung up")]
    Gone,

    /// Nothing came in time. A monitor that another client holds says nothing at all.
    #[error("{what} got no answer within {limit:?}")]
    Silent { what: String, limit: Duration },

    /// Understood, and not done.
    #[error("{command} was refused: {desc}")]
    Refused {
        command: String,
        /// QEMU's word for the kind, most often `GenericError`.
        class: String,
        desc: String,
    },

    /// The other side is no QEMU, or one that speaks otherwise than we know.
    #[error("the other side answers strangely: {detail}")]
    Strange { detail: String },

    /// This machine, or this disk of it, cannot be backed up while it runs.
    #[error("a backup of the running machine is not possible: {reason}")]
    Unsupported { reason: String },

    /// A file of the backup's own could not be removed.
    #[error("{} cannot be removed", path.display())]
    Scratch {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// How QEMU and its agent say no.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    class: String,
    desc: String,
}

impl Refusal {
    pub(crate) fn of(self, command: &str) -> Error {
        let Self { class, desc } = self;
        let command = command.to_owned();
        Error::Refused {
            command,
            class,
            desc,
        }
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Whether QEMU does not know the command or the property: another version, or a storage daemon.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Refused { class, .. } if class == "CommandNotFound")
    }

    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }

    pub(crate) fn strange(detail: impl Into<String>) -> Self {
        Self::Strange {
            detail: detail.into(),
        }
    }

    pub(crate) fn unsupported(reason: impl Into<String>) -> Self {
        Self::Unsupported {
            reason: reason.into(),
        }
    }

    pub(crate) fn scratch(path: &Path, source: io::Error) -> Self {
        Self::Scratch {
            path: path.to_owned(),
            source,
        }
    }
}
