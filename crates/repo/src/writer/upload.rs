use std::sync::Arc;

use crossbeam_channel::Receiver;
use strongroom_chunk::{FinishedPack, Header, Kind, Prefix};
use strongroom_types::Chain;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::pipeline::Outcome;
use super::session::Session;
use crate::engine::Engine;
use crate::points::Root;
use crate::segments::{self, SegmentBuilder};
use crate::store::Created;
use crate::{Error, Result, index, layout};

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
    /// Packs on their way to the store.
    puts: JoinSet<Result<Created>>,
    puts_max: usize,
    segment: SegmentBuilder,
    bytes_stored: u64,
    /// Entries of the segments that were written.
    entries_listed: u64,
}

/// Packs in memory take about so much, the one that is being filled included.
const PACKS_BYTES_MAX: u64 = 96 << 20;
const PUTS_MAX: u64 = 4;

impl Uploader {
    pub(super) fn new(engine: &Arc<Engine>, session: &Arc<Session>, runtime: Handle) -> Self {
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            runtime,
            puts: JoinSet::new(),
            puts_max: puts_max(engine.options.pack_bytes_target),
            segment: SegmentBuilder::default(),
            bytes_stored: 0,
            entries_listed: 0,
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
        let store = self.engine.store.clone();
        let put = async move { store.create(&path, pack.pieces).await };
        self.puts.spawn_on(put, &self.runtime);
        self.bytes_stored += pack.length;
        self.segment
            .add(header.kind, header.object, pack.length, &pack.directory);
        if self.segment.is_full() {
            self.store_segment()?;
        }
        // Before the next pack is taken: the assembler keeps it until then.
        while self.puts.len() >= self.puts_max {
            self.wait_for_put()?;
        }
        Ok(())
    }

    fn wait_for_put(&mut self) -> Result<()> {
        match self.runtime.block_on(self.puts.join_next()) {
            None | Some(Ok(Ok(Created::New))) => Ok(()),
            Some(Ok(Ok(Created::WasThere))) => Err(Error::Broken("two packs with one id")),
            Some(Ok(Err(error))) => Err(error),
            Some(Err(_)) => Err(Error::Broken("an uploading task")),
        }
    }

    /// Lists the packs so far, behind the last of them.
    fn store_segment(&mut self) -> Result<()> {
        while !self.puts.is_empty() {
            self.wait_for_put()?;
        }
        let Some(segment) = self.segment.take() else {
            return Ok(());
        };
        let prefixes: Vec<Prefix> = segment.entries.iter().map(|e| e.prefix).collect();
        self.entries_listed += prefixes.len() as u64;
        let stored = segments::store(&self.engine, segment);
        self.bytes_stored += self.runtime.block_on(stored)?;
        self.session.forget(prefixes.into_iter());
        self.merge_index();
        Ok(())
    }

    /// Keeps the segments few while a long session goes on. It may fail: what it would merge stays as it is.
    fn merge_index(&mut self) {
        let merged = self
            .runtime
            .block_on(index::merge_due(&self.engine, self.entries_listed));
        if let Err(error) = merged {
            tracing::warn!(error = %Chain(&error), "index segments are not merged");
        }
    }
}

fn puts_max(pack_bytes_target: u64) -> usize {
    let fitting = (PACKS_BYTES_MAX / pack_bytes_target).saturating_sub(1);
    usize::try_from(fitting.clamp(1, PUTS_MAX)).expect("a handful")
}
