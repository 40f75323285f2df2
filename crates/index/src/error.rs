use std::io;
use std::sync::Arc;

use strongroom_chunk::ObjectId;

/// Why a segment cannot be used. The caller knows where it lies and says so.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// It does not hold what was written: what it said stands in the packs.
    #[error("the index segment is damaged")]
    Damaged(#[from] strongroom_chunk::Error),
    /// It cannot be read, now or at all.
    #[error("the index segment cannot be read")]
    Read(#[source] Arc<io::Error>),
    /// The merge that read this segment stopped there.
    #[error("a merge cannot use index segment {id}")]
    Input {
        id: ObjectId,
        #[source]
        error: Box<Error>,
    },
    /// Whoever took the merged segments stopped; it knows why.
    #[error("the merge was stopped")]
    Stopped,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::Read(Arc::new(error))
    }
}
