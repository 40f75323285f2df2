//! The truth about disk images, asked of whoever can open them.

use std::fmt::Debug;

use async_trait::async_trait;
use strongroom_types::{Trouble, VolumeFormat};

/// Looks at disks on this host. The worker implements it; tests have one that answers from a table.
#[async_trait]
pub trait Disks: Debug + Send + Sync {
    async fn examine(&self, path: &str) -> Result<DiskFacts, DiskError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFacts {
    pub format: VolumeFormat,
    pub size_bytes: u64,
    /// A running machine holds it.
    pub in_use: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiskError {
    #[error("there is no such file or device")]
    Missing,
    #[error("this kind of disk is not supported: {0}")]
    Unsupported(String),
    #[error("it cannot be read: {0}")]
    Unreadable(String),
}

impl DiskError {
    pub const fn trouble(&self) -> Trouble {
        match self {
            Self::Missing => Trouble::DiskMissing,
            Self::Unsupported(_) => Trouble::DiskUnsupported,
            Self::Unreadable(_) => Trouble::DiskUnreadable,
        }
    }
}
