use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, bounded};
use strongroom_chunk::{Codec, ContentId, Place};

use super::cut::{Batch, Cut};
use super::frame::Plain;
use super::session::Session;
use super::work::{FrameJob, HashJob};
use crate::engine::Engine;
use crate::{Error, Result};

/// What the image is made of, in order, and the frame that the new chunks in it fill.
#[derive(Debug)]
pub(super) enum Step {
    Entries {
        entries: Vec<Entry>,
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

/// A whole subtree that was carried over from the parent.
#[derive(Debug, Clone, Copy)]
pub(super) struct CarriedNode {
    pub(super) level: u8,
    /// Among all nodes of its level.
    pub(super) number: u64,
    pub(super) id: ContentId,
    pub(super) place: Place,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    Chunk(CutChunk),
    Node(CarriedNode),
}

/// A step is closed after so many entries even if its frame is not full.
const ENTRIES_MAX: usize = 4096;

/// Looks up which chunks are known, and fills frames with those that are not.
#[derive(Debug)]
pub(super) struct Chooser {
    engine: Arc<Engine>,
    session: Arc<Session>,
    frames: Sender<FrameJob>,
    steps: Sender<Step>,
    entries: Vec<Entry>,
    plain: Plain,
    new: Vec<(ContentId, u32)>,
    bytes_scanned: u64,
    bytes_new: u64,
}

impl Chooser {
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
            entries: Vec::new(),
            plain: Plain::default(),
            new: Vec::new(),
            bytes_scanned: 0,
            bytes_new: 0,
        }
    }

    pub(super) fn run(&mut self, batches: &Receiver<Batch>) -> Result<()> {
        for batch in batches {
            match batch {
                Batch::Chunks(hashed) => {
                    let hashed = hashed
                        .recv()
                        .map_err(|_| Error::Broken("a hashing thread"))?;
                    self.take(&hashed)?;
                }
                Batch::Carried(entries) => {
                    for entry in entries {
                        self.push(entry)?;
                    }
                }
                Batch::Finish => return self.finish(),
            }
        }
        // The cutter stopped and said why.
        Err(Error::Fenced)
    }

    fn take(&mut self, hashed: &HashJob) -> Result<()> {
        let places = self.places(hashed);
        let chunks = hashed.chunks.iter().zip(&hashed.ids);
        for ((cut, id), place) in chunks.zip(places) {
            self.chunk(&hashed.portion, cut, *id, place)?;
        }
        self.plain.detach();
        Ok(())
    }

    /// Where those chunks lie that the parent or the index has.
    fn places(&self, hashed: &HashJob) -> Vec<Option<Place>> {
        let known = hashed.chunks.iter();
        let mut places: Vec<_> = known.map(|cut| cut.known.map(|(_, place)| place)).collect();
        let is_open = |number: &usize| {
            places[*number].is_none() && !self.session.is_recent(hashed.ids[*number].prefix())
        };
        let open: Vec<usize> = (0..places.len()).filter(is_open).collect();
        let prefixes: Vec<_> = open.iter().map(|n| hashed.ids[*n].prefix()).collect();
        let usable = |pack| self.session.usable(pack);
        let found = self.engine.index.find_each(&prefixes, usable);
        for (number, place) in open.into_iter().zip(found) {
            places[number] = place;
        }
        places
    }

    fn chunk(
        &mut self,
        portion: &bytes::Bytes,
        cut: &Cut,
        id: ContentId,
        place: Option<Place>,
    ) -> Result<()> {
        let prefix = id.prefix();
        let length = u32::try_from(cut.bytes.len()).expect("chunks are bounded");
        if place.is_none() && !self.session.is_recent(prefix) {
            if self.plain.len() + cut.bytes.len() > self.engine.options.profile.frame_bytes_max() {
                self.close_step()?;
            }
            self.session.expect(prefix);
            self.plain.push(portion, &cut.bytes);
            self.new.push((id, length));
            self.bytes_new += u64::from(length);
        }
        self.bytes_scanned += u64::from(length);
        self.push(Entry::Chunk(CutChunk {
            offset: cut.offset,
            length,
            id,
            place,
        }))
    }

    fn push(&mut self, entry: Entry) -> Result<()> {
        self.entries.push(entry);
        if self.entries.len() >= ENTRIES_MAX {
            self.close_step()?;
        }
        Ok(())
    }

    fn close_step(&mut self) -> Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        let mut frame = None;
        if !self.new.is_empty() {
            let (reply, compressed) = bounded(1);
            let plain = std::mem::take(&mut self.plain);
            self.frames
                .send(FrameJob { plain, reply })
                .map_err(|_| Error::Fenced)?;
            let chunks = std::mem::take(&mut self.new);
            frame = Some(FrameStep { compressed, chunks });
        }
        let entries = std::mem::take(&mut self.entries);
        self.send(Step::Entries { entries, frame })
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
