//! The tree of the lineage's point before this one, read no further than somebody asks, from the image's begin to its end.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use strongroom_chunk::{
    BLOCK_BYTES, Child, ContentId, Kind, LeafEntry, Node, ObjectId, Place, node_bytes, root_level,
};
use strongroom_types::Chain;
use tokio::runtime::Handle;

use super::session::Session;
use crate::engine::Engine;
use crate::points::StoredPoint;
use crate::{Error, Result, layout};

/// Leaves read together by who reads one after the other: 128 MiB of the image.
const LEAVES_AHEAD: usize = 32;

/// A chunk of the parent.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentChunk {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) id: ContentId,
    /// Nothing if it is in no pack that may be built upon.
    pub(super) place: Option<Place>,
}

impl ParentChunk {
    pub(super) fn end(&self) -> u64 {
        self.offset + u64::from(self.length)
    }
}

/// A node of the parent that was not read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParentNode {
    pub(super) level: u8,
    /// Where in the image the node's range begins.
    pub(super) begin: u64,
    pub(super) id: ContentId,
    hint: Place,
}

impl ParentNode {
    /// End of the node's range; the last chunk that begins in it may reach further, and the image may end before.
    pub(super) fn end(&self) -> u64 {
        self.begin.saturating_add(node_bytes(self.level))
    }
}

/// What the parent has at an offset.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found {
    /// The chunk that covers it.
    Chunk(ParentChunk),
    /// It is in this node's range, and no chunk of the node begins before it.
    Node(ParentNode),
    /// Zero bytes, up to there at least.
    Hole(u64),
    /// A node cannot be read: nobody knows what is here and behind.
    Unknown,
}

/// Offsets that are asked for never fall, but for [`ParentTree::return_to`]. For threads that may wait.
#[derive(Debug)]
pub(super) struct ParentTree {
    engine: Arc<Engine>,
    session: Arc<Session>,
    runtime: Handle,
    /// Nodes that were not read, the next one last.
    waiting: Vec<ParentNode>,
    /// What is left of the leaf before them.
    leaf: VecDeque<ParentChunk>,
    /// End of the last chunk that was passed.
    passed: u64,
    /// Begin of the first node that could not be read.
    lost_from: Option<u64>,
    /// How far a chunk can reach out of its node's range.
    reach: u64,
    /// Ends of the last leaf that was read, and of the last one that was read ahead.
    read_to: u64,
    ahead_to: u64,
}

