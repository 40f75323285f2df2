use std::ops::Range;
use std::sync::Arc;

use strongroom_chunk::{Child, ContentId, LeafEntry, Node, SPAN_BYTES, node_bytes};

use crate::cache::Cache;
use crate::engine::Engine;
use crate::points::Root;
use crate::{Error, Result};

/// Decoded nodes; enough for the leaves of some hundred GiB.
const NODE_CACHE_BYTES: usize = 32 << 20;

/// A chunk and where it lies in the image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) offset: u64,
    pub(super) entry: LeafEntry,
}

impl Placed {
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.entry.length.into())
    }
}

/// Which chunks make up an image.
#[derive(Debug)]
pub(super) struct Tree {
    engine: Arc<Engine>,
    /// None if the image is one hole.
    root: Option<Root>,
    size_bytes: u64,
    nodes: Cache<ContentId, Arc<Node>>,
}

impl Tree {
    pub(super) fn new(engine: Arc<Engine>, root: Option<Root>, size_bytes: u64) -> Self {
        Self {
            engine,
            root,
            size_bytes,
            nodes: Cache::new(NODE_CACHE_BYTES),
        }
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The chunks that lie in the range, in their order; those at its ends may reach beyond it.
    pub(super) async fn chunks(&self, range: &Range<u64>) -> Result<Vec<Placed>> {
        let mut found: Vec<Placed> = Vec::new();
        let Some(Root { id, place }) = self.root.filter(|_| !range.is_empty()) else {
            return Ok(found);
        };
        let root = Child {
            position: 0,
            id,
            place,
        };
        // Nodes still to be visited, the next one last, with the offset of what they cover.
        let mut waiting: Vec<(u64, Child)> = vec![(0, root)];
        while let Some((offset, child)) = waiting.pop() {
            match &*self.node(&child).await? {
                Node::Inner { level, children } => {
                    let bytes = node_bytes(level - 1);
                    for child in children.iter().rev() {
                        let position = u64::from(child.position);
                        let begin = offset.saturating_add(bytes.saturating_mul(position));
                        // The last chunk of a span may reach into the next one.
                        if touches(range, begin, bytes.saturating_add(SPAN_BYTES)) {
                            waiting.push((begin, *child));
                        }
                    }
                }
                Node::Leaf(entries) => {
                    for entry in entries {
                        let offset = offset.saturating_add(entry.offset.into());
                        if touches(range, offset, entry.length.into()) {
                            self.push(
                                &mut found,
                                Placed {
                                    offset,
                                    entry: *entry,
                                },
                            )?;
                        }
                    }
                }
            }
        }
        Ok(found)
    }

    fn push(&self, found: &mut Vec<Placed>, next: Placed) -> Result<()> {
        let begins_behind = found.last().is_none_or(|last| last.end() <= next.offset);
        if begins_behind && next.end() <= self.size_bytes {
            found.push(next);
            return Ok(());
        }
        Err(Error::Corrupt {
            object: "a node".to_owned(),
            detail: "chunks overlap or reach beyond the end".to_owned(),
        })
    }

    async fn node(&self, child: &Child) -> Result<Arc<Node>> {
        if let Some(node) = self.nodes.get(&child.id) {
            return Ok(node);
        }
        let node = Arc::new(self.engine.read_node(child.id, child.place).await?);
        let bytes = size_of::<Node>()
            + match &*node {
                Node::Leaf(entries) => size_of_val(entries.as_slice()),
                Node::Inner { children, .. } => size_of_val(children.as_slice()),
            };
        self.nodes.insert(child.id, Arc::clone(&node), bytes);
        Ok(node)
    }
}

fn touches(range: &Range<u64>, begin: u64, length: u64) -> bool {
    begin < range.end && begin.saturating_add(length) > range.start
}
