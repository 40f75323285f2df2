//! What the parts of the engine share, and finding a chunk or node from its id and hint.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, stream};
use strongroom_chunk::{
    Child, ChunkEntry, ContentId, FrameDecompressor, Keys, Kind, LeafEntry, Node, ObjectId, Place,
};

use crate::cache::Cache;
use crate::collect::Shares;
use crate::index::Index;
use crate::marks::Marks;
use crate::packs::{Pack, Packs};
use crate::points::Points;
use crate::sessions::Condemned;
use crate::store::Store;
use crate::{Env, Error, Options, Result, layout};

/// Decrypted frames of node packs: neighbouring leaves lie in one frame.
const NODE_CACHE_BYTES: usize = 16 << 20;
/// Frames of nodes read side by side.
const FRAMES_IN_FLIGHT: usize = 16;
/// How many packs are asked for a chunk whose hint leads nowhere.
const ALTERNATIVES_MAX: usize = 4;

#[derive(Debug)]
pub(crate) struct Engine {
    /// The repository's id as the config spells it.
    pub(crate) id: String,
    pub(crate) store: Store,
    pub(crate) keys: Keys,
    pub(crate) env: Env,
    pub(crate) options: Options,
    pub(crate) index: Arc<Index>,
    pub(crate) packs: Packs,
    pub(crate) points: Points,
    pub(crate) marks: Marks,
    pub(crate) condemned: Condemned,
    pub(crate) shares: Shares,
    node_frames: Cache<(ObjectId, u32), Arc<Vec<u8>>>,
}

/// A chunk or node that was found.
#[derive(Debug, Clone)]
pub(crate) struct Located {
    pub(crate) pack: Arc<Pack>,
    pub(crate) entry: ChunkEntry,
}

impl Located {
    fn of_length(self, length: u32) -> Result<Self> {
        if self.entry.length == length {
            return Ok(self);
        }
        Err(Error::Corrupt {
            object: self.pack.path.to_string(),
            detail: "a chunk has another length than its node says".to_owned(),
        })
    }
}

impl Engine {
    pub(crate) fn new(store: Store, keys: Keys, env: Env, id: String, options: Options) -> Self {
        Self {
            packs: Packs::new(store.clone(), keys.clone()),
            points: Points::new(store.clone(), keys.clone()),
            index: Arc::default(),
            marks: Marks::default(),
            condemned: Condemned::default(),
            shares: Shares::default(),
            node_frames: Cache::new(NODE_CACHE_BYTES),
            id,
            store,
            keys,
            env,
            options,
        }
    }

    /// The same repository as a process sees it that has just opened it.
    pub(crate) fn fresh(&self) -> Self {
        Self::new(
            self.store.clone(),
            self.keys.clone(),
            self.env.clone(),
            self.id.clone(),
            self.options,
        )
    }

    /// To be asked before the first write: several writers must not be able to create one object.
    pub(crate) async fn prove_writable(&self) -> Result<()> {
        let storage = self.store.storage();
        Ok(storage.prove_exclusive_create(&*self.env.ids).await?)
    }

    /// Finds a chunk or node: where the hint says, else where the index says; in a pack that was found damaged
    /// only if it is in no other. The error names the object that the hint led to.
    pub(crate) async fn locate(&self, kind: Kind, id: ContentId, hint: Place) -> Result<Located> {
        if self.marks.contains(hint.pack) {
            return match self.elsewhere(kind, id, hint).await? {
                Some(located) => Ok(located),
                // Most of a damaged pack is sound.
                None => self.look_at(kind, id, hint).await,
            };
        }
        if self.packs.is_gone(hint.pack)
            && let Some(located) = self.elsewhere(kind, id, hint).await?
        {
            return Ok(located);
        }
        let error = match self.look_at(kind, id, hint).await {
            Ok(located) => return Ok(located),
            Err(error @ (Error::Missing { .. } | Error::Corrupt { .. })) => error,
            Err(error) => return Err(error),
        };
        self.index.refresh(&self.store, &self.keys).await?;
        self.elsewhere(kind, id, hint).await?.ok_or(error)
    }

    /// Finds a chunk of a leaf, and compares its length with what the leaf says.
    pub(crate) async fn locate_chunk(&self, entry: &LeafEntry) -> Result<Located> {
        let located = self.locate(Kind::DataPack, entry.id, entry.place).await?;
        located.of_length(entry.length)
    }

    /// Finds a chunk or node again that was in this pack: it is missing, since a collection has rewritten it.
    pub(crate) async fn relocate(&self, pack: &Pack, entry: &ChunkEntry) -> Result<Located> {
        self.packs.forget(pack.id);
        let nowhere = Place {
            pack: pack.id,
            slot: u32::MAX,
        };
        let located = self.locate(pack.kind, entry.id, nowhere).await?;
        located.of_length(entry.length)
    }

