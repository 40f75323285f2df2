//! The truth about disk images, asked of whoever can open them.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use strongroom_db::Volume;
use strongroom_types::{Trouble, VolumeFormat, VolumeId};

/// How many disks are opened at a time: a slow one should not hold up the rest.
const EXAMINED_AT_ONCE: usize = 8;

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

/// What each of some disks is, or why that cannot be told. Never call it while a transaction is open.
pub(crate) type Findings = BTreeMap<VolumeId, Result<DiskFacts, DiskError>>;

pub(crate) async fn examine_all(
    disks: &dyn Disks,
    volumes: impl IntoIterator<Item = &Volume>,
) -> Findings {
    let volumes: Vec<_> = volumes
        .into_iter()
        .map(|volume| (volume.id.clone(), volume.path.clone()))
        .collect();
    stream::iter(volumes)
        .map(|(id, path)| async move { (id, disks.examine(&path).await) })
        .buffer_unordered(EXAMINED_AT_ONCE)
        .collect()
        .await
}
