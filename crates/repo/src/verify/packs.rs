use std::collections::HashMap;
use std::sync::Arc;

use strongroom_chunk::{
    ContentId, FrameDecompressor, HASH_BLOCK_BYTES, Header, Keys, Kind, Node, ObjectId,
};

use super::damage::newer;
use crate::engine::Engine;
use crate::packs::Pack;
use crate::repository::blocking;
use crate::{Error, Result, VerifyDepth};

/// Read at once; a multiple of [`HASH_BLOCK_BYTES`].
const WINDOW_BYTES: u64 = 8 << 20;

/// What is known of a pack.
#[derive(Debug)]
pub(super) enum PackState {
    /// Its trailer or directory cannot be read: nothing in it can be found.
    Unreadable(String),
    Readable {
        /// Problems that concern no frame: the pack is damaged, its frames are not.
        problem: Option<String>,
        bad_frames: HashMap<u32, String>,
    },
}

impl PackState {
    pub(super) fn problems(&self) -> impl Iterator<Item = &str> {
        let (first, frames) = match self {
            Self::Unreadable(problem) => (Some(problem), None),
            Self::Readable {
                problem,
                bad_frames,
            } => (problem.as_ref(), Some(bad_frames)),
        };
        let frames = frames.into_iter().flat_map(HashMap::values);
        first.into_iter().chain(frames).map(String::as_str)
    }
}

/// Checks one pack, and says how many bytes of it were read.
pub(super) async fn check(
    engine: &Engine,
    kind: Kind,
    id: ObjectId,
    depth: VerifyDepth,
) -> Result<(PackState, u64)> {
    let pack = match engine.packs.load(kind, id).await {
        Ok(pack) => Arc::new(pack),
        Err(Error::Corrupt { detail, .. }) => return Ok((PackState::Unreadable(detail), 0)),
        Err(Error::Missing { .. }) => return Ok((PackState::Unreadable("missing".to_owned()), 0)),
        Err(Error::NewerVersion { version, .. }) => {
            return Ok((PackState::Unreadable(newer(version)), 0));
        }
        Err(error) => return Err(error),
    };
    if depth == VerifyDepth::Structure {
        let state = PackState::Readable {
            problem: None,
            bad_frames: HashMap::new(),
        };
        return Ok((state, 0));
    }
    let mut reading = Reading::new(Arc::clone(&pack), engine.keys.clone());
    let body_length = pack.trailer.body_length;
    let mut offset = 0;
    while offset < body_length {
        let end = body_length.min(offset + WINDOW_BYTES);
        let ranges = std::slice::from_ref(&(offset..end)).to_vec();
        let parts = match engine.store.read_ranges(&pack.path, &ranges).await {
            Err(Error::Missing { .. }) => {
                return Ok((PackState::Unreadable("missing".to_owned()), offset));
            }
            Err(Error::Corrupt { detail, .. }) => {
                return Ok((PackState::Unreadable(detail), offset));
            }
            other => other?,
        };
        reading = blocking(move || {
            reading.window(&parts[0]);
            Ok(reading)
        })
        .await?;
        offset = end;
    }
    Ok((reading.finish(), pack.length))
}

/// Walks a pack's body from begin to end.
struct Reading {
    pack: Arc<Pack>,
    keys: Keys,
    problem: Option<String>,
    bad_frames: HashMap<u32, String>,
    /// Number of the next block that the trailer has a hash of.
    block: usize,
    next_frame: usize,
    /// Bytes from `start` on that the next frame needs.
    waiting: Vec<u8>,
    start: u64,
    decompressor: FrameDecompressor,
}

impl Reading {
    fn new(pack: Arc<Pack>, keys: Keys) -> Self {
        Self {
            pack,
            keys,
            problem: None,
            bad_frames: HashMap::new(),
            block: 0,
            next_frame: 0,
            waiting: Vec::new(),
            start: 0,
            decompressor: FrameDecompressor::default(),
        }
    }

    fn window(&mut self, bytes: &[u8]) {
        if self.block == 0 && Header::decode(bytes) != Ok(self.pack.trailer.header) {
            self.problem = Some("the header is damaged".to_owned());
        }
        for block in bytes.chunks(HASH_BLOCK_BYTES) {
            if !self.pack.trailer.block_matches(self.block, block) {
                let number = self.block;
                self.problem
                    .get_or_insert_with(|| format!("block {number} does not match its hash"));
            }
            self.block += 1;
        }
        self.waiting.extend_from_slice(bytes);
        self.frames();
    }

    /// Checks the frames that have arrived whole.
    fn frames(&mut self) {
        let pack = Arc::clone(&self.pack);
        let mut used = 0;
        while let Some(frame) = pack.directory.frames().get(self.next_frame) {
            let range = frame.range();
            let from = usize::try_from(range.start - self.start).expect("windows are small");
            let to = usize::try_from(range.end - self.start).expect("windows are small");
            let Some(sealed) = self.waiting.get(from..to) else {
                break;
            };
            let opened = pack.open_frame(self.next_frame, sealed, &mut self.decompressor);
            if let Some(problem) = self.frame_problem(opened) {
                let number = u32::try_from(self.next_frame).expect("frames are counted in 32 bits");
                self.bad_frames
                    .insert(number, format!("frame {number}: {problem}"));
            }
            used = to;
            self.next_frame += 1;
        }
        self.waiting.drain(..used);
        self.start += used as u64;
    }

    fn frame_problem(&self, opened: Result<Vec<u8>>) -> Option<String> {
        let plain = match opened {
            Ok(plain) => plain,
            Err(Error::Corrupt { detail, .. }) => return Some(detail),
            Err(error) => return Some(error.to_string()),
        };
        let mut rest = plain.as_slice();
        for (id, length) in self.pack.directory.chunks_of(self.next_frame) {
            let length = usize::try_from(*length).expect("u32 fits");
            let (content, behind) = rest.split_at(length);
            rest = behind;
            if !self.is_content_of(*id, content) {
                return Some("what it holds does not hash to its id".to_owned());
            }
        }
        None
    }

    fn is_content_of(&self, id: ContentId, content: &[u8]) -> bool {
        match self.pack.kind {
            Kind::NodePack => Node::decode(content, id, &self.keys).is_ok(),
            _ => self.keys.chunk_id(content) == id,
        }
    }

    fn finish(self) -> PackState {
        PackState::Readable {
            problem: self.problem,
            bad_frames: self.bad_frames,
        }
    }
}
