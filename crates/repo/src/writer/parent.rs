//! The chunks of the lineage's point before this one, in the order of the image, read ahead of the writer.

use std::collections::HashMap;
use std::sync::Arc;

use strongroom_chunk::{Child, ContentId, Node, ObjectId, Place, node_bytes};
use strongroom_types::Chain;
use tokio::sync::mpsc;

use super::session::Session;
use crate::Result;
use crate::engine::Engine;
use crate::points::Root;

/// Spans read ahead; each has 4 MiB of the image and some five KiB of entries.
const SPANS_AHEAD: usize = 8;

/// A chunk that the parent has at this offset, in a pack that may be built upon.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentChunk {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) id: ContentId,
    pub(super) place: Place,
}

/// Starts reading; the channel closes at the image's end, or at the first node that cannot be read: what comes behind it
/// is cut, hashed and looked up like new data.
pub(super) fn read(
    engine: &Arc<Engine>,
    session: &Arc<Session>,
    root: Option<Root>,
) -> mpsc::Receiver<Vec<ParentChunk>> {
    let (spans, receiver) = mpsc::channel(SPANS_AHEAD);
    if let Some(root) = root {
        let walk = Walk {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            spans,
        };
        tokio::spawn(async move {
            if let Err(error) = walk.run(root).await {
                tracing::warn!(error = %Chain(&error), "the point before is not compared with any further");
            }
        });
    }
    receiver
}

struct Walk {
    engine: Arc<Engine>,
    session: Arc<Session>,
    spans: mpsc::Sender<Vec<ParentChunk>>,
}

impl Walk {
    /// Ends early when the writer is gone.
    async fn run(self, root: Root) -> Result<()> {
        // Nodes still to be visited, the next one last, with the offset of what they cover.
        let mut waiting = vec![(
            0,
            Child {
                position: 0,
                id: root.id,
                place: root.place,
            },
        )];
        while let Some((offset, child)) = waiting.pop() {
            match self.engine.read_node(child.id, child.place).await? {
                Node::Inner { level, children } => {
                    let bytes = node_bytes(level - 1);
                    let begin =
                        |child: &Child| offset + bytes.saturating_mul(u64::from(child.position));
                    waiting.extend(children.into_iter().rev().map(|c| (begin(&c), c)));
                }
                Node::Leaf(entries) => {
                    let mut usable = HashMap::new();
                    let mut may_use = |pack: ObjectId| {
                        *usable.entry(pack).or_insert_with(|| self.is_usable(pack))
                    };
                    let chunks = entries.iter().filter(|entry| may_use(entry.place.pack));
                    let chunks = chunks.map(|entry| ParentChunk {
                        offset: offset + u64::from(entry.offset),
                        length: entry.length,
                        id: entry.id,
                        place: entry.place,
                    });
                    if self.spans.send(chunks.collect()).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Places are hints, and packs are rewritten: only those count that the index knows.
    fn is_usable(&self, pack: ObjectId) -> bool {
        self.engine.index.lists_pack(pack) && self.session.usable(pack)
    }
}
