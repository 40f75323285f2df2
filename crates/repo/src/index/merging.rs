//! Keeping the segments few. What a merge makes is durable before what it was made of goes; a crash between, or two
//! mergers at once, leave entries twice, which says the same.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use object_store::MultipartUpload;
use object_store::path::Path;
use strongroom_chunk::{Kind, ObjectId};
use strongroom_index::{Due, Error as IndexError, Part, due, merge};
use strongroom_types::Chain;
use tokio::sync::mpsc;

use super::fetch;
use crate::engine::Engine;
use crate::repository::blocking;
use crate::segments::new_header;
use crate::store::Created;
use crate::{Error, Result, layout};

/// What a small backup may have to merge, in entries: a second or so.
const CHEAP_ENTRIES: u64 = 1 << 21;
/// A long session merges in proportion to what it wrote.
const SHARE: u64 = 8;
/// Parts on their way from the merging thread to the store, of some MiB each.
const PARTS_WAITING: usize = 1;

/// Makes the merges that are due and not too large for a session that wrote so many entries. Does nothing while another
/// one merges.
pub(crate) async fn merge_due(engine: &Engine, entries_written: u64) -> Result<()> {
    let Ok(_one) = engine.index.merging.try_lock() else {
        return Ok(());
    };
    let entries_max = CHEAP_ENTRIES.max(SHARE * entries_written);
    while let Some(due) = due(&engine.index.snapshot(), engine.index.limits) {
        if due.entries > entries_max {
            break;
        }
        run(engine, &due, &HashSet::new()).await?;
    }
    Ok(())
}

/// Packs that the index lists and the store does not have.
pub(crate) async fn gone_packs(engine: &Engine) -> Result<HashSet<ObjectId>> {
    // Before the listing: a pack is there before the index says so.
    let listed = engine.index.packs();
    let mut present = HashSet::new();
    for kind in [Kind::DataPack, Kind::NodePack] {
        let packs = engine.store.list(kind).await?;
        present.extend(packs.into_iter().map(|pack| pack.id));
    }
    let listed = listed.into_iter().map(|pack| pack.id);
    Ok(listed.filter(|id| !present.contains(id)).collect())
}

/// Makes every merge that is due, and writes anew the segments of which a good part speaks of packs that are
/// gone.
pub(crate) async fn merge_segments(engine: &Engine, gone: &HashSet<ObjectId>) -> Result<()> {
    let _one = engine.index.merging.lock().await;
    engine.index.refresh(&engine.store, &engine.keys).await?;
    for segment in engine.index.snapshot().segments() {
        let Ok(packs) = segment.packs() else {
            // Damaged since it was opened: the next look-up refuses it.
            continue;
        };
        let lost = packs.iter().filter(|pack| gone.contains(&pack.id)).count();
        if lost > 0 && lost * 4 >= packs.len() {
            let alone = Due {
                inputs: vec![segment.id()],
                entries: segment.entry_count(),
                split_bits: 0,
            };
            run(engine, &alone, gone).await?;
        }
    }
    while let Some(due) = due(&engine.index.snapshot(), engine.index.limits) {
        run(engine, &due, gone).await?;
    }
    Ok(())
}

