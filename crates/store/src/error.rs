use std::path::PathBuf;
use std::sync::Arc;

/// Why a place cannot be opened or looked after. `Display` leaves the source out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// A text that names no place.
    #[error("{0}")]
    Invalid(String),
    /// The folder is not there and was not to be made.
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    /// Of two writers that create one object, both succeed, and one of them loses what it wrote.
    #[error(
        "the storage overwrites objects that it was asked to create only if they are not there, so writers would \
         destroy each other's data; use a server that honours `If-None-Match: *`"
    )]
    NotExclusive,
    /// The place failed; trying again later may help.
    #[error("the storage failed while it had to {action}")]
    Unavailable {
        action: String,
        #[source]
        source: Source,
    },
}

/// A cause that several errors may share.
pub type Source = Arc<dyn std::error::Error + Send + Sync>;

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    pub(crate) fn unavailable(
        action: impl Into<String>,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> Self {
        Self::Unavailable {
            action: action.into(),
            source: Arc::new(source),
        }
    }
}
