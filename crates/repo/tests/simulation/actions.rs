//! What a process does with a repository.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use strongroom_repo::{
    CollectOptions, CollectReport, Commit, Content, Env, Error, NewPoint, Options, PointId,
    Profile, RepairReport, Repository, Reread, Result, ScrubOptions, ScrubReport, Secret, Segment,
    VerifyDepth, VerifyReport, generate_key_file,
};
use strongroom_testkit::SeededIds;

use crate::disk::{Disk, Stretch};

pub(crate) fn options(parity: bool) -> Options {
    Options {
        profile: Profile::Dense,
        pack_bytes_target: 64 << 10,
        parity,
    }
}

pub(crate) fn key() -> Secret {
    Secret::KeyFile(generate_key_file(&SeededIds::new(9)).into_bytes())
}

/// A job's answer.
#[derive(Debug)]
pub(crate) enum Done {
    Opened(Result<Repository>),
    BackedUp(Result<Commit>),
    /// Were they the right bytes?
    Restored(Result<bool>),
    Forgotten(Result<()>),
    Verified(Result<VerifyReport>),
    Collected(Result<CollectReport>),
    Repaired(Result<RepairReport>),
    Scrubbed(Result<ScrubReport>),
    Rotated(Result<()>),
}

pub(crate) async fn open(store: Arc<dyn ObjectStore>, env: Env) -> Done {
    Done::Opened(Repository::open(store, &key(), env).await)
}

/// Backs up as a caller does: holes are told, data comes in portions. `until` of its stretches are written before
/// the caller loses interest.
pub(crate) async fn back_up(
    repository: &Repository,
    name: &str,
    lineage: u64,
    disk: &Disk,
    until: usize,
) -> Result<Commit> {
    let new = new_point(name, lineage, disk);
    let mut writer = repository.begin_point(new).await?;
    for (number, stretch) in disk.stretches().into_iter().enumerate() {
        if number >= until {
            drop(writer);
            return Err(Error::Fenced);
        }
        match stretch {
            Stretch::Hole(length) => writer.hole(length).await?,
            Stretch::Data(data) => writer.write(Bytes::from(data)).await?,
        }
    }
    writer.commit().await
}

/// Backs up as a caller does who knows what has changed since the lineage's point before, if its disk is among `disks`.
pub(crate) async fn back_up_changes(
    repository: &Repository,
    name: &str,
    lineage: u64,
    disk: &Arc<Disk>,
    disks: &BTreeMap<String, Arc<Disk>>,
) -> Result<Commit> {
    let again = Arc::clone(disk);
    let reread: Reread = Box::new(move |offset, buffer| {
        again.read(offset, buffer);
        Ok(())
    });
    let new = new_point(name, lineage, disk);
    let mut writer = repository.begin_point_over(new, reread).await?;
    let parent = writer.parent().and_then(|point| disks.get(&point.name));
    let mut position = 0;
    if let Some(parent) = parent {
        for change in disk.changes_since(parent) {
            writer.unchanged(change.start - position).await?;
            position = change.end;
            writer.write(Bytes::from(disk.bytes(change))).await?;
        }
        let common = parent.size_bytes.min(disk.size_bytes);
        writer.unchanged(common - position).await?;
        position = common;
    }
    let rest = disk.bytes(position..disk.size_bytes);
    writer.write(Bytes::from(rest)).await?;
    writer.commit().await
}

fn new_point(name: &str, lineage: u64, disk: &Disk) -> NewPoint {
    NewPoint {
        name: name.to_owned(),
        lineage: format!("lineage {lineage}"),
        size_bytes: disk.size_bytes,
        attributes: serde_json::Value::Null,
    }
}

/// Reads the point whole, half of the points in the order of their packs, and compares.
pub(crate) async fn restore(repository: &Repository, id: &PointId, disk: &Disk) -> Result<bool> {
    let in_order = id.as_str().as_bytes()[0].is_multiple_of(2);
    let mut reader = if in_order {
        repository.read_point(id).await?
    } else {
        repository.read_point_in_any_order(id).await?
    };
    let mut done = 0;
    while let Some(Segment { offset, content }) = reader.next().await? {
        let right = match &content {
            Content::Data(bytes) => disk.holds(offset, bytes),
            Content::Hole(length) => disk.is_hole(offset, *length),
        };
        if !right || (in_order && offset != done) {
            return Ok(false);
        }
        done += match content {
            Content::Data(bytes) => bytes.len() as u64,
            Content::Hole(length) => length,
        };
    }
    Ok(done == disk.size_bytes)
}

pub(crate) async fn verify(repository: &Repository) -> Result<VerifyReport> {
    repository.verify(VerifyDepth::ReadData, &|_| ()).await
}

pub(crate) async fn repair(repository: &Repository) -> Result<RepairReport> {
    repository.repair(&|_| ()).await
}

pub(crate) async fn scrub(repository: &Repository, options: ScrubOptions) -> Result<ScrubReport> {
    strongroom_repo::scrub(repository.storage().clone(), options).await
}

pub(crate) async fn collect(
    repository: &Repository,
    options: &CollectOptions,
) -> Result<CollectReport> {
    repository.collect(options, &|_| ()).await
}