/// Every call makes the due segments fewer: they are merged, or refused, or this fails.
async fn run(engine: &Engine, due: &Due, gone: &HashSet<ObjectId>) -> Result<()> {
    let snapshot = engine.index.snapshot();
    let inputs: Vec<_> = due
        .inputs
        .iter()
        .filter_map(|id| snapshot.get(*id).cloned())
        .collect();
    // Only what is merged may go: others have been refused, or merged elsewhere, meanwhile.
    let merged_ids: Vec<ObjectId> = inputs.iter().map(|segment| segment.id()).collect();
    let (parts, waiting) = mpsc::channel(PARTS_WAITING);
    let merging = blocking({
        let (keys, gone, split_bits) = (engine.keys.clone(), gone.clone(), due.split_bits);
        let ids = Arc::clone(&engine.env.ids);
        move || {
            let mut header = || new_header(&*ids, &keys);
            let mut sink = |part| parts.blocking_send(part).map_err(|_| IndexError::Stopped);
            Ok(merge(
                &inputs,
                &|pack| gone.contains(&pack),
                split_bits,
                &keys,
                &mut header,
                &mut sink,
            ))
        }
    });
    let (merged, stored) = tokio::join!(merging, store_all(engine, waiting));
    let made = match (merged?, stored) {
        (Err(IndexError::Stopped), Err(error)) => return Err(error),
        (Err(IndexError::Input { id, error }), _) => {
            engine.index.refuse(id, &error);
            return Ok(());
        }
        (Err(error), _) => return Err(fetch::failed("index", error)),
        (Ok(()), stored) => stored?,
    };
    let mut opened = Vec::with_capacity(made.len());
    let mut overtaken = false;
    for (id, length) in made {
        match fetch::open(&engine.store, &engine.keys, id, length).await {
            Ok(segment) => opened.push(Arc::new(segment)),
            // Another one has merged it already.
            Err(Error::Missing { .. }) => overtaken = true,
            Err(error) => return Err(error),
        }
    }
    tracing::debug!(
        from = merged_ids.len(),
        to = opened.len(),
        entries = due.entries,
        "merged index segments"
    );
    // What it was made of is still there.
    if let Some(bad) = engine.index.replace(&merged_ids, opened).into_iter().next() {
        return Err(bad.error);
    }
    for id in &merged_ids {
        engine
            .store
            .delete(&layout::path(Kind::IndexSegment, *id))
            .await?;
    }
    if overtaken {
        engine.index.refresh(&engine.store, &engine.keys).await?;
    }
    Ok(())
}

/// Stores the segments whose parts arrive; returns their ids and lengths.
async fn store_all(
    engine: &Engine,
    mut parts: mpsc::Receiver<Part>,
) -> Result<Vec<(ObjectId, u64)>> {
    let mut made = Vec::new();
    while let Some(part) = parts.recv().await {
        let Part::Begin(id) = part else {
            return Err(Error::Broken("a merge of index segments"));
        };
        match store_one(engine, id, &mut parts).await? {
            Some(length) => made.push((id, length)),
            // The merging thread says why.
            None => break,
        }
    }
    Ok(made)
}

/// Nothing if the parts end before the segment does.
async fn store_one(
    engine: &Engine,
    id: ObjectId,
    parts: &mut mpsc::Receiver<Part>,
) -> Result<Option<u64>> {
    let path = layout::path(Kind::IndexSegment, id);
    let Some(Part::Bytes(first)) = parts.recv().await else {
        return Ok(None);
    };
    let mut part = Bytes::from(first);
    let mut length = part.len() as u64;
    let mut upload: Option<Box<dyn MultipartUpload>> = None;
    loop {
        let next = parts.recv().await;
        match (&mut upload, next) {
            (None, Some(Part::End)) => {
                return match engine.store.create(&path, vec![part]).await? {
                    Created::New => Ok(Some(length)),
                    Created::WasThere => Err(Error::Broken("two index segments with one id")),
                };
            }
            (None, Some(Part::Bytes(bytes))) => {
                let begun = upload.insert(engine.store.begin_upload(&path).await?);
                put(begun, &path, std::mem::replace(&mut part, bytes.into())).await?;
                length += part.len() as u64;
            }
            (Some(upload), Some(Part::Bytes(bytes))) => {
                put(upload, &path, std::mem::replace(&mut part, bytes.into())).await?;
                length += part.len() as u64;
            }
            (Some(upload), Some(Part::End)) => {
                put(upload, &path, part).await?;
                if let Err(error) = upload.complete().await {
                    abort(upload, &path).await;
                    return Err(Error::store("write", &path, error));
                }
                return Ok(Some(length));
            }
            (upload, None | Some(Part::Begin(_))) => {
                if let Some(upload) = upload {
                    abort(upload, &path).await;
                }
                return Ok(None);
            }
        }
    }
}

async fn put(upload: &mut Box<dyn MultipartUpload>, path: &Path, part: Bytes) -> Result<()> {
    if let Err(error) = upload.put_part(part.into()).await {
        abort(upload, path).await;
        return Err(Error::store("write", path, error));
    }
    Ok(())
}

/// Parts that are not taken back cost space in a bucket until its own rules remove them.
async fn abort(upload: &mut Box<dyn MultipartUpload>, path: &Path) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(error = %Chain(&error), object = %path, "an unfinished upload was not taken back");
    }
}
