use std::path::PathBuf;

use async_trait::async_trait;
use strongroom_block::Error;
use strongroom_service::{DiskError, DiskFacts, Disks};

use crate::places;

/// Looks at the disks of this host, and at exports that it reaches.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalDisks;

#[async_trait]
impl Disks for LocalDisks {
    async fn examine(&self, path: &str) -> Result<DiskFacts, DiskError> {
        let path = PathBuf::from(path);
        let facts = tokio::task::spawn_blocking(move || {
            let facts = places::probe(&path)?;
            Ok(DiskFacts {
                format: facts.format,
                size_bytes: facts.size_bytes,
                in_use: facts.in_use,
            })
        });
        match facts.await {
            Ok(facts) => facts.map_err(|error| trouble(&error)),
            Err(_) => Err(DiskError::Unreadable(
                "looking at it stopped unexpectedly".to_owned(),
            )),
        }
    }
}

fn trouble(error: &Error) -> DiskError {
    match error {
        Error::NotFound { .. } => DiskError::Missing,
        Error::Unsupported { what, .. } => DiskError::Unsupported(what.clone()),
        other => DiskError::Unreadable(other.reason()),
    }
}
