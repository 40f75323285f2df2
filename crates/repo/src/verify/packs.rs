use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use strongroom_chunk::{
    BodyChecker, ContentId, FrameDecompressor, Header, Keys, Kind, Node, ObjectId,
};
use strongroom_store::StorageKind;

use super::damage::{DamageList, newer, newer_keys};
use crate::engine::Engine;
use crate::packs::Pack;
use crate::repository::blocking;
use crate::store::Holes;
use crate::{Error, Remedy, Result, VerifyDepth};

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
    /// It is damaged, and its parity brings back everything.
    Healable(String),
    /// No key here opens it, and nothing says that it is damaged.
    Foreign(String),
}

impl PackState {
    const SOUND: fn() -> Self = || Self::Readable {
        problem: None,
        bad_frames: HashMap::new(),
    };

    /// Notes what is wrong with the pack of this name.
    pub(super) fn add_to(&self, damage: &mut DamageList, object: &str) {
        match self {
            Self::Healable(problem) => damage.add_remediable(object, problem, Remedy::Parity),
            other => other
                .problems()
                .for_each(|problem| damage.add_problem(object, problem)),
        }
    }

    pub(super) fn problems(&self) -> impl Iterator<Item = &str> {
        let (first, frames) = match self {
            Self::Unreadable(problem) | Self::Healable(problem) | Self::Foreign(problem) => {
                (Some(problem), None)
            }
            Self::Readable {
                problem,
                bad_frames,
            } => (problem.as_ref(), Some(bad_frames)),
        };
        let frames = frames.into_iter().flat_map(HashMap::values);
        first.into_iter().chain(frames).map(String::as_str)
    }
}

/// Checks one pack, and says how many bytes of it were read. Nothing for a pack that is gone: a collection may
/// have removed it, and if a point needs it, that is noticed there.
pub(super) async fn check(
    engine: &Engine,
    kind: Kind,
    id: ObjectId,
    depth: VerifyDepth,
) -> Result<Option<(PackState, u64)>> {
    let (state, bytes_read) = match check_as_it_is(engine, kind, id, depth).await {
        Err(Error::Missing { .. }) => return Ok(None),
        checked => checked?,
    };
    let Some(problem) = state.problems().next().map(str::to_owned) else {
        return Ok(Some((state, bytes_read)));
    };
    if matches!(state, PackState::Foreign(_)) {
        return Ok(Some((state, bytes_read)));
    }
    if let Some(bytes) = engine.packs.healed(kind, id).await?
        && let Ok(pack) = engine.packs.open_whole(kind, id, &bytes)
    {
        let length = bytes.len() as u64;
        let reading = Reading::new(Arc::new(pack), engine.keys.clone());
        let healed = blocking(move || Ok(reading.whole(&bytes))).await?;
        if healed.problems().next().is_none() {
            return Ok(Some((PackState::Healable(problem), bytes_read + length)));
        }
    }
    Ok(Some((state, bytes_read)))
}

async fn check_as_it_is(
    engine: &Engine,
    kind: Kind,
    id: ObjectId,
    depth: VerifyDepth,
) -> Result<(PackState, u64)> {
    let pack = match engine.packs.load_as_it_is(kind, id).await {
        Ok(pack) => Arc::new(pack),
        Err(Error::Corrupt { detail, .. }) => return Ok((PackState::Unreadable(detail), 0)),
        Err(Error::NewerVersion { version, .. }) => {
            return Ok((PackState::Unreadable(newer(version)), 0));
        }
        Err(Error::NewerKeys { generation, .. }) => {
            return Ok((PackState::Foreign(newer_keys(generation)), 0));
        }
        Err(error) => return Err(error),
    };
    if depth == VerifyDepth::Structure {
        return Ok((PackState::SOUND(), 0));
    }
    let window_bytes = window_bytes(engine);
    let mut reading = Reading::new(Arc::clone(&pack), engine.keys.clone());
    while let Some(window) = reading.next_window(window_bytes) {
        let start = window.start;
        let salvaged = match engine.store.salvage_range(&pack.path, window).await {
            Err(Error::Corrupt { detail, .. }) => {
                return Ok((PackState::Unreadable(detail), start));
            }
            salvaged => salvaged?,
        };
        reading = blocking(move || {
            reading.holes.extend(salvaged.holes);
            reading.window(&salvaged.bytes);
            Ok(reading)
        })
        .await?;
    }
    Ok((reading.finish(), pack.length))
}

