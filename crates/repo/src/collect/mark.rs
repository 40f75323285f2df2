//! Walking the trees of points, every node once, and marking the places that they use.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, TryStreamExt, stream};
use strongroom_chunk::{ContentId, Kind, Node, ObjectId, Place, Prefix};

use super::table::PackTable;
use super::{CollectPhase, CollectProgress, Progress};
use crate::engine::Engine;
use crate::nodes::{self, Wanted};
use crate::points::Root;
use crate::{Error, Result, layout};

/// Nodes looked up together: those of one pack are read together.
const BATCH_NODES: usize = 1024;
const PACKS_IN_FLIGHT: usize = 16;

/// Memory: 16 bytes for each node, a bit for each slot.
pub(super) struct Marker<'a> {
    engine: &'a Engine,
    pub(super) table: PackTable,
    seen: HashSet<Prefix>,
    chunks_missing: u64,
    progress: Progress<'a>,
}

type InPacks = HashMap<ObjectId, Wanted>;

impl<'a> Marker<'a> {
    pub(super) fn new(engine: &'a Engine, table: PackTable, progress: Progress<'a>) -> Self {
        Self {
            engine,
            table,
            seen: HashSet::new(),
            chunks_missing: 0,
            progress,
        }
    }

    pub(super) fn nodes_visited(&self) -> u64 {
        self.seen.len() as u64
    }

    pub(super) fn chunks_missing(&self) -> u64 {
        self.chunks_missing
    }

    /// Marks what these trees use beyond what was marked before. A node that cannot be read ends it: nobody knows
    /// what lies below.
    pub(super) async fn walk(&mut self, roots: Vec<Root>) -> Result<()> {
        let mut waiting: Vec<(ContentId, Place)> = Vec::new();
        waiting.extend(roots.into_iter().map(|root| (root.id, root.place)));
        while !waiting.is_empty() {
            let rest = waiting.len().saturating_sub(BATCH_NODES);
            let batch = waiting.split_off(rest);
            let packs = self.places(batch)?;
            let engine = self.engine;
            let mut reads = stream::iter(packs)
                .map(|(pack, nodes)| read(engine, pack, nodes))
                .buffer_unordered(PACKS_IN_FLIGHT);
            while let Some(nodes) = reads.try_next().await? {
                for node in nodes {
                    self.visit(node, &mut waiting);
                }
            }
            (self.progress)(CollectProgress {
                phase: CollectPhase::Mark,
                done: self.nodes_visited(),
            });
        }
        Ok(())
    }

    /// Marks the nodes that are new, and says where to read them.
    fn places(&mut self, batch: Vec<(ContentId, Place)>) -> Result<InPacks> {
        let mut packs = InPacks::new();
        for (id, hint) in batch {
            if !self.seen.insert(id.prefix()) {
                continue;
            }
            let Some((number, slot)) = self.table.resolve(self.engine, id.prefix(), hint) else {
                let object = layout::name(Kind::NodePack, hint.pack);
                return Err(Error::Missing { object });
            };
            self.table.mark(number, slot);
            let pack = self.table.get(number).id;
            packs.entry(pack).or_default().push((slot, id));
        }
        Ok(packs)
    }

    fn visit(&mut self, node: Node, waiting: &mut Vec<(ContentId, Place)>) {
        match node {
            Node::Inner { children, .. } => {
                waiting.extend(children.iter().map(|child| (child.id, child.place)));
            }
            Node::Leaf(entries) => {
                for entry in entries {
                    let prefix = entry.id.prefix();
                    match self.table.resolve(self.engine, prefix, entry.place) {
                        Some((number, slot)) => self.table.mark(number, slot),
                        None => self.chunks_missing += 1,
                    }
                }
            }
        }
    }
}

async fn read(engine: &Engine, pack: ObjectId, wanted: Wanted) -> Result<Vec<Node>> {
    let nodes = nodes::read_of_pack(engine, pack, wanted).await?;
    nodes.into_iter().map(|(_, node)| node).collect()
}
