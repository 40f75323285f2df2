use std::sync::Arc;

use strongroom_chunk::{
    Child, Codec, ContentId, FAN_OUT, FinishedPack, Kind, LeafEntry, Node, PackBuilder, Place,
    SPAN_BYTES, root_level,
};

use super::assemble::new_pack;
use super::choose::{CarriedNode, CutChunk};
use super::session::Session;
use crate::engine::Engine;
use crate::points::Root;

/// Nodes are sealed together up to so many bytes; ids do not compress, so they stay raw.
const FRAME_BYTES: usize = 64 << 10;

/// Grows the node tree from its leaves while chunks arrive in order. Nodes that the repository has
/// already are not stored again.
#[derive(Debug)]
pub(super) struct TreeBuilder {
    engine: Arc<Engine>,
    session: Arc<Session>,
    /// Number of the span that `leaf` covers.
    span: u64,
    leaf: Vec<LeafEntry>,
    /// The open inner nodes, level 1 first.
    inner: Vec<OpenInner>,
    root: Option<Root>,
    pack: Option<PackBuilder>,
    /// Nodes of the open frame, at most [`FRAME_BYTES`] and one node more.
    frame: Vec<u8>,
    in_frame: Vec<(ContentId, u32)>,
    full: Vec<FinishedPack>,
}

#[derive(Debug, Default)]
struct OpenInner {
    /// Number of the node among all of its level.
    number: u64,
    children: Vec<Child>,
}

impl TreeBuilder {
    pub(super) fn new(engine: &Arc<Engine>, session: &Arc<Session>, size_bytes: u64) -> Self {
        let levels = usize::from(root_level(size_bytes));
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            span: 0,
            leaf: Vec::new(),
            inner: (0..levels).map(|_| OpenInner::default()).collect(),
            root: None,
            pack: None,
            frame: Vec::new(),
            in_frame: Vec::new(),
            full: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, chunk: CutChunk, place: Place) {
        let span = chunk.offset / SPAN_BYTES;
        if span != self.span {
            self.close_leaf();
            self.span = span;
        }
        let offset = chunk.offset % SPAN_BYTES;
        self.leaf.push(LeafEntry {
            id: chunk.id,
            offset: u32::try_from(offset).expect("a span has 4 MiB"),
            length: chunk.length,
            place,
        });
    }

    /// Enters a node with all below it; everything before the begin of its range was pushed or carried.
    pub(super) fn carry(&mut self, node: &CarriedNode) {
        let level = usize::from(node.level);
        self.close_leaf();
        for below in 0..level {
            self.close_inner(below);
        }
        self.enter(level, node.number, node.id, node.place);
    }

    /// Is there a full pack of nodes to be stored?
    pub(super) fn has_full_pack(&self) -> bool {
        !self.full.is_empty()
    }

    pub(super) fn take_packs(&mut self) -> Vec<FinishedPack> {
        std::mem::take(&mut self.full)
    }

    /// The root; nothing for an image that is one hole. All packs are full behind this.
    pub(super) fn finish(&mut self) -> Option<Root> {
        self.close_leaf();
        for level in 0..self.inner.len() {
            self.close_inner(level);
        }
        self.close_frame();
        self.close_pack();
        self.root
    }

    fn close_leaf(&mut self) {
        if self.leaf.is_empty() {
            return;
        }
        let node = Node::Leaf(std::mem::take(&mut self.leaf));
        self.add(&node, 0, self.span);
    }

    fn close_inner(&mut self, index: usize) {
        let open = std::mem::take(&mut self.inner[index]);
        if open.children.is_empty() {
            return;
        }
        let level = u8::try_from(index + 1).expect("a tree has few levels");
        let node = Node::Inner {
            level,
            children: open.children,
        };
        self.add(&node, index + 1, open.number);
    }

    /// Stores the node with this number on its level and enters it in its parent.
    fn add(&mut self, node: &Node, level: usize, number: u64) {
        let (id, bytes) = node.encode(&self.engine.keys);
        let place = self.known(id).unwrap_or_else(|| self.store(id, &bytes));
        self.enter(level, number, id, place);
    }

    fn enter(&mut self, level: usize, number: u64, id: ContentId, place: Place) {
        if level == self.inner.len() {
            self.root = Some(Root { id, place });
            return;
        }
        if self.inner[level].number != number / FAN_OUT {
            self.close_inner(level);
            self.inner[level].number = number / FAN_OUT;
        }
        let position = u8::try_from(number % FAN_OUT).expect("the fan-out is 256");
        self.inner[level].children.push(Child {
            position,
            id,
            place,
        });
    }

    fn known(&self, id: ContentId) -> Option<Place> {
        let prefix = id.prefix();
        self.session
            .place(prefix)
            .or_else(|| self.engine.index.find(prefix, |p| self.session.usable(p)))
    }

    fn store(&mut self, id: ContentId, bytes: &[u8]) -> Place {
        let pack = self
            .pack
            .get_or_insert_with(|| new_pack(&self.engine, self.session.id(), Kind::NodePack));
        let waiting = u32::try_from(self.in_frame.len()).expect("a frame has few nodes");
        let place = Place {
            pack: pack.header().object,
            slot: pack.next_slot() + waiting,
        };
        self.session
            .set_places(std::iter::once((id.prefix(), place)));
        self.frame.extend_from_slice(bytes);
        let length = u32::try_from(bytes.len()).expect("nodes are small");
        self.in_frame.push((id, length));
        if self.frame.len() >= FRAME_BYTES {
            self.close_frame();
            self.close_full_pack();
        }
        place
    }

    fn close_frame(&mut self) {
        if let Some(pack) = &mut self.pack
            && !self.in_frame.is_empty()
        {
            let bytes = std::mem::take(&mut self.frame);
            pack.push(Codec::Raw, bytes, &self.in_frame);
            self.in_frame.clear();
        }
    }

    fn close_full_pack(&mut self) {
        let target = self.engine.options.pack_bytes_target;
        if self.pack.as_ref().is_some_and(|p| p.length() >= target) {
            self.close_pack();
        }
    }

    fn close_pack(&mut self) {
        self.full.extend(self.pack.take().map(PackBuilder::finish));
    }
}
