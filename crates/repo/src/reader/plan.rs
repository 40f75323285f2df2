use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use strongroom_chunk::{Child, LeafEntry, Node, ObjectId, SPAN_BYTES, node_bytes};
use tokio::sync::mpsc;

use super::fetch::{self, Wanted};
use super::packed::Window;
use super::{Order, Planned};
use crate::buffers::Buffers;
use crate::engine::Engine;
use crate::points::Root;
use crate::{Error, Result};

/// Plain bytes that one fetch brings.
pub(super) const FETCH_BYTES: u64 = 2 << 20;
/// Plain bytes of the frames that one fetch opens for them: more where an image uses little of each.
const FETCH_FRAME_BYTES: u64 = 4 << 20;
/// Buffers for plain frames that wait to be used again.
const BUFFERS_IDLE_MAX: usize = 64;

/// Walks the tree in the order of the image and starts fetches until the reader is dropped.
pub(super) async fn run(
    engine: Arc<Engine>,
    root: Root,
    range: Range<u64>,
    order: Order,
    fetches: mpsc::Sender<Result<Planned>>,
) {
    let frame_bytes = engine.options.profile.frame_bytes_max();
    let mut planner = Planner {
        buffers: Buffers::new(frame_bytes, BUFFERS_IDLE_MAX),
        engine,
        fetches,
        batch: Batch::default(),
        window: match order {
            Order::Image => None,
            Order::Packs => Some(Window::new(range.end)),
        },
        range,
    };
    match planner.walk(root).await {
        Err(Stop::ReaderGone) => {}
        Ok(()) => {
            // A reader that is gone asks for no end.
            let _ = planner.fetches.send(Ok(Planned::End)).await;
        }
        Err(Stop::Failed(error)) => {
            // What was planned before the failure can still be read.
            if planner.flush().await.is_ok() {
                // A reader that is gone does not miss the error.
                let _ = planner.fetches.send(Err(error)).await;
            }
        }
    }
}

enum Stop {
    ReaderGone,
    Failed(Error),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

struct Planner {
    engine: Arc<Engine>,
    buffers: Buffers,
    fetches: mpsc::Sender<Result<Planned>>,
    /// What of the image is read.
    range: Range<u64>,
    batch: Batch,
    /// Where chunks wait to be put in the order of their packs, if they are.
    window: Option<Window>,
}

/// What the next fetch brings.
#[derive(Default)]
struct Batch {
    wanted: Vec<Wanted>,
    bytes: u64,
    frames: HashSet<(ObjectId, u32)>,
    frame_bytes: u64,
}

impl Batch {
    fn is_full(&self) -> bool {
        self.bytes >= FETCH_BYTES || self.frame_bytes >= FETCH_FRAME_BYTES
    }

    fn push(&mut self, wanted: Wanted) {
        let (pack, frame) = (&wanted.pack, wanted.entry.frame);
        if self.frames.insert((pack.id, frame)) {
            let number = usize::try_from(frame).expect("u32 fits");
            let plain_length = pack.directory.frames()[number].plain_length;
            self.frame_bytes += u64::from(plain_length);
        }
        self.bytes += u64::from(wanted.entry.length);
        self.wanted.push(wanted);
    }
}

impl Planner {
    async fn walk(&mut self, root: Root) -> Result<(), Stop> {
        let node = self.engine.read_node(root.id, root.place).await?;
        // Nodes still to be visited, the next one last, with the offset of what they cover.
        let mut waiting: Vec<(u64, Child)> = Vec::new();
        self.visit(0, node, &mut waiting).await?;
        while let Some((offset, child)) = waiting.pop() {
            let node = self.engine.read_node(child.id, child.place).await?;
            self.visit(offset, node, &mut waiting).await?;
        }
        if let Some(window) = &mut self.window {
            window.close(self.range.end);
        }
        self.empty_window().await?;
        self.flush().await
    }

    async fn visit(
        &mut self,
        offset: u64,
        node: Node,
        waiting: &mut Vec<(u64, Child)>,
    ) -> Result<(), Stop> {
        match node {
            Node::Inner { level, children } => {
                let bytes = node_bytes(level - 1);
                for child in children.into_iter().rev() {
                    let begin = offset.saturating_add(bytes.saturating_mul(child.position.into()));
                    // The last chunk of a span may reach into the next one.
                    if self.is_read(begin, bytes.saturating_add(SPAN_BYTES)) {
                        waiting.push((begin, child));
                    }
                }
                Ok(())
            }
            Node::Leaf(entries) => {
                debug_assert!(offset.is_multiple_of(SPAN_BYTES));
                for entry in entries {
                    let begin = offset.saturating_add(entry.offset.into());
                    if self.is_read(begin, entry.length.into()) {
                        self.want(offset, entry).await?;
                    }
                }
                Ok(())
            }
        }
    }

    fn is_read(&self, begin: u64, length: u64) -> bool {
        begin < self.range.end && begin.saturating_add(length) > self.range.start
    }

    async fn want(&mut self, span: u64, entry: LeafEntry) -> Result<(), Stop> {
        let located = self.engine.locate_chunk(&entry).await?;
        let wanted = Wanted {
            offset: span.saturating_add(entry.offset.into()),
            pack: located.pack,
            entry: located.entry,
        };
        let Some(window) = &mut self.window else {
            return self.fetch(wanted).await;
        };
        window.push(wanted)?;
        if window.is_full() {
            self.empty_window().await?;
        }
        Ok(())
    }

    /// Fetches what waits in the window, if there is one.
    async fn empty_window(&mut self) -> Result<(), Stop> {
        let Some(window) = &mut self.window else {
            return Ok(());
        };
        let (holes, wanted) = window.take();
        let holes = self.fetches.send(Ok(Planned::Holes(holes))).await;
        holes.map_err(|_| Stop::ReaderGone)?;
        for wanted in wanted {
            self.fetch(wanted).await?;
        }
        Ok(())
    }

    async fn fetch(&mut self, wanted: Wanted) -> Result<(), Stop> {
        // A fetch ends with a frame, so that no frame is fetched twice in a row.
        let same_frame = self.batch.wanted.last().is_some_and(|last| {
            last.pack.id == wanted.pack.id && last.entry.frame == wanted.entry.frame
        });
        if self.batch.is_full() && !same_frame {
            self.flush().await?;
        }
        self.batch.push(wanted);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Stop> {
        let batch = std::mem::take(&mut self.batch).wanted;
        if batch.is_empty() {
            return Ok(());
        }
        // Room in the channel first: it bounds how many fetches are under way.
        let permit = self.fetches.reserve().await.map_err(|_| Stop::ReaderGone)?;
        let engine = Arc::clone(&self.engine);
        let buffers = self.buffers.clone();
        let fetch = tokio::spawn(fetch::run(engine, buffers, batch));
        permit.send(Ok(Planned::Fetch(fetch)));
        Ok(())
    }
}
