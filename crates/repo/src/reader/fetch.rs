use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use strongroom_chunk::{ChunkEntry, FrameDecompressor, ObjectId};

use super::Piece;
use crate::buffers::Buffers;
use crate::engine::Engine;
use crate::packs::Pack;
use crate::repository::blocking;
use crate::{Error, Result};

/// A chunk to be brought.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) offset: u64,
    pub(super) pack: Arc<Pack>,
    pub(super) entry: ChunkEntry,
}

/// Packs read at the same time for one fetch.
const PACKS_IN_FLIGHT: usize = 4;

type FrameKey = (ObjectId, u32);

/// Reads the frames that hold the wanted chunks, each once, and checks every chunk.
pub(super) async fn run(
    engine: Arc<Engine>,
    buffers: Buffers,
    mut wanted: Vec<Wanted>,
) -> Result<Vec<Piece>> {
    let mut sealed = loop {
        match read_frames(&engine, &wanted).await {
            Err(error @ Error::Missing { .. }) => relocate(&engine, &mut wanted, error).await?,
            other => break other?,
        }
    };
    let wanted = Arc::new(wanted);
    let mut healed = HashSet::new();
    loop {
        let work = (Arc::clone(&engine), buffers.clone(), Arc::clone(&wanted));
        let (used, opened) = blocking(move || {
            let opened = open(&work.0, &work.1, &work.2, &sealed);
            Ok((sealed, opened))
        })
        .await?;
        let (error, damaged) = match opened {
            Err(Error::Corrupt { object, detail }) => {
                let damaged = wanted.iter().find(|w| w.pack.path.as_ref() == object);
                (Error::Corrupt { object, detail }, damaged)
            }
            other => return other,
        };
        sealed = used;
        let Some(pack) = damaged.map(|wanted| &wanted.pack) else {
            return Err(error);
        };
        if !healed.insert(pack.id) || !heal(&engine, pack, &mut sealed).await? {
            return Err(error);
        }
    }
}

/// A pack was rewritten since its chunks were located: finds them where they lie now.
async fn relocate(engine: &Engine, wanted: &mut [Wanted], error: Error) -> Result<()> {
    let Error::Missing { object } = &error else {
        return Err(error);
    };
    let mut moved = false;
    for want in wanted {
        if want.pack.path.as_ref() != object {
            continue;
        }
        moved = true;
        let located = engine.relocate(&want.pack, &want.entry).await?;
        (want.pack, want.entry) = (located.pack, located.entry);
    }
    if moved { Ok(()) } else { Err(error) }
}

/// Replaces the frames of a damaged pack; false when nothing can heal it.
async fn heal(engine: &Engine, pack: &Pack, sealed: &mut HashMap<FrameKey, Bytes>) -> Result<bool> {
    for ((id, number), bytes) in sealed {
        if *id == pack.id {
            let range = pack.directory.frames()[index(*number)].range();
            let Some(mut parts) = engine.packs.read_healed(pack, &[range]).await? else {
                return Ok(false);
            };
            *bytes = parts.swap_remove(0);
        }
    }
    Ok(true)
}

async fn read_frames(engine: &Engine, wanted: &[Wanted]) -> Result<HashMap<FrameKey, Bytes>> {
    let mut by_pack: HashMap<ObjectId, (Arc<Pack>, Vec<u32>)> = HashMap::new();
    for want in wanted {
        let pack = &want.pack;
        let (_, frames) = by_pack
            .entry(pack.id)
            .or_insert_with(|| (Arc::clone(pack), Vec::new()));
        frames.push(want.entry.frame);
    }
    let reads = stream::iter(by_pack.into_values()).map(|(pack, mut frames)| async move {
        frames.sort_unstable();
        frames.dedup();
        let ranges: Vec<_> = frames
            .iter()
            .map(|frame| pack.directory.frames()[index(*frame)].range())
            .collect();
        let parts = engine.packs.read(&pack, &ranges).await?;
        let keys = frames.into_iter().map(move |frame| (pack.id, frame));
        Ok::<_, Error>(stream::iter(keys.zip(parts).map(Ok::<_, Error>)))
    });
    reads
        .buffer_unordered(PACKS_IN_FLIGHT)
        .try_flatten()
        .try_collect()
        .await
}

fn open(
    engine: &Engine,
    buffers: &Buffers,
    wanted: &[Wanted],
    sealed: &HashMap<FrameKey, Bytes>,
) -> Result<Vec<Piece>> {
    let mut decompressor = FrameDecompressor::default();
    let mut plain: HashMap<FrameKey, Bytes> = HashMap::with_capacity(sealed.len());
    let mut pieces: Vec<Piece> = Vec::new();
    // The frame that the last piece lies in, and where it ends there.
    let mut last = None;
    for want in wanted {
        let key = (want.pack.id, want.entry.frame);
        let frame = match plain.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let number = index(want.entry.frame);
                let sealed = &sealed[&key];
                let pack = &want.pack;
                let mut frame = buffers.take(pack.frame_bytes(number));
                pack.open_frame_into(number, sealed, &mut decompressor, frame.bytes_mut())?;
                entry.insert(frame.freeze())
            }
        };
        let start = index(want.entry.start);
        let end = start + index(want.entry.length);
        if engine.keys.chunk_id(&frame[start..end]) != want.entry.id {
            return Err(Error::Corrupt {
                object: want.pack.path.to_string(),
                detail: "a chunk does not hash to its id".to_owned(),
            });
        }
        // Chunks that follow each other in image and frame become one piece.
        match pieces.last_mut() {
            Some(piece)
                if last == Some((key, start))
                    && piece.offset + piece.bytes.len() as u64 == want.offset =>
            {
                let begin = start - piece.bytes.len();
                piece.bytes = frame.slice(begin..end);
            }
            _ => pieces.push(Piece {
                offset: want.offset,
                bytes: frame.slice(start..end),
            }),
        }
        last = Some((key, end));
    }
    Ok(pieces)
}

fn index(value: u32) -> usize {
    usize::try_from(value).expect("u32 fits")
}
