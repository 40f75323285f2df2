//! Reading many nodes: those of one pack together.

use std::sync::Arc;

use bytes::Bytes;
use strongroom_chunk::{ChunkEntry, ContentId, FrameDecompressor, Kind, Node, ObjectId};

use crate::engine::{Engine, Located};
use crate::packs::Pack;
use crate::{Error, Result};

/// Sealed bytes that are asked for at once.
const PORTION_BYTES: u64 = 4 << 20;

/// Nodes of one pack that are wanted: their slots and ids.
pub(crate) type Wanted = Vec<(u32, ContentId)>;

/// Reads these nodes, each frame once and frames that lie near each other in one request. What is wrong with a single
/// node is told in its place, in the order of slots; the error is the whole pack's.
pub(crate) async fn read_of_pack(
    engine: &Engine,
    pack: ObjectId,
    mut wanted: Wanted,
) -> Result<Vec<(u32, Result<Node>)>> {
    wanted.sort_unstable_by_key(|(slot, _)| *slot);
    let pack = engine.packs.get(Kind::NodePack, pack).await?;
    let mut read = Vec::with_capacity(wanted.len());
    let mut found: Vec<(u32, ChunkEntry)> = Vec::with_capacity(wanted.len());
    let mut portion_bytes = 0;
    for (slot, id) in wanted {
        let Some(entry) = pack.directory.locate(slot).filter(|entry| entry.id == id) else {
            let error = Error::Corrupt {
                object: pack.path.to_string(),
                detail: "it does not hold what should be there".to_owned(),
            };
            read.push((slot, Err(error)));
            continue;
        };
        if found.last().is_none_or(|(_, l)| l.frame != entry.frame) {
            if portion_bytes >= PORTION_BYTES {
                read_portion(engine, &pack, std::mem::take(&mut found), &mut read).await?;
                portion_bytes = 0;
            }
            portion_bytes += u64::from(pack.directory.frames()[index(entry.frame)].sealed_length);
        }
        found.push((slot, entry));
    }
    read_portion(engine, &pack, found, &mut read).await?;
    Ok(read)
}

async fn read_portion(
    engine: &Engine,
    pack: &Arc<Pack>,
    found: Vec<(u32, ChunkEntry)>,
    read: &mut Vec<(u32, Result<Node>)>,
) -> Result<()> {
    let mut frames: Vec<u32> = found.iter().map(|(_, entry)| entry.frame).collect();
    frames.dedup();
    let sealed = match &frames[..] {
        [] => return Ok(()),
        // It may be in the cache.
        [_] => None,
        _ => read_frames(engine, pack, &frames).await?,
    };
    let mut decompressor = FrameDecompressor::default();
    let mut opened: Option<(u32, Vec<u8>)> = None;
    for (slot, entry) in found {
        if let Some(sealed) = &sealed
            && opened
                .as_ref()
                .is_none_or(|(frame, _)| *frame != entry.frame)
        {
            let at = frames.binary_search(&entry.frame).unwrap_or_default();
            let plain = pack.open_frame(index(entry.frame), &sealed[at], &mut decompressor);
            opened = plain.ok().map(|plain| (entry.frame, plain));
        }
        let node = match &opened {
            Some((frame, plain)) if *frame == entry.frame => engine.decode_node(pack, entry, plain),
            // Alone, so that it is healed if it can be.
            _ => {
                let pack = Arc::clone(pack);
                engine.open_node(entry.id, &Located { pack, entry }).await
            }
        };
        read.push((slot, node));
    }
    Ok(())
}

/// Nothing if the pack is damaged: its frames are better read one by one.
async fn read_frames(engine: &Engine, pack: &Pack, frames: &[u32]) -> Result<Option<Vec<Bytes>>> {
    let all = pack.directory.frames();
    let ranges: Vec<_> = frames.iter().map(|n| all[index(*n)].range()).collect();
    match engine.packs.read(pack, &ranges).await {
        Ok(sealed) => Ok(Some(sealed)),
        Err(Error::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn index(value: u32) -> usize {
    usize::try_from(value).expect("u32 fits")
}