impl ParentTree {
    /// Without a parent, or with one that was cut in another way, nothing is known.
    pub(super) fn new(
        engine: &Arc<Engine>,
        session: &Arc<Session>,
        parent: Option<&StoredPoint>,
    ) -> Self {
        let chunk_bytes_max = engine.options.profile.chunk_bytes_max();
        let mut tree = Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            runtime: Handle::current(),
            waiting: Vec::new(),
            leaf: VecDeque::new(),
            passed: 0,
            lost_from: None,
            reach: (chunk_bytes_max - BLOCK_BYTES) as u64,
            read_to: 0,
            ahead_to: 0,
        };
        let profile = engine.options.profile.as_str();
        let parent = parent.filter(|point| point.profile == profile);
        match parent.map(|point| (point.size_bytes, point.root())) {
            Some((size_bytes, Ok(root))) => tree.waiting.extend(root.map(|root| ParentNode {
                level: root_level(size_bytes),
                begin: 0,
                id: root.id,
                hint: root.place,
            })),
            // A root that cannot be read is damage for `verify` to tell; a point needs none before it.
            Some((_, Err(_))) | None => tree.lost_from = Some(0),
        }
        tree
    }

    pub(super) fn at(&mut self, position: u64) -> Found {
        loop {
            if let Some(chunk) = self.chunk_behind(position) {
                return if chunk.offset <= position {
                    Found::Chunk(chunk)
                } else {
                    Found::Hole(chunk.offset)
                };
            }
            let Some(node) = self.waiting.last().copied() else {
                return match self.lost_from {
                    Some(from) if from <= position => Found::Unknown,
                    Some(from) => Found::Hole(from),
                    None => Found::Hole(u64::MAX),
                };
            };
            let is_lost = self.lost_from.is_some_and(|from| from <= node.begin);
            if is_lost || node.end().saturating_add(self.reach) <= position {
                self.waiting.pop();
            } else if node.begin > position {
                return Found::Hole(node.begin);
            } else if self.begins_behind(&node, position) {
                return Found::Node(node);
            } else {
                self.descend();
            }
        }
    }

    /// Is it known, without reading the node, that none of its chunks begins before `position`, and can it be read, as far
    /// as is known?
    fn begins_behind(&self, node: &ParentNode, position: u64) -> bool {
        position < node.end()
            && (node.begin == position || self.passed == position)
            && self.lost_from.is_none_or(|from| node.end() <= from)
    }

    /// Reads the node that was found.
    pub(super) fn descend(&mut self) {
        let Some(node) = self.waiting.pop() else {
            return;
        };
        if node.level == 0 {
            self.read_ahead(&node);
        }
        match self.read(&node) {
            Ok(Node::Inner { level, children }) => {
                let level = level - 1;
                let nodes = children.iter().rev().map(|child| ParentNode {
                    level,
                    begin: node.begin + node_bytes(level) * u64::from(child.position),
                    id: child.id,
                    hint: child.place,
                });
                self.waiting.extend(nodes);
            }
            Ok(Node::Leaf(entries)) => {
                self.read_to = node.end();
                self.leaf = self.chunks(node.begin, &entries).into();
            }
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "the point before is not looked at any further");
                self.lost_from = Some(node.begin);
                self.waiting.clear();
            }
        }
    }

    /// Passes the node that was found, unread.
    pub(super) fn pass(&mut self) {
        self.waiting.pop();
    }

    /// Goes back to the begin of a node that was passed, the last one or one whose followers are lost.
    pub(super) fn return_to(&mut self, node: ParentNode) {
        self.leaf.clear();
        self.waiting.push(node);
    }

    /// From here on nobody knows what the parent has.
    pub(super) fn lost_from(&self) -> Option<u64> {
        self.lost_from
    }

    /// Where the node lies, if it may be built upon, and all below it, without being looked at.
    pub(super) fn place_of(&self, node: &ParentNode) -> Option<Place> {
        if !self.session.trusts_trees() {
            return None;
        }
        if self.is_usable(node.hint.pack) {
            return Some(node.hint);
        }
        let usable = |pack| self.session.usable(pack);
        self.engine.index.find(node.id.prefix(), usable)
    }

    /// The next chunk that does not end at `position` or before.
    fn chunk_behind(&mut self, position: u64) -> Option<ParentChunk> {
        while let Some(chunk) = self.leaf.pop_front_if(|chunk| chunk.end() <= position) {
            self.passed = chunk.end();
        }
        self.leaf.front().copied()
    }

    fn read(&self, node: &ParentNode) -> Result<Node> {
        let read = self.engine.read_node(node.id, node.hint);
        let read = self.runtime.block_on(read)?;
        let level = match &read {
            Node::Leaf(_) => 0,
            Node::Inner { level, .. } => *level,
        };
        if level == node.level {
            return Ok(read);
        }
        Err(Error::Corrupt {
            object: layout::name(Kind::NodePack, node.hint.pack),
            detail: "a node is not on its level".to_owned(),
        })
    }

    /// Brings the leaves behind this one into the cache, if it follows the one that was read before it.
    fn read_ahead(&mut self, leaf: &ParentNode) {
        if leaf.begin != self.read_to || leaf.begin < self.ahead_to || leaf.begin == 0 {
            return;
        }
        let leaves = self.waiting.iter().rev().take_while(|next| next.level == 0);
        let leaves = std::iter::once(leaf).chain(leaves.take(LEAVES_AHEAD - 1));
        let mut children = Vec::with_capacity(LEAVES_AHEAD);
        for next in leaves {
            self.ahead_to = next.end();
            children.push(Child {
                position: 0,
                id: next.id,
                place: next.hint,
            });
        }
        self.runtime.block_on(self.engine.prefetch_nodes(&children));
    }

    /// Places are hints, and packs are rewritten: where a hint leads nowhere the index is asked, for all of them at once.
    fn chunks(&self, begin: u64, entries: &[LeafEntry]) -> Vec<ParentChunk> {
        let mut usable = HashMap::new();
        let mut is_usable =
            |pack: ObjectId| *usable.entry(pack).or_insert_with(|| self.is_usable(pack));
        let chunks = entries.iter().map(|entry| ParentChunk {
            offset: begin + u64::from(entry.offset),
            length: entry.length,
            id: entry.id,
            place: is_usable(entry.place.pack).then_some(entry.place),
        });
        let mut chunks: Vec<ParentChunk> = chunks.collect();
        let stale = chunks.iter_mut().filter(|chunk| chunk.place.is_none());
        let mut stale: Vec<&mut ParentChunk> = stale.collect();
        let prefixes: Vec<_> = stale.iter().map(|chunk| chunk.id.prefix()).collect();
        let usable = |pack| self.session.usable(pack);
        let found = self.engine.index.find_each(&prefixes, usable);
        for (chunk, place) in stale.iter_mut().zip(found) {
            chunk.place = place;
        }
        chunks
    }

    fn is_usable(&self, pack: ObjectId) -> bool {
        self.engine.index.lists_pack(pack) && self.session.usable(pack)
    }
}
