//! How much of the store a set of points needs.

use std::collections::{HashMap, HashSet};

use strongroom_chunk::{ContentId, Kind, LeafEntry, Node, ObjectId, Place};
use strongroom_types::Chain;

use crate::engine::{Engine, Located};
use crate::repository::object_id;
use crate::{Error, PointId, Result};

/// Every node is read once and every frame counted once, however many points share them. Memory: a bit
/// for each frame and 32 bytes for each node.
///
/// Points that are gone and what damage has taken from the others are left out and logged: how much is
/// stored must be told, and new points made, even if an old one cannot be restored any more.
pub(crate) async fn occupied(engine: &Engine, points: &[PointId]) -> Result<u64> {
    let mut count = Count::default();
    for id in points {
        let Some(point) = whole(engine.points.read(object_id(id)).await)? else {
            continue;
        };
        let root = point
            .root()
            .map_err(|error| Error::decoding(id.as_str(), error))?;
        if let Some(root) = root {
            count.walk(engine, root.id, root.place).await?;
        }
    }
    Ok(count.bytes)
}

/// Nothing for what is damaged or gone.
fn whole<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(
            error @ (Error::Corrupt { .. }
            | Error::Missing { .. }
            | Error::NewerVersion { .. }
            | Error::NewerKeys { .. }),
        ) => {
            tracing::warn!(error = %Chain(&error), "left out of what is occupied");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[derive(Default)]
struct Count {
    nodes: HashSet<ContentId>,
    frames: HashMap<ObjectId, FrameSet>,
    bytes: u64,
    /// Packs that were found gone or damaged: asked for once, not for each of their chunks.
    lost: HashSet<ObjectId>,
}

impl Count {
    async fn walk(&mut self, engine: &Engine, id: ContentId, place: Place) -> Result<()> {
        let mut waiting = vec![(id, place)];
        while let Some((id, place)) = waiting.pop() {
            if !self.nodes.insert(id) {
                continue;
            }
            let found = engine.locate(Kind::NodePack, id, place).await;
            let Some(located) = whole(found)? else {
                continue;
            };
            self.add(&located);
            match whole(engine.open_node(id, &located).await)? {
                None => {}
                Some(Node::Inner { children, .. }) => {
                    waiting.extend(children.iter().rev().map(|child| (child.id, child.place)));
                }
                Some(Node::Leaf(entries)) => {
                    for entry in entries {
                        self.chunk(engine, &entry).await?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn chunk(&mut self, engine: &Engine, entry: &LeafEntry) -> Result<()> {
        if self.lost.contains(&entry.place.pack) {
            return Ok(());
        }
        let found = engine.locate(Kind::DataPack, entry.id, entry.place).await;
        match whole(found)? {
            Some(located) => self.add(&located),
            None => {
                self.lost.insert(entry.place.pack);
            }
        }
        Ok(())
    }

    fn add(&mut self, located: &Located) {
        let frames = located.pack.directory.frames();
        let number = usize::try_from(located.entry.frame).expect("u32 fits");
        let set = self
            .frames
            .entry(located.pack.id)
            .or_insert_with(|| FrameSet::new(frames.len()));
        if set.insert(number) {
            self.bytes += u64::from(frames[number].sealed_length);
        }
    }
}

/// One bit per frame of a pack.
struct FrameSet(Vec<u64>);

impl FrameSet {
    fn new(frames: usize) -> Self {
        Self(vec![0; frames.div_ceil(64)])
    }

    /// True if it was not there yet.
    fn insert(&mut self, frame: usize) -> bool {
        let (word, bit) = (&mut self.0[frame / 64], 1 << (frame % 64));
        let new = *word & bit == 0;
        *word |= bit;
        new
    }
}
