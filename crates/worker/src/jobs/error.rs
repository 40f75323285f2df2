use strongroom_repo::Error as Repo;
use strongroom_service::progress::Failure;
use strongroom_types::Trouble;

use crate::repositories::RepositoryError;
use crate::transfer::TransferError;

/// Why a body ended early; the runner obeys the variant.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    /// Something outside did not answer; the job is tried again.
    #[error("the job could not go on for now")]
    Retry(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Trying again would end the same way.
    #[error("the job has failed")]
    Failed {
        trouble: Trouble,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A defect, told to the operator in a sentence.
    #[error("{0}")]
    Broken(&'static str),
    /// The process is stopping; the job goes back as it was.
    #[error("the job was stopped")]
    Cancelled,
    /// Somebody else owns the job now, or its subject is gone: nothing to publish.
    #[error("the job has another owner")]
    LeaseLost,
    /// The job was ended while its work was being read.
    #[error("nothing is left to do")]
    NothingToDo,
}

impl From<strongroom_service::Error> for JobError {
    fn from(error: strongroom_service::Error) -> Self {
        use strongroom_service::Error;
        match error {
            Error::LeaseLost => Self::LeaseLost,
            Error::NothingToDo => Self::NothingToDo,
            Error::ShareWithdrawn => Self::Failed {
                trouble: Trouble::ShareWithdrawn,
                source: Box::new(error),
            },
            other => Self::Retry(Box::new(other)),
        }
    }
}

impl From<RepositoryError> for JobError {
    fn from(error: RepositoryError) -> Self {
        match &error {
            RepositoryError::UnknownUnit(_) => Self::Failed {
                trouble: Trouble::StorageUnavailable,
                source: Box::new(error),
            },
            RepositoryError::Open { source, .. } | RepositoryError::OpenUnit { source, .. }
                if !passes(source) =>
            {
                Self::Failed {
                    trouble: trouble(source),
                    source: Box::new(error),
                }
            }
            // Somebody has to bring it back; nothing is won by waiting meanwhile.
            RepositoryError::Key { source, .. }
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Self::Failed {
                    trouble: Trouble::StorageUnavailable,
                    source: Box::new(error),
                }
            }
            RepositoryError::Open { .. }
            | RepositoryError::OpenUnit { .. }
            | RepositoryError::Key { .. } => Self::Retry(Box::new(error)),
        }
    }
}

impl From<Repo> for JobError {
    fn from(error: Repo) -> Self {
        if passes(&error) {
            Self::Retry(Box::new(error))
        } else {
            Self::Failed {
                trouble: trouble(&error),
                source: Box::new(error),
            }
        }
    }
}

impl From<TransferError> for JobError {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Cancelled => Self::Cancelled,
            TransferError::Repository(source) => source.into(),
            TransferError::Disk(source) => Self::Failed {
                trouble: disk_trouble(&source),
                source: Box::new(source),
            },
            TransferError::TargetTooSmall { .. } => Self::Failed {
                trouble: Trouble::TargetTooSmall,
                source: Box::new(error),
            },
            TransferError::Output(_) | TransferError::OtherParent | TransferError::Broken => {
                Self::Retry(Box::new(error))
            }
        }
    }
}

/// Whether waiting may help.
fn passes(error: &Repo) -> bool {
    matches!(
        error,
        Repo::Unavailable { .. } | Repo::Fenced | Repo::KeysChanged | Repo::Broken(_)
    )
}

fn trouble(error: &Repo) -> Trouble {
    match error {
        Repo::Full(_) | Repo::NotARepository | Repo::NotExclusive(_) => Trouble::StorageUnavailable,
        Repo::Corrupt { .. } | Repo::Missing { .. } | Repo::PointNotFound(_) => {
            Trouble::DataDamaged
        }
        _ => Trouble::Internal,
    }
}

pub(crate) fn disk_trouble(error: &strongroom_block::Error) -> Trouble {
    use strongroom_block::Error;
    match error {
        Error::NotFound { .. } => Trouble::DiskMissing,
        Error::InUse { .. } => Trouble::DiskInUse,
        Error::Unsupported { .. } => Trouble::DiskUnsupported,
        Error::Full => Trouble::DiskUnwritable,
        Error::Exists { .. } | Error::Corrupt { .. } | Error::Io { .. } => Trouble::DiskUnreadable,
    }
}

impl JobError {
    /// What the owner of the resource is told. The log has the whole chain.
    pub(crate) fn into_failure(self) -> Failure {
        let (trouble, message) = match &self {
            Self::Failed { trouble, source } => (*trouble, for_owners(source.as_ref())),
            Self::Retry(source) => (Trouble::Internal, for_owners(source.as_ref())),
            other => (Trouble::Internal, other.to_string()),
        };
        Failure { trouble, message }
    }
}

/// Names the object that failed, but not its place: tenants need not know where disks, keys and repositories lie.
fn for_owners(error: &(dyn std::error::Error + Send + Sync + 'static)) -> String {
    if let Some(disk) = error.downcast_ref::<strongroom_block::Error>() {
        return format!("the disk cannot be used: {}", disk.reason());
    }
    match error.downcast_ref::<RepositoryError>() {
        Some(RepositoryError::Key { .. }) => {
            "the key of the project's repository cannot be read or written".to_owned()
        }
        Some(RepositoryError::Open { source, .. } | RepositoryError::OpenUnit { source, .. }) => {
            format!("{error}: {source}")
        }
        Some(RepositoryError::UnknownUnit(_)) | None => error.to_string(),
    }
}
