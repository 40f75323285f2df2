use std::sync::Arc;

use crossbeam_channel::Receiver;
use strongroom_chunk::{FinishedPack, Header, Kind, ObjectId, Prefix, Segment};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::pipeline::Outcome;
use super::session::Session;
use crate::engine::Engine;
use crate::points::Root;
use crate::segments::{self, SegmentBuilder};
use crate::store::Created;
use crate::{Error, Result, layout};

/// What there is to store, in the order in which it must become durable.
#[derive(Debug)]
pub(super) enum Upload {
    Pack(FinishedPack),
    Finish {
        root: Option<Root>,
        bytes_scanned: u64,
        bytes_new: u64,
    },
}

/// Writes packs, and behind every few of them the index segment that lists them.
#[derive(Debug)]
pub(super) struct Uploader {
    engine: Arc<Engine>,
    session: Arc<Session>,
    runtime: Handle,
    segment: SegmentBuilder,
    bytes_stored: u64,
}

impl Uploader {
    pub(super) fn new(engine: &Arc<Engine>, session: &Arc<Session>, runtime: Handle) -> Self {
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            runtime,
            segment: SegmentBuilder::default(),
            bytes_stored: 0,
        }
    }

    pub(super) fn run(
        &mut self,
        uploads: &Receiver<Upload>,
        done: &mut Option<oneshot::Sender<Outcome>>,
    ) -> Result<()> {
        for upload in uploads {
            match upload {
                Upload::Pack(pack) => self.store_pack(pack)?,
                Upload::Finish {
                    root,
                    bytes_scanned,
                    bytes_new,
                } => {
                    self.store_segment()?;
                    let outcome = Outcome {
                        root,
                        bytes_scanned,
                        bytes_new,
                        bytes_stored: self.bytes_stored,
                    };
                    let sent = done.take().map(|done| done.send(outcome));
                    // Nobody waits for the outcome of a writer that was dropped.
                    return sent.and_then(Result::ok).ok_or(Error::Fenced);
                }
            }
        }
        Err(Error::Fenced)
    }

    fn store_pack(&mut self, pack: FinishedPack) -> Result<()> {
        let header: Header = pack.header;
        if header.kind == Kind::NodePack {
            // Nodes name chunks: these must be indexed before.
            self.store_segment()?;
        }
        let path = layout::path(header.kind, header.object);
        let created = self
            .runtime
            .block_on(self.engine.store.create(&path, pack.pieces))?;
        if created == Created::WasThere {
            return Err(Error::Broken("two packs with one id"));
        }
        self.bytes_stored += pack.length;
        self.segment
            .add(header.kind, header.object, pack.length, &pack.directory);
        if self.segment.is_full() {
            self.store_segment()?;
        }
        Ok(())
    }

    fn store_segment(&mut self) -> Result<()> {
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let prefixes: Vec<Prefix> = segment.entries.iter().map(|e| e.prefix).collect();
        let (id, segment, length): (ObjectId, Segment, u64) = self
            .runtime
            .block_on(segments::store(&self.engine, segment))?;
        self.bytes_stored += length;
        self.engine.index.publish(id, segment);
        self.session.forget(prefixes.into_iter());
        Ok(())
    }
}
