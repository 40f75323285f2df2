use std::sync::Arc;

use bytes::Bytes;
use strongroom_chunk::{FrameDecompressor, ObjectId};
use tokio::sync::OnceCell;

use crate::cache::Cache;
use crate::engine::{Engine, Located};
use crate::packs::Pack;
use crate::repository::blocking;
use crate::{Error, Result};

/// Opened frames of data packs, those that were used last. Who asks for one that is on its way waits for it.
#[derive(Debug)]
pub(super) struct Frames {
    engine: Arc<Engine>,
    cache: Cache<(ObjectId, u32), Arc<OnceCell<Bytes>>>,
}

impl Frames {
    pub(super) fn new(engine: Arc<Engine>, cache_bytes: usize) -> Self {
        let cache = Cache::new(cache_bytes);
        Self { engine, cache }
    }

    /// The chunk's bytes.
    pub(super) async fn chunk(&self, located: &Located) -> Result<Bytes> {
        let Located { pack, entry } = located;
        let number = index(entry.frame);
        let cell = self.cache.get_or_insert_with(
            (pack.id, entry.frame),
            pack.frame_bytes(number),
            Arc::default,
        );
        // After a failure the next one tries again.
        let frame = cell.get_or_try_init(|| self.load(pack, number)).await?;
        let start = index(entry.start);
        Ok(frame.slice(start..start + index(entry.length)))
    }

    async fn load(&self, pack: &Arc<Pack>, number: usize) -> Result<Bytes> {
        let range = [pack.directory.frames()[number].range()];
        let packs = &self.engine.packs;
        let sealed = packs.read(pack, &range).await?.swap_remove(0);
        let error = match self.open(pack, number, sealed).await {
            Err(error @ Error::Corrupt { .. }) => error,
            opened => return opened,
        };
        match packs.read_healed(pack, &range).await? {
            Some(mut healed) => self.open(pack, number, healed.swap_remove(0)).await,
            None => Err(error),
        }
    }

    /// Checks all of the frame's chunks once, so that nobody has to who reads a part of one.
    async fn open(&self, pack: &Arc<Pack>, number: usize, sealed: Bytes) -> Result<Bytes> {
        let (engine, pack) = (Arc::clone(&self.engine), Arc::clone(pack));
        blocking(move || {
            let mut decompressor = FrameDecompressor::default();
            let plain = pack.open_frame(number, &sealed, &mut decompressor)?;
            let mut rest = plain.as_slice();
            for (id, length) in pack.directory.chunks_of(number) {
                let (chunk, behind) = rest.split_at(index(*length).min(rest.len()));
                if engine.keys.chunk_id(chunk) != *id {
                    return Err(Error::Corrupt {
                        object: pack.path.to_string(),
                        detail: "a chunk does not hash to its id".to_owned(),
                    });
                }
                rest = behind;
            }
            Ok(plain.into())
        })
        .await
    }
}

fn index(value: u32) -> usize {
    usize::try_from(value).expect("u32 fits")
}