    /// What the index knows besides the hint, sound packs first.
    async fn elsewhere(&self, kind: Kind, id: ContentId, hint: Place) -> Result<Option<Located>> {
        let mut tried = vec![hint.pack];
        while tried.len() <= ALTERNATIVES_MAX {
            let untried = |pack| !tried.contains(&pack) && !self.packs.is_gone(pack);
            let sound = |pack| untried(pack) && !self.marks.contains(pack);
            let place = self.index.find(id.prefix(), sound);
            let place = place.or_else(|| self.index.find(id.prefix(), untried));
            let Some(place) = place else { break };
            match self.look_at(kind, id, place).await {
                Ok(located) => return Ok(Some(located)),
                // It is known to be gone now.
                Err(Error::Missing { .. }) => {}
                Err(Error::Corrupt { .. }) => tried.push(place.pack),
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Learns which packs were found damaged, and where else there may be what they hold.
    pub(crate) async fn refresh_marks(&self) -> Result<()> {
        self.marks.refresh(&self.store).await?;
        if !self.marks.is_empty() {
            self.index.refresh(&self.store, &self.keys).await?;
        }
        Ok(())
    }

    async fn look_at(&self, kind: Kind, id: ContentId, place: Place) -> Result<Located> {
        let pack = self.packs.get(kind, place.pack).await?;
        match pack.directory.locate(place.slot) {
            Some(entry) if entry.id == id => Ok(Located { pack, entry }),
            _ => Err(Error::Corrupt {
                object: layout::name(kind, place.pack),
                detail: "it does not hold what should be there".to_owned(),
            }),
        }
    }

    pub(crate) async fn read_node(&self, id: ContentId, hint: Place) -> Result<Node> {
        let located = self.locate(Kind::NodePack, id, hint).await?;
        match self.open_node(id, &located).await {
            Err(Error::Missing { .. }) => {
                self.packs.forget(located.pack.id);
                let located = self.locate(Kind::NodePack, id, hint).await?;
                self.open_node(id, &located).await
            }
            other => other,
        }
    }

    /// Brings the frames of these nodes into the cache, many at a time. What cannot be read is met again by who
    /// needs it.
    pub(crate) async fn prefetch_nodes(&self, children: &[Child]) {
        let mut seen = HashSet::new();
        let mut wanted = Vec::new();
        for child in children {
            if let Ok(located) = self.look_at(Kind::NodePack, child.id, child.place).await
                && seen.insert((located.pack.id, located.entry.frame))
            {
                wanted.push(located);
            }
        }
        stream::iter(&wanted)
            .for_each_concurrent(FRAMES_IN_FLIGHT, async |located| {
                drop(self.node_frame(located).await);
            })
            .await;
    }

    pub(crate) async fn open_node(&self, id: ContentId, located: &Located) -> Result<Node> {
        let frame = self.node_frame(located).await?;
        debug_assert_eq!(id, located.entry.id);
        self.decode_node(&located.pack, located.entry, &frame)
    }

    /// The node that lies there, from the plain bytes of its frame.
    pub(crate) fn decode_node(&self, pack: &Pack, entry: ChunkEntry, frame: &[u8]) -> Result<Node> {
        let start = usize::try_from(entry.start).expect("u32 fits");
        let end = start + usize::try_from(entry.length).expect("u32 fits");
        Node::decode(&frame[start..end], entry.id, &self.keys)
            .map_err(|error| Error::decoding(pack.path.as_ref(), error))
    }

    async fn node_frame(&self, located: &Located) -> Result<Arc<Vec<u8>>> {
        let pack = &located.pack;
        let key = (pack.id, located.entry.frame);
        if let Some(frame) = self.node_frames.get(&key) {
            return Ok(frame);
        }
        let number = usize::try_from(located.entry.frame).expect("u32 fits");
        let ranges = [pack.directory.frames()[number].range()];
        let mut decompressor = FrameDecompressor::default();
        let sealed = self.packs.read(pack, &ranges).await?;
        let opened = match pack.open_frame(number, &sealed[0], &mut decompressor) {
            Err(error @ Error::Corrupt { .. }) => {
                match self.packs.read_healed(pack, &ranges).await? {
                    Some(sealed) => pack.open_frame(number, &sealed[0], &mut decompressor),
                    None => Err(error),
                }
            }
            opened => opened,
        };
        let frame = Arc::new(opened?);
        self.node_frames
            .insert(key, Arc::clone(&frame), frame.len());
        Ok(frame)
    }
}
