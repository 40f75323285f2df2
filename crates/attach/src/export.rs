use std::ops::Range;
use std::sync::Arc;

use strongroom_nbd::{Allocation, ErrorCode, Export, Fault, Stretch};
use strongroom_repo::{Error, PointView};
use tokio::runtime::Handle;

use crate::start::Recording;

/// What one question about holes is answered for at most.
const STRETCHES_BYTES: u64 = 1 << 30;

/// A point of a repository, to be served. Its calls block, and must not be made by tasks of the runtime.
#[derive(Debug)]
pub struct PointExport {
    view: Arc<PointView>,
    runtime: Handle,
    recording: Arc<Recording>,
}

impl PointExport {
    /// Reads on `runtime`.
    pub fn new(view: Arc<PointView>, runtime: Handle) -> Self {
        Self {
            view,
            runtime,
            recording: Arc::default(),
        }
    }

    /// Tells what is read.
    pub(crate) fn recorded(self, recording: Arc<Recording>) -> Self {
        Self { recording, ..self }
    }
}

impl Export for PointExport {
    fn size_bytes(&self) -> u64 {
        self.view.size_bytes()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        self.recording.note(offset, buffer.len() as u64);
        let read = self.view.read_at(offset, buffer);
        self.runtime
            .block_on(read)
            .map_err(|error| fault(&error, offset))
    }

    fn stretches(&self, offset: u64, length: u64) -> Result<Vec<Stretch>, Fault> {
        let length = length.min(STRETCHES_BYTES);
        let data = self.view.data_in(offset, length);
        let data = self.runtime.block_on(data);
        let data = data.map_err(|error| fault(&error, offset))?;
        Ok(with_holes(offset..offset + length, data))
    }
}

/// The damage that was found is told here as well: the peer is a machine, whose log nobody reads.
fn fault(error: &Error, offset: u64) -> Fault {
    tracing::warn!(offset, %error, "a part of a point cannot be read");
    Fault::new(ErrorCode::IO, error.to_string())
}

fn with_holes(range: Range<u64>, data: Vec<Range<u64>>) -> Vec<Stretch> {
    let mut stretches = Vec::with_capacity(data.len() * 2 + 1);
    let mut push = |length: u64, allocation| {
        if length > 0 {
            stretches.push(Stretch { length, allocation });
        }
    };
    let mut position = range.start;
    for stretch in data {
        push(stretch.start - position, Allocation::Hole);
        push(stretch.end - stretch.start, Allocation::Data);
        position = stretch.end;
    }
    push(range.end - position, Allocation::Hole);
    stretches
}
