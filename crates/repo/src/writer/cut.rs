use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use strongroom_chunk::{Chunker, Piece};
use tokio::sync::mpsc;

use super::work::HashJob;
use crate::engine::Engine;
use crate::{Error, Result};

/// What the caller hands over.
#[derive(Debug)]
pub(super) enum Input {
    Data(Bytes),
    Hole(u64),
    Finish,
}

/// A chunk of the image, without a name yet.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
}

/// What the caller's portions were cut into, in the order of the image.
#[derive(Debug)]
pub(super) enum Batch {
    /// The chunks that end in one portion, once they are hashed.
    Chunks(Receiver<HashJob>),
    Finish,
}

/// Cuts portions, has their chunks hashed, and keeps them in order.
#[derive(Debug)]
pub(super) struct Cutter {
    engine: Arc<Engine>,
    hashes: Sender<HashJob>,
    batches: Sender<Batch>,
    /// Where the next chunk or hole begins.
    position: u64,
}

impl Cutter {
    pub(super) fn new(
        engine: &Arc<Engine>,
        hashes: Sender<HashJob>,
        batches: Sender<Batch>,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            hashes,
            batches,
            position: 0,
        }
    }

    pub(super) fn run(&mut self, inputs: &mut mpsc::Receiver<Input>) -> Result<()> {
        let mut chunker = Chunker::new(self.engine.keys.chunker(), self.engine.options.profile);
        while let Some(input) = inputs.blocking_recv() {
            let mut pieces = Vec::new();
            let mut portion = Bytes::new();
            match input {
                Input::Data(data) => {
                    chunker.push(&data, &mut |piece| pieces.push(piece));
                    portion = data;
                }
                Input::Hole(length) => chunker.hole(length, &mut |piece| pieces.push(piece)),
                Input::Finish => {
                    chunker.finish(&mut |piece| pieces.push(piece));
                    self.send(portion, pieces)?;
                    let sent = self.batches.send(Batch::Finish);
                    return sent.map_err(|_| Error::Fenced);
                }
            }
            self.send(portion, pieces)?;
        }
        // Dropped without a commit: the later stages see their channels close and stop.
        Err(Error::Fenced)
    }

    fn send(&mut self, portion: Bytes, pieces: Vec<Piece>) -> Result<()> {
        let mut chunks = Vec::with_capacity(pieces.len());
        for piece in pieces {
            match piece {
                Piece::Hole(length) => self.position += length,
                Piece::Chunk(bytes) => {
                    let offset = self.position;
                    self.position += bytes.len() as u64;
                    chunks.push(Cut { offset, bytes });
                }
            }
        }
        if chunks.is_empty() {
            return Ok(());
        }
        let (reply, hashed) = bounded(1);
        let job = HashJob::new(portion, chunks, reply);
        self.hashes.send(job).map_err(|_| Error::Fenced)?;
        let sent = self.batches.send(Batch::Chunks(hashed));
        sent.map_err(|_| Error::Fenced)
    }
}
