//! What takes most of a writer's time, on as many threads as there are processors: hashing chunks and
//! compressing frames. Results go back through a channel per job, so that order is kept elsewhere.

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, select_biased};
use strongroom_chunk::{Codec, ContentId, FrameCompressor, Keys};

use super::cut::Cut;
use super::frame::Plain;

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

    fn run(mut self, keys: &Keys) {
        let chunks = self.chunks.iter();
        self.ids = chunks.map(|cut| keys.chunk_id(&cut.bytes)).collect();
        if let Some(reply) = self.reply.take() {
            // Whoever waits no more has stopped, and with it the channels that lead here.
            reply.send(self).ok();
        }
    }
}

/// A frame to be compressed, and where to send the result.
#[derive(Debug)]
pub(super) struct FrameJob {
    pub(super) plain: Plain,
    pub(super) reply: Sender<(Codec, Vec<u8>)>,
}

/// One working thread. Frames go first: they are further on their way.
#[derive(Debug)]
pub(super) struct Worker {
    keys: Keys,
    compressor: FrameCompressor,
    /// Frames that lie scattered are brought together here.
    joined: Vec<u8>,
}

impl Worker {
    pub(super) fn new(keys: &Keys, level: i32) -> Self {
        Self {
            keys: keys.clone(),
            compressor: FrameCompressor::new(level),
            joined: Vec::new(),
        }
    }

    /// Ends when nobody can send jobs any more.
    pub(super) fn run(&mut self, frames: &Receiver<FrameJob>, hashes: &Receiver<HashJob>) {
        loop {
            select_biased! {
                recv(frames) -> job => match job {
                    Ok(job) => self.compress(job),
                    // Who fills frames has stopped and asks for no hashes either.
                    Err(_) => return,
                },
                recv(hashes) -> job => match job {
                    Ok(job) => job.run(&self.keys),
                    Err(_) => break,
                },
            }
        }
        for job in frames {
            self.compress(job);
        }
    }

    fn compress(&mut self, job: FrameJob) {
        let FrameJob { plain, reply } = job;
        let compressed = self.compressor.compress(plain.bytes(&mut self.joined));
        drop(plain);
        // As above: an assembler that stopped ends all of this.
        reply.send(compressed).ok();
    }
}
