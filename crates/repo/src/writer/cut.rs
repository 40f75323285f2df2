use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use strongroom_chunk::{Chunker, ContentId, Piece, Place};

use super::compare::{Candidate, Compared};
use super::work::HashJob;
use crate::engine::Engine;
use crate::{Error, Result};

/// A chunk of the image.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) offset: u64,
    pub(super) bytes: Bytes,
    /// What the parent calls it and where it lies, if the parent has it here too.
    pub(super) known: Option<(ContentId, Place)>,
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
    /// Where the next portion begins.
    taken: u64,
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
            taken: 0,
        }
    }

    pub(super) fn run(&mut self, inputs: &Receiver<Compared>) -> Result<()> {
        let mut chunker = Chunker::new(self.engine.keys.chunker(), self.engine.options.profile);
        let mut pieces = Vec::new();
        for input in inputs {
            match input {
                Compared::Data(portion, matched) => {
                    let known = match matched {
                        Some(matched) => matched
                            .recv()
                            .map_err(|_| Error::Broken("a comparing thread"))?,
                        None => Vec::new(),
                    };
                    let ranges: Vec<_> = known.iter().map(|one| one.range.clone()).collect();
                    let out = &mut |piece| pieces.push(piece);
                    chunker.push_compared(&portion, &ranges, out);
                    self.send(portion, &mut pieces, &known)?;
                }
                Compared::Hole(length) => {
                    self.taken += length;
                    chunker.hole(length, &mut |piece| pieces.push(piece));
                    self.send(Bytes::new(), &mut pieces, &[])?;
                }
                Compared::Finish => {
                    chunker.finish(&mut |piece| pieces.push(piece));
                    self.send(Bytes::new(), &mut pieces, &[])?;
                    let sent = self.batches.send(Batch::Finish);
                    return sent.map_err(|_| Error::Fenced);
                }
            }
        }
        // Who compares stopped and said why.
        Err(Error::Fenced)
    }

    /// Has the chunks among `pieces` hashed, which end in `portion`, but for those that are known. Both come in order.
    fn send(&mut self, portion: Bytes, pieces: &mut Vec<Piece>, known: &[Candidate]) -> Result<()> {
        let begin = self.taken;
        self.taken += portion.len() as u64;
        let mut known = known.iter().peekable();
        let place = |one: &Candidate| (begin + one.range.start as u64, one.range.len());
        let mut chunks = Vec::with_capacity(pieces.len());
        for piece in pieces.drain(..) {
            match piece {
                Piece::Hole(length) => self.position += length,
                Piece::Chunk(bytes) => {
                    let offset = self.position;
                    self.position += bytes.len() as u64;
                    while known.next_if(|one| place(one).0 < offset).is_some() {}
                    let same = known.next_if(|one| place(one) == (offset, bytes.len()));
                    let known = same.map(|one| (one.id, one.place));
                    chunks.push(Cut {
                        offset,
                        bytes,
                        known,
                    });
                }
            }
        }
        if chunks.is_empty() {
            return Ok(());
        }
        let (reply, hashed) = bounded(1);
        let job = HashJob::new(portion, chunks, reply);
        if job.is_known() {
            job.run(&self.engine.keys);
        } else {
            self.hashes.send(job).map_err(|_| Error::Fenced)?;
        }
        let sent = self.batches.send(Batch::Chunks(hashed));
        sent.map_err(|_| Error::Fenced)
    }
}
