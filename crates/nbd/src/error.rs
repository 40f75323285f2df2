use std::io;
use std::path::PathBuf;

use crate::ErrorCode;

/// Why an export could not be reached, read or written; one variant for each thing a caller can do.
///
/// All but the first three say which bytes were meant and not where the export is: their sentences can be shown to those
/// who may use a disk and need not know its place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is no address of an export.
    #[error("{text:?} is no NBD address: {why}")]
    Address { text: String, why: String },

    /// What this side shows for TLS, or whom it believes, cannot be read, or does not fit together.
    #[error("{} is of no use for TLS: {why}", file.display())]
    Credentials { file: PathBuf, why: String },

    /// Nobody answers there.
    #[error("cannot connect to {place}")]
    Connect { place: String, source: io::Error },

    /// The connection ended or broke; what was written and not flushed may be lost.
    #[error("the connection was lost while {during}")]
    Lost { during: String, source: io::Error },

    /// The peer keeps the connection and says nothing for longer than it may.
    #[error("no answer in time while {during}")]
    Silent { during: String },

    /// The peer says what the protocol does not allow. The connection is of no use any more.
    #[error("the peer breaks the protocol: {0}")]
    Protocol(String),

    /// The server refuses the export or an option: it has no such export, wants TLS, is too old.
    #[error("the server refuses {what}: {message}")]
    Refused { what: String, message: String },

    /// The server answered this one request with an error. The connection goes on.
    #[error("the server failed while {during}: {code}{}", said(message))]
    Failed {
        during: String,
        code: ErrorCode,
        /// What the server says for people; often nothing.
        message: String,
    },

    /// The request lies outside the export, or is not aligned as the server wants it.
    #[error("{0}")]
    Request(String),
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn protocol(detail: impl Into<String>) -> Self {
        Self::Protocol(detail.into())
    }

    /// What an I/O error of the connection means.
    pub(crate) fn from_stream(during: impl Into<String>, source: io::Error) -> Self {
        let during = during.into();
        match source.kind() {
            // A socket with a timeout says the first on Linux; others say the second.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Self::Silent { during },
            _ => Self::Lost { during, source },
        }
    }

    /// Can the connection still be used?
    pub(crate) fn ends_connection(&self) -> bool {
        !matches!(self, Self::Failed { .. } | Self::Request(_))
    }
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(" ({message})")
    }
}
