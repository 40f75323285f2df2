//! What takes most of a writer's time, on as many threads as there are processors: hashing chunks, comparing with
//! the parent's and compressing frames. Results go back through a channel per job, so that order is kept elsewhere.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, never, select_biased};
use strongroom_chunk::{Codec, ContentId, FrameCompressor, Keys, is_zero};

use super::compare::Candidate;
use super::cut::Cut;
use super::frame::Plain;
use super::session::Session;
use crate::Error;

/// Chunks to be hashed; comes back with their ids.
#[derive(Debug)]
pub(super) struct HashJob {
    /// The memory that most of the chunks lie in.
    pub(super) portion: Bytes,
    pub(super) chunks: Vec<Cut>,
    /// One for each chunk, once hashed.
    pub(super) ids: Vec<ContentId>,
    reply: Option<Sender<HashJob>>,
}

impl HashJob {
    pub(super) fn new(portion: Bytes, chunks: Vec<Cut>, reply: Sender<HashJob>) -> Self {
        Self {
            portion,
            chunks,
            ids: Vec::new(),
            reply: Some(reply),
        }
    }

    /// Is there nothing to hash?
    pub(super) fn is_known(&self) -> bool {
        self.chunks.iter().all(|cut| cut.known.is_some())
    }

    pub(super) fn run(mut self, keys: &Keys) {
        let ids = self.chunks.iter().map(|cut| match cut.known {
            Some((id, _)) => id,
            None => keys.chunk_id(&cut.bytes),
        });
        self.ids = ids.collect();
        if let Some(reply) = self.reply.take() {
            // Whoever waits no more has stopped, and with it the channels that lead here.
            reply.send(self).ok();
        }
    }
}

/// A portion and the parent's chunks that may lie in it; comes back with those that do.
#[derive(Debug)]
pub(super) struct CompareJob {
    pub(super) portion: Bytes,
    pub(super) candidates: Vec<Candidate>,
    /// The caller says that all of it is as it was: where in the image the portion begins, and which ranges of it are
    /// zero in the parent.
    pub(super) audit: Option<(u64, Vec<Range<usize>>)>,
    pub(super) reply: Sender<Vec<Candidate>>,
}

impl CompareJob {
    /// An audit that fails stops the writer.
    fn run(self, keys: &Keys, session: &Session) {
        let Self {
            portion,
            mut candidates,
            audit,
            reply,
        } = self;
        let is_same = |one: &Candidate| keys.chunk_id(&portion[one.range.clone()]) == one.id;
        if let Some((begin, holes)) = audit {
            let other = candidates.iter().find(|one| !is_same(one));
            let other = other.map(|one| one.range.start);
            let filled = holes
                .into_iter()
                .find(|hole| !is_zero(&portion[hole.clone()]));
            if let Some(start) = other.or(filled.map(|hole| hole.start)) {
                let offset = begin + start as u64;
                return session.fail(Error::Changed { offset });
            }
        } else {
            candidates.retain(is_same);
        }
        // As for hashes.
        reply.send(candidates).ok();
    }
}

/// A frame to be compressed, and where to send the result.
#[derive(Debug)]
pub(super) struct FrameJob {
    pub(super) plain: Plain,
    pub(super) reply: Sender<(Codec, Vec<u8>)>,
}

/// What working threads are asked to do. What is further on its way goes first.
#[derive(Debug, Clone)]
pub(super) struct Jobs {
    pub(super) frames: Receiver<FrameJob>,
    pub(super) hashes: Receiver<HashJob>,
    pub(super) compares: Receiver<CompareJob>,
}

/// zstd levels above the profile's while the storage is what everybody waits for.
const PATIENT_LEVELS: i32 = 2;

/// One working thread.
#[derive(Debug)]
pub(super) struct Worker {
    keys: Keys,
    session: Arc<Session>,
    level: i32,
    compressor: FrameCompressor,
    /// Frames that lie scattered are brought together here.
    joined: Vec<u8>,
}

impl Worker {
    pub(super) fn new(keys: &Keys, session: &Arc<Session>, level: i32) -> Self {
        Self {
            keys: keys.clone(),
            session: Arc::clone(session),
            level,
            compressor: FrameCompressor::new(level),
            joined: Vec::new(),
        }
    }

    /// Ends when who fills frames has stopped: nobody asks for anything then.
    pub(super) fn run(&mut self, jobs: &Jobs) {
        let (mut hashes, mut compares) = (jobs.hashes.clone(), jobs.compares.clone());
        loop {
            select_biased! {
                recv(jobs.frames) -> job => match job {
                    Ok(job) => self.compress(job),
                    Err(_) => return,
                },
                recv(hashes) -> job => match job {
                    Ok(job) => job.run(&self.keys),
                    Err(_) => hashes = never(),
                },
                recv(compares) -> job => match job {
                    Ok(job) => job.run(&self.keys, &self.session),
                    Err(_) => compares = never(),
                },
            }
        }
    }

    fn compress(&mut self, job: FrameJob) {
        let FrameJob { plain, reply } = job;
        // Bytes that are written once and kept for years are never made larger to save time.
        let extra = if self.session.waits_for_storage() {
            PATIENT_LEVELS
        } else {
            0
        };
        self.compressor.set_level(self.level + extra);
        let compressed = self.compressor.compress(plain.bytes(&mut self.joined));
        drop(plain);
        // As above: an assembler that stopped ends all of this.
        reply.send(compressed).ok();
    }
}
