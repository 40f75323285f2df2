use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why libvirt did not do what it was asked; one variant for each thing a caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libvirt's client is not installed.
    #[error("virsh cannot be started")]
    NoClient(#[source] io::Error),

    /// libvirt is not there, or does not let us in.
    #[error("libvirt cannot be connected to: {message}")]
    Unreachable { message: String },

    /// It knows no domain of this name.
    #[error("libvirt has no such domain")]
    NoDomain,

    /// Nothing came in time: another client holds the domain, or QEMU does not answer.
    #[error("{command} got no answer within {limit:?}")]
    Silent { command: String, limit: Duration },

    /// Understood, and not done.
    #[error("{command} was refused: {message}")]
    Refused { command: String, message: String },

    /// It answers otherwise than we know.
    #[error("libvirt answers strangely: {detail}")]
    Strange { detail: String },

    /// This domain, or this disk of it, cannot be backed up while it runs.
    #[error("a backup of the running machine is not possible: {reason}")]
    Unsupported { reason: String },

    /// A file of the backup's own could not be made or removed.
    #[error("{} cannot be made or removed", path.display())]
    Scratch {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
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

    pub(crate) fn scratch(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Scratch { path, source }
    }
}
