//! What peers send: stretches of disks, each kept as a point of its own until the disk is put together.
//!
//! A stretch that is as it was in the disk's point before is not kept: it is read from there. So what is durable says by
//! itself how far a transfer has come, and nothing is sent twice but the stretch that a crash cut off.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use strongroom_repo::{Content, NewPoint, PointId, Repository};
use strongroom_service::Error;
use strongroom_service::peers::{BlockId, Comparison, Stretch};
use strongroom_service::replicas::{ReceivedDisk, ReplicaStore};
use strongroom_types::Chain;

use crate::blocks::{
    BLOCK_BYTES, STRETCH_BYTES, ZERO, block_id, block_ids, read_at, runs, stretch_bytes, stretches,
};
use crate::metrics;
use crate::repositories::Repositories;

/// Keeps what peers send in the repositories of this installation.
#[derive(Debug, Clone)]
pub struct StoredReplicas {
    pub repositories: Arc<Repositories>,
}

#[async_trait]
impl ReplicaStore for StoredReplicas {
    async fn compare(&self, disk: &ReceivedDisk, stretch: &Stretch) -> Result<Comparison, Error> {
        check(disk, stretch)?;
        let repository = self.repository(disk).await?;
        let current = load(&repository, disk, stretch.number).await;
        let current = current.map_err(failed)?;
        let ids = block_ids(&disk.block_key, &current);
        if ids == stretch.ids {
            return Ok(Comparison::Same);
        }
        Ok(Comparison::Lacking(lacking(&ids, &stretch.ids)))
    }

    async fn receive(
        &self,
        disk: &ReceivedDisk,
        stretch: &Stretch,
        blocks: &[u8],
    ) -> Result<(), Error> {
        check(disk, stretch)?;
        let repository = self.repository(disk).await?;
        let current = load(&repository, disk, stretch.number).await;
        let current = current.map_err(failed)?;
        let put_together = put_together(disk, stretch, &current, blocks)?;
        keep(&repository, disk, stretch, put_together)
            .await
            .map_err(failed)?;
        metrics::replica_received(blocks.len() as u64);
        tracing::info!(
            disk = %disk.backup.id,
            stretch = stretch.number,
            bytes = blocks.len(),
            "a stretch was received"
        );
        Ok(())
    }
}

impl StoredReplicas {
    async fn repository(&self, disk: &ReceivedDisk) -> Result<Repository, Error> {
        let opened = self.repositories.get(&disk.backup.project_id).await;
        opened.map_err(|error| Error::StorageUnavailable(Box::new(error)))
    }
}

fn failed(error: strongroom_repo::Error) -> Error {
    tracing::warn!(error = %Chain(&error), "a replica's stretch cannot be read or kept");
    Error::StorageUnavailable(Box::new(error))
}

fn check(disk: &ReceivedDisk, stretch: &Stretch) -> Result<(), Error> {
    let bytes = stretch_bytes(disk.backup.size_bytes, stretch.number);
    let blocks = bytes.div_ceil(BLOCK_BYTES as u64);
    if bytes == 0 || stretch.ids.len() as u64 != blocks {
        return Err(Error::Invalid {
            message: "The stretch is not one of the disk.".to_owned(),
        });
    }
    Ok(())
}

/// The blocks that are nowhere in the stretch as it is here, each once. Zeros are never lacking.
fn lacking(here: &[BlockId], wanted: &[BlockId]) -> Vec<u32> {
    let mut known: HashSet<_> = here.iter().collect();
    let numbered = (0_u32..).zip(wanted);
    numbered
        .filter(|(_, id)| **id != ZERO && known.insert(id))
        .map(|(number, _)| number)
        .collect()
}

/// A stretch out of what is here and what was sent. Every block that was sent is checked against its id.
fn put_together(
    disk: &ReceivedDisk,
    stretch: &Stretch,
    current: &[u8],
    sent: &[u8],
) -> Result<Vec<u8>, Error> {
    let key = &disk.block_key;
    let blocks = || current.chunks(BLOCK_BYTES);
    let here: HashMap<_, _> = blocks()
        .map(|block| (block_id(key, block), block))
        .collect();
    // Where in the stretch a block lies that was sent.
    let mut received: HashMap<BlockId, usize> = HashMap::new();
    let mut sent = sent;
    let mut bytes: Vec<u8> = Vec::with_capacity(current.len());
    for id in &stretch.ids {
        let length = (current.len() - bytes.len()).min(BLOCK_BYTES);
        if *id == ZERO {
            bytes.resize(bytes.len() + length, 0);
        } else if let Some(block) = here.get(id).filter(|block| block.len() == length) {
            bytes.extend_from_slice(block);
        } else if let Some(begin) = received.get(id) {
            bytes.extend_from_within(*begin..*begin + length);
        } else {
            let (block, rest) = sent.split_at_checked(length).ok_or(Error::ReplicaStale)?;
            if block_id(key, block) != *id {
                return Err(Error::ReplicaStale);
            }
            received.insert(*id, bytes.len());
            bytes.extend_from_slice(block);
            sent = rest;
        }
    }
    if sent.is_empty() {
        Ok(bytes)
    } else {
        Err(Error::ReplicaStale)
    }
}

/// The name of the point that keeps a stretch.
fn name_of(disk: &ReceivedDisk, number: u64) -> String {
    format!("replica/{}/{number}", disk.backup.id)
}

/// A stretch as it is here: as it was received, else as in the point before, else zeros.
pub(crate) async fn load(
    repository: &Repository,
    disk: &ReceivedDisk,
    number: u64,
) -> Result<Vec<u8>, strongroom_repo::Error> {
    let length = stretch_bytes(disk.backup.size_bytes, number);
    let kept = repository.point_id_of(&name_of(disk, number));
    match read_at(repository, &kept, 0, length).await {
        Err(strongroom_repo::Error::PointNotFound(_)) => {}
        read => return read,
    }
    let Some(reference) = &disk.reference else {
        return Ok(vec![0; usize::try_from(length).unwrap_or(usize::MAX)]);
    };
    let reference: PointId = reference.parse()?;
    read_at(repository, &reference, number * STRETCH_BYTES, length).await
}

/// Replaces what was kept of a stretch.
async fn keep(
    repository: &Repository,
    disk: &ReceivedDisk,
    stretch: &Stretch,
    bytes: Vec<u8>,
) -> Result<(), strongroom_repo::Error> {
    let name = name_of(disk, stretch.number);
    let new = NewPoint {
        lineage: format!("replica/{}", disk.backup.id),
        size_bytes: bytes.len() as u64,
        attributes: serde_json::json!({ "stretch_of": disk.backup.id }),
        name,
    };
    let mut writer = match repository.begin_point(new.clone()).await {
        Err(strongroom_repo::Error::PointExists(point)) => {
            repository.delete_point(&point.id).await?;
            repository.begin_point(new).await?
        }
        begun => begun?,
    };
    for run in runs(bytes, &stretch.ids) {
        match run {
            Content::Data(data) => writer.write(data).await?,
            Content::Hole(length) => writer.hole(length).await?,
        }
    }
    match writer.commit().await {
        // The same request, sent twice, side by side.
        Err(strongroom_repo::Error::PointExists(_)) => Ok(()),
        committed => committed.map(drop),
    }
}

/// Removes what was kept of a disk.
pub(crate) async fn forget(
    repository: &Repository,
    disk: &ReceivedDisk,
) -> Result<(), strongroom_repo::Error> {
    for number in 0..stretches(disk.backup.size_bytes) {
        let kept = repository.point_id_of(&name_of(disk, number));
        repository.delete_point(&kept).await?;
    }
    Ok(())
}
