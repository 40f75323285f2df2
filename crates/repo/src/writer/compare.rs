use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use strongroom_chunk::{ContentId, Place};
use tokio::sync::mpsc;

use super::Input;
use super::parent::ParentChunk;
use super::work::CompareJob;
use crate::{Error, Result};

/// A chunk of the parent that may stand unchanged in a portion.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// In the portion.
    pub(super) range: Range<usize>,
    pub(super) id: ContentId,
    pub(super) place: Place,
}

/// The caller's input, in order.
#[derive(Debug)]
pub(super) enum Compared {
    /// Bytes, and those of the parent's chunks that stand there unchanged, once they are compared.
    Data(Bytes, Option<Receiver<Vec<Candidate>>>),
    Hole(u64),
    Finish,
}

/// Has each portion compared with the chunks that the parent has at the same place: what is equal needs no judging of
/// cuts and no look-up. A chunk that lies in two portions is not compared.
#[derive(Debug)]
pub(super) struct Comparer {
    parent: Option<mpsc::Receiver<Vec<ParentChunk>>>,
    /// The parent's next chunks.
    ahead: VecDeque<ParentChunk>,
    jobs: Sender<CompareJob>,
    compared: Sender<Compared>,
    /// Where the next portion begins.
    position: u64,
}

impl Comparer {
    pub(super) fn new(
        parent: mpsc::Receiver<Vec<ParentChunk>>,
        jobs: Sender<CompareJob>,
        compared: Sender<Compared>,
    ) -> Self {
        Self {
            parent: Some(parent),
            ahead: VecDeque::new(),
            jobs,
            compared,
            position: 0,
        }
    }

    pub(super) fn run(&mut self, inputs: &mut mpsc::Receiver<Input>) -> Result<()> {
        while let Some(input) = inputs.blocking_recv() {
            match input {
                Input::Data(data) => self.data(data)?,
                Input::Hole(length) => {
                    self.position += length;
                    self.send(Compared::Hole(length))?;
                }
                Input::Finish => return self.send(Compared::Finish),
            }
        }
        // Dropped without a commit: the later stages see their channels close and stop.
        Err(Error::Fenced)
    }

    fn data(&mut self, portion: Bytes) -> Result<()> {
        let candidates = self.candidates(portion.len() as u64);
        let matched = if candidates.is_empty() {
            None
        } else {
            let (reply, matched) = bounded(1);
            let job = CompareJob {
                portion: portion.clone(),
                candidates,
                reply,
            };
            self.jobs.send(job).map_err(|_| Error::Fenced)?;
            Some(matched)
        };
        self.send(Compared::Data(portion, matched))
    }

    /// The parent's chunks that lie in the next `length` bytes; those before the end of these are used up.
    fn candidates(&mut self, length: u64) -> Vec<Candidate> {
        let begin = self.position;
        let end = begin + length;
        self.position = end;
        let mut candidates = Vec::new();
        while let Some(chunk) = self.next_before(end) {
            let chunk_end = chunk.offset + u64::from(chunk.length);
            if chunk.offset >= begin && chunk_end <= end {
                let inside =
                    |offset: u64| usize::try_from(offset - begin).expect("a portion is in memory");
                candidates.push(Candidate {
                    range: inside(chunk.offset)..inside(chunk_end),
                    id: chunk.id,
                    place: chunk.place,
                });
            }
        }
        candidates
    }

    /// The parent's next chunk, if it begins before `end`.
    fn next_before(&mut self, end: u64) -> Option<ParentChunk> {
        while self.ahead.is_empty() {
            let span = self.parent.as_mut()?.blocking_recv();
            match span {
                Some(span) => self.ahead.extend(span),
                None => self.parent = None,
            }
        }
        self.ahead.pop_front_if(|chunk| chunk.offset < end)
    }

    fn send(&self, compared: Compared) -> Result<()> {
        self.compared.send(compared).map_err(|_| Error::Fenced)
    }
}
