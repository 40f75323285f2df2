use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

/// Why an image could not be opened, read or written; one variant for each thing a caller can do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image, or an image it builds on, is not there.
    #[error("{} does not exist", path.display())]
    NotFound { path: PathBuf },

    /// A new image was to be made where something is already.
    #[error("{} exists already", path.display())]
    Exists { path: PathBuf },

    /// Another process writes the image, or forbids that we do.
    #[error("{} is in use by another process", path.display())]
    InUse { path: PathBuf },

    /// The image is sound as far as known, but of a kind that is not read or not written here.
    #[error("{} cannot be used: {what}", path.display())]
    Unsupported { path: PathBuf, what: String },

    /// The image contradicts its own format.
    #[error("{} is damaged: {detail}", path.display())]
    Corrupt { path: PathBuf, detail: String },

    /// The storage below the image has no room left.
    #[error("no space is left for the image")]
    Full,

    #[error("reading or writing {} failed", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Sorts the system's answer for the file at `path`.
    pub(crate) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let errno = source.raw_os_error().map(Errno::from_raw);
        match (source.kind(), errno) {
            (io::ErrorKind::NotFound, _) => Self::NotFound { path },
            (io::ErrorKind::AlreadyExists, _) => Self::Exists { path },
            (_, Some(Errno::EBUSY | Errno::ETXTBSY)) => Self::InUse { path },
            (_, Some(Errno::ENOSPC | Errno::EDQUOT)) => Self::Full,
            _ => Self::Io { path, source },
        }
    }

    /// What is wrong, without saying where: for those who may use a disk and need not know its place.
    pub fn reason(&self) -> String {
        match self {
            Self::NotFound { .. } => "there is no such file or device".to_owned(),
            Self::Exists { .. } => "it exists already".to_owned(),
            Self::InUse { .. } => "another process uses it".to_owned(),
            Self::Unsupported { what, .. } => format!("it cannot be used: {what}"),
            Self::Corrupt { detail, .. } => format!("it is damaged: {detail}"),
            Self::Full => "no space is left for it".to_owned(),
            Self::Io { source, .. } => format!("reading or writing failed: {source}"),
        }
    }

    pub(crate) fn unsupported(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn corrupt(path: &Path, detail: impl Into<String>) -> Self {
        Self::Corrupt {
            path: path.to_owned(),
            detail: detail.into(),
        }
    }
}
