use std::ops::Range;

use bytes::Bytes;
use crossbeam_channel::{Receiver, Sender, bounded};
use strongroom_chunk::{ContentId, Place};
use tokio::sync::mpsc;

use super::parent::{Found, ParentTree};
use super::work::CompareJob;
use super::{Input, Unchanged};
use crate::{Error, Result};

/// A chunk of the parent that may stand unchanged in a portion.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// In the portion.
    pub(super) range: Range<usize>,
    pub(super) id: ContentId,
    /// Nothing if it is to be stored again.
    pub(super) place: Option<Place>,
}

/// The caller's input, in order.
#[derive(Debug)]
pub(super) enum Compared {
    /// Bytes, and those of the parent's chunks that stand there unchanged, once they are compared.
    Data(Bytes, Option<Receiver<Vec<Candidate>>>),
    Hole(u64),
    Unchanged(Unchanged),
    Finish,
}

/// Has each portion compared with the chunks that the parent has at the same place: what is equal needs no judging of
/// cuts and no look-up. A chunk that lies in two portions is not compared.
#[derive(Debug)]
pub(super) struct Comparer {
    parent: ParentTree,
    jobs: Sender<CompareJob>,
    compared: Sender<Compared>,
    /// Where the next portion begins.
    position: u64,
}

/// What the parent has in a portion.
#[derive(Debug, Default)]
struct Expected {
    candidates: Vec<Candidate>,
    holes: Vec<Range<usize>>,
}

impl Comparer {
    pub(super) fn new(
        parent: ParentTree,
        jobs: Sender<CompareJob>,
        compared: Sender<Compared>,
    ) -> Self {
        Self {
            parent,
            jobs,
            compared,
            position: 0,
        }
    }

    pub(super) fn run(&mut self, inputs: &mut mpsc::Receiver<Input>) -> Result<()> {
        while let Some(input) = inputs.blocking_recv() {
            match input {
                Input::Data(data) => self.data(data)?,
                Input::Audit(data) => self.audit(data)?,
                Input::Hole(length) => {
                    self.position += length;
                    self.send(Compared::Hole(length))?;
                }
                Input::Unchanged(stretch) => {
                    self.position += stretch.length;
                    self.send(Compared::Unchanged(stretch))?;
                }
                Input::Finish => return self.send(Compared::Finish),
            }
        }
        // Dropped without a commit: the later stages see their channels close and stop.
        Err(Error::Fenced)
    }

    fn data(&mut self, portion: Bytes) -> Result<()> {
        let mut expected = self.expected(portion.len() as u64);
        expected.candidates.retain(|one| one.place.is_some());
        if expected.candidates.is_empty() {
            return self.send(Compared::Data(portion, None));
        }
        self.compare(portion, |portion, reply| CompareJob {
            portion,
            candidates: expected.candidates,
            audit: None,
            reply,
        })
    }

    fn audit(&mut self, portion: Bytes) -> Result<()> {
        let begin = self.position;
        let expected = self.expected(portion.len() as u64);
        self.compare(portion, |portion, reply| CompareJob {
            portion,
            candidates: expected.candidates,
            audit: Some((begin, expected.holes)),
            reply,
        })
    }

    fn compare(
        &self,
        portion: Bytes,
        job: impl FnOnce(Bytes, Sender<Vec<Candidate>>) -> CompareJob,
    ) -> Result<()> {
        let (reply, matched) = bounded(1);
        let job = job(portion.clone(), reply);
        self.jobs.send(job).map_err(|_| Error::Fenced)?;
        self.send(Compared::Data(portion, Some(matched)))
    }

    /// What the parent has in the next `length` bytes, as far as it lies wholly in them.
    fn expected(&mut self, length: u64) -> Expected {
        let begin = self.position;
        let end = begin + length;
        self.position = end;
        let inside = |offset: u64| usize::try_from(offset - begin).expect("a portion is in memory");
        let mut expected = Expected::default();
        let mut position = begin;
        while position < end {
            match self.parent.at(position) {
                Found::Node(_) => self.parent.descend(),
                Found::Hole(until) => {
                    let until = until.min(end);
                    expected.holes.push(inside(position)..inside(until));
                    position = until;
                }
                Found::Chunk(chunk) => {
                    if chunk.offset >= begin && chunk.end() <= end {
                        expected.candidates.push(Candidate {
                            range: inside(chunk.offset)..inside(chunk.end()),
                            id: chunk.id,
                            place: chunk.place,
                        });
                    }
                    position = chunk.end();
                }
                Found::Unknown => break,
            }
        }
        expected
    }

    fn send(&self, compared: Compared) -> Result<()> {
        self.compared.send(compared).map_err(|_| Error::Fenced)
    }
}
