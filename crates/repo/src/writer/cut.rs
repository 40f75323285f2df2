use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use strongroom_chunk::{Chunker, ContentId, Piece, Place};

use super::carry::Carrier;
use super::choose::{CarriedNode, CutChunk, Entry};
use super::compare::{Candidate, Compared};
use super::parent::ParentChunk;
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
    /// What was not read.
    Carried(Vec<Entry>),
    Finish,
}

/// So much that is carried over is handed on together.
const CARRIED_MAX: usize = 1024;

/// Cuts portions, has their chunks hashed, and keeps them in order.
#[derive(Debug)]
pub(super) struct Cutter {
    engine: Arc<Engine>,
    hashes: Sender<HashJob>,
    batches: Sender<Batch>,
    chunker: Chunker,
    pieces: Vec<Piece>,
    /// Carried over behind the chunks that were handed on.
    carried: Vec<Entry>,
    /// Where the next chunk or hole begins.
    position: u64,
    /// Where the next portion begins.
    taken: u64,
    /// No chunk that was not carried over with its node begins here or behind.
    begun_before: u64,
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
            chunker: Chunker::new(engine.keys.chunker(), engine.options.profile),
            pieces: Vec::new(),
            carried: Vec::new(),
            position: 0,
            taken: 0,
            begun_before: 0,
        }
    }

    /// `carrier` knows the parent, if the caller may vouch for anything.
    pub(super) fn run(
        &mut self,
        inputs: &Receiver<Compared>,
        carrier: &mut Option<Carrier>,
    ) -> Result<()> {
        for input in inputs {
            match input {
                Compared::Data(portion, matched) => {
                    let known = match matched {
                        Some(matched) => matched
                            .recv()
                            .map_err(|_| Error::Broken("a comparing thread"))?,
                        None => Vec::new(),
                    };
                    self.data(portion, &known)?;
                }
                Compared::Hole(length) => self.hole(length)?,
                Compared::Unchanged(stretch) => {
                    let carrier = carrier.as_mut().ok_or_else(nothing_to_carry_from)?;
                    carrier.stretch(self, stretch)?;
                }
                Compared::Finish => {
                    self.chunker.finish(&mut |piece| self.pieces.push(piece));
                    self.send(Bytes::new(), &[])?;
                    self.send_carried()?;
                    let sent = self.batches.send(Batch::Finish);
                    return sent.map_err(|_| Error::Fenced);
                }
            }
        }
        // Who compares stopped and said why.
        Err(Error::Fenced)
    }

    /// How far the image was handed over.
    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// Does the next byte begin a chunk, or a hole?
    pub(super) fn is_between_chunks(&self) -> bool {
        self.chunker.is_between_chunks()
    }

    /// Does no chunk so far begin at `offset` or behind?
    pub(super) fn begun_before(&self, offset: u64) -> bool {
        self.begun_before <= offset
    }

    /// The next bytes, and which chunks of the parent are in them.
    pub(super) fn data(&mut self, portion: Bytes, known: &[Candidate]) -> Result<()> {
        let ranges: Vec<_> = known.iter().map(|one| one.range.clone()).collect();
        let out = &mut |piece| self.pieces.push(piece);
        self.chunker.push_compared(&portion, &ranges, out);
        self.send(portion, known)
    }

    pub(super) fn hole(&mut self, length: u64) -> Result<()> {
        self.taken += length;
        self.chunker
            .hole(length, &mut |piece| self.pieces.push(piece));
        self.send(Bytes::new(), &[])
    }

    /// The next chunk is this one of the parent. To be called between two chunks.
    pub(super) fn carry_chunk(&mut self, chunk: &ParentChunk, place: Place) -> Result<()> {
        self.begun_before = chunk.offset + 1;
        let carried = CutChunk {
            offset: chunk.offset,
            length: chunk.length,
            id: chunk.id,
            place: Some(place),
        };
        self.carry(std::iter::once(Entry::Chunk(carried)), chunk.end())
    }

    /// What begins in the ranges of these nodes is what they say, up to `end`. To be called between two chunks.
    pub(super) fn carry_nodes(
        &mut self,
        nodes: impl Iterator<Item = CarriedNode>,
        end: u64,
    ) -> Result<()> {
        self.carry(nodes.map(Entry::Node), end)
    }

    fn carry(&mut self, entries: impl Iterator<Item = Entry>, end: u64) -> Result<()> {
        self.chunker
            .close_hole(&mut |piece| self.pieces.push(piece));
        self.send(Bytes::new(), &[])?;
        self.carried.extend(entries);
        (self.position, self.taken) = (end, end);
        if self.carried.len() >= CARRIED_MAX {
            self.send_carried()?;
        }
        Ok(())
    }

    /// Has the chunks among the pieces hashed, which end in `portion`, but for those that are known. Both come in order.
    fn send(&mut self, portion: Bytes, known: &[Candidate]) -> Result<()> {
        let begin = self.taken;
        self.taken += portion.len() as u64;
        let mut known = known.iter().peekable();
        let place = |one: &Candidate| (begin + one.range.start as u64, one.range.len());
        let mut chunks = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces.drain(..) {
            match piece {
                Piece::Hole(length) => self.position += length,
                Piece::Chunk(bytes) => {
                    let offset = self.position;
                    self.position += bytes.len() as u64;
                    self.begun_before = offset + 1;
                    while known.next_if(|one| place(one).0 < offset).is_some() {}
                    let same = known.next_if(|one| place(one) == (offset, bytes.len()));
                    let known = same.and_then(|one| Some((one.id, one.place?)));
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
        self.send_carried()?;
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

    fn send_carried(&mut self) -> Result<()> {
        if self.carried.is_empty() {
            return Ok(());
        }
        let carried = std::mem::take(&mut self.carried);
        let sent = self.batches.send(Batch::Carried(carried));
        sent.map_err(|_| Error::Fenced)
    }
}

/// Why nothing can be carried over.
pub(super) fn nothing_to_carry_from() -> Error {
    Error::Invalid("there is no parent, or no way to read the image again".to_owned())
}