/// Read at once: what stays in a processor's cache, or what is worth a request.
fn window_bytes(engine: &Engine) -> u64 {
    match engine.store.storage().kind() {
        StorageKind::S3 => 8 << 20,
        StorageKind::Memory | StorageKind::Local => 2 << 20,
    }
}

/// Walks a pack's body from begin to end, in windows of whole frames.
struct Reading {
    pack: Arc<Pack>,
    keys: Keys,
    /// Where the next window begins.
    position: u64,
    checker: BodyChecker,
    holes: Holes,
    header_problem: Option<String>,
    bad_frames: HashMap<u32, String>,
    next_frame: usize,
    decompressor: FrameDecompressor,
    /// Plain frames come here, one behind the other; as long as the longest so far.
    plain: Vec<u8>,
}

impl Reading {
    fn new(pack: Arc<Pack>, keys: Keys) -> Self {
        Self {
            pack,
            keys,
            position: 0,
            checker: BodyChecker::default(),
            holes: Holes::default(),
            header_problem: None,
            bad_frames: HashMap::new(),
            next_frame: 0,
            decompressor: FrameDecompressor::default(),
            plain: Vec::new(),
        }
    }

    /// About so many bytes, a frame at least, while there are frames.
    fn next_window(&self, bytes: u64) -> Option<Range<u64>> {
        let body_length = self.pack.trailer.body_length;
        if self.position >= body_length {
            return None;
        }
        let most = body_length.min(self.position + bytes);
        let frames = &self.pack.directory.frames()[self.next_frame..];
        let fitting = frames.partition_point(|frame| frame.range().end <= most);
        let last = fitting.checked_sub(1).or((!frames.is_empty()).then_some(0));
        let end = last.map_or(most, |last| frames[last].range().end);
        Some(self.position..end)
    }

    /// The next bytes; their holes were added before.
    fn window(&mut self, bytes: &[u8]) {
        if self.position == 0 && Header::decode(bytes) != Ok(self.pack.trailer.header) {
            self.header_problem = Some("the header is damaged".to_owned());
        }
        self.checker.update(bytes);
        let end = self.position + bytes.len() as u64;
        let pack = Arc::clone(&self.pack);
        while let Some(frame) = pack.directory.frames().get(self.next_frame) {
            let range = frame.range();
            if range.end > end {
                break;
            }
            let from = usize::try_from(range.start - self.position).expect("windows are small");
            let to = usize::try_from(range.end - self.position).expect("windows are small");
            let problem = if self.holes.hit(&range) {
                Some(self.holes.to_string())
            } else {
                self.frame_problem(&bytes[from..to])
            };
            if let Some(problem) = problem {
                let number = u32::try_from(self.next_frame).expect("frames are counted in 32 bits");
                let text = format!("frame {number}: {problem}");
                self.bad_frames.insert(number, text);
            }
            self.next_frame += 1;
        }
        self.position = end;
    }

    /// The state of a pack that is in memory.
    fn whole(mut self, bytes: &Bytes) -> PackState {
        while let Some(window) = self.next_window(2 << 20) {
            let index = |offset| usize::try_from(offset).expect("it is in memory");
            self.window(&bytes[index(window.start)..index(window.end)]);
        }
        self.finish()
    }

    fn frame_problem(&mut self, sealed: &[u8]) -> Option<String> {
        let length = self.pack.frame_bytes(self.next_frame);
        if self.plain.len() < length {
            self.plain.resize(length, 0);
        }
        let plain = &mut self.plain[..length];
        let decompressor = &mut self.decompressor;
        let opened = self
            .pack
            .open_frame_into(self.next_frame, sealed, decompressor, plain);
        match opened {
            Ok(()) => {}
            Err(Error::Corrupt { detail, .. }) => return Some(detail),
            Err(error) => return Some(error.to_string()),
        }
        let mut rest = &self.plain[..length];
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
        let unreadable = (!self.holes.is_empty()).then(|| self.holes.to_string());
        let bad_block = self.checker.first_bad_block(&self.pack.trailer);
        let bad_block = bad_block.map(|number| format!("block {number} does not match its hash"));
        PackState::Readable {
            problem: unreadable.or(self.header_problem).or(bad_block),
            bad_frames: self.bad_frames,
        }
    }
}
