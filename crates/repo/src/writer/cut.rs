use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use strongroom_chunk::{Chunker, Codec, ContentId, Piece, Place};
use tokio::sync::mpsc;

use super::session::Session;
use crate::engine::Engine;
use crate::{Error, Result};

/// What the caller hands over.
#[derive(Debug)]
pub(super) enum Input {
    Data(Bytes),
    Hole(u64),
    Finish,
}

/// A frame to be compressed, and where to send the result.
#[derive(Debug)]
pub(super) struct FrameJob {
    pub(super) plain: Vec<u8>,
    pub(super) reply: Sender<(Codec, Vec<u8>)>,
}

/// Chunks of the image in order, and the frame that the new ones among them fill.
#[derive(Debug)]
pub(super) enum Step {
    Chunks {
        chunks: Vec<CutChunk>,
        frame: Option<FrameStep>,
    },
    Finish {
        bytes_scanned: u64,
        bytes_new: u64,
    },
}

#[derive(Debug)]
pub(super) struct FrameStep {
    pub(super) compressed: Receiver<(Codec, Vec<u8>)>,
    /// Ids and plain lengths of the frame's chunks.
    pub(super) chunks: Vec<(ContentId, u32)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct CutChunk {
    pub(super) offset: u64,
    pub(super) length: u32,
    pub(super) id: ContentId,
    /// Known for what the index found; the others get theirs when their frame is packed.
    pub(super) place: Option<Place>,
}

/// A step is closed after so many chunks even if its frame is not full.
const CHUNKS_MAX: usize = 4096;

/// Cuts, hashes, and looks up what is known; fills frames with what is not.
#[derive(Debug)]
pub(super) struct Cutter {
    engine: Arc<Engine>,
    session: Arc<Session>,
    frames: Sender<FrameJob>,
    steps: Sender<Step>,
    chunks: Vec<CutChunk>,
    plain: Vec<u8>,
    new: Vec<(ContentId, u32)>,
    position: u64,
    bytes_scanned: u64,
    bytes_new: u64,
}

impl Cutter {
    pub(super) fn new(
        engine: &Arc<Engine>,
        session: &Arc<Session>,
        frames: Sender<FrameJob>,
        steps: Sender<Step>,
    ) -> Self {
        Self {
            engine: Arc::clone(engine),
            session: Arc::clone(session),
            frames,
            steps,
            chunks: Vec::new(),
            plain: Vec::new(),
            new: Vec::new(),
            position: 0,
            bytes_scanned: 0,
            bytes_new: 0,
        }
    }

    pub(super) fn run(&mut self, inputs: &mut mpsc::Receiver<Input>) -> Result<()> {
        let mut chunker = Chunker::new(self.engine.keys.chunker(), self.engine.options.profile);
        let mut pieces = Vec::new();
        while let Some(input) = inputs.blocking_recv() {
            match input {
                Input::Data(data) => chunker.push(&data, &mut |piece| pieces.push(piece)),
                Input::Hole(length) => chunker.hole(length, &mut |piece| pieces.push(piece)),
                Input::Finish => {
                    chunker.finish(&mut |piece| pieces.push(piece));
                    self.take(&mut pieces)?;
                    return self.finish();
                }
            }
            self.take(&mut pieces)?;
        }
        // Dropped without a commit: the later stages see their channels close and stop.
        Err(Error::Fenced)
    }

    fn take(&mut self, pieces: &mut Vec<Piece>) -> Result<()> {
        for piece in pieces.drain(..) {
            match piece {
                Piece::Hole(length) => self.position += length,
                Piece::Chunk(bytes) => self.chunk(&bytes)?,
            }
        }
        Ok(())
    }

    fn chunk(&mut self, bytes: &Bytes) -> Result<()> {
        let id = self.engine.keys.chunk_id(bytes);
        let prefix = id.prefix();
        let length = u32::try_from(bytes.len()).expect("chunks are bounded");
        let mut place = None;
        if !self.session.is_recent(prefix) {
            let usable = |pack| self.session.usable(pack);
            place = self.engine.index.find(prefix, usable);
            if place.is_none() {
                self.session.expect(prefix);
                self.plain.extend_from_slice(bytes);
                self.new.push((id, length));
                self.bytes_new += u64::from(length);
            }
        }
        self.chunks.push(CutChunk {
            offset: self.position,
            length,
            id,
            place,
        });
        self.position += u64::from(length);
        self.bytes_scanned += u64::from(length);
        let full = self.plain.len() >= self.engine.options.profile.frame_bytes_target();
        if full || self.chunks.len() >= CHUNKS_MAX {
            self.close_step()?;
        }
        Ok(())
    }

    fn close_step(&mut self) -> Result<()> {
        if self.chunks.is_empty() {
            return Ok(());
        }
        let mut frame = None;
        if !self.new.is_empty() {
            let (reply, compressed) = bounded(1);
            let capacity = self.plain.capacity();
            let plain = std::mem::replace(&mut self.plain, Vec::with_capacity(capacity));
            self.frames
                .send(FrameJob { plain, reply })
                .map_err(|_| Error::Fenced)?;
            let chunks = std::mem::take(&mut self.new);
            frame = Some(FrameStep { compressed, chunks });
        }
        let chunks = std::mem::take(&mut self.chunks);
        self.send(Step::Chunks { chunks, frame })
    }

    fn finish(&mut self) -> Result<()> {
        self.close_step()?;
        let (bytes_scanned, bytes_new) = (self.bytes_scanned, self.bytes_new);
        self.send(Step::Finish {
            bytes_scanned,
            bytes_new,
        })
    }

    fn send(&self, step: Step) -> Result<()> {
        self.steps.send(step).map_err(|_| Error::Fenced)
    }
}
