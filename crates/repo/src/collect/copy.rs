//! Copying what is in use of a pack into new ones. A frame that is in use as a whole moves as it is compressed; of
//! others, what is in use is joined into new frames.

use std::mem;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use strongroom_chunk::{
    Codec, ContentId, FinishedPack, FrameCompressor, FrameDecompressor, Kind, Node, ObjectId,
    PackBuilder,
};

use super::table::Slots;
use super::throttle::Throttle;
use super::{CollectPhase, CollectProgress, Progress};
use crate::engine::Engine;
use crate::packs::Pack;
use crate::repository::blocking;
use crate::segments::{self, SegmentBuilder};
use crate::sessions::SessionId;
use crate::writer::new_pack;
use crate::{Error, Result, layout};

/// Read at once.
const WINDOW_BYTES: u64 = 8 << 20;
/// As writers make them: nodes lie in raw frames.
const NODE_FRAME_BYTES: usize = 64 << 10;

pub(super) struct Copier<'a> {
    engine: &'a Arc<Engine>,
    data: Joiner,
    nodes: Joiner,
    segment: SegmentBuilder,
    stored: Vec<(Kind, ObjectId, u64)>,
    bytes_stored: u64,
    bytes_read: u64,
    throttle: Throttle,
    progress: Progress<'a>,
}

impl<'a> Copier<'a> {
    pub(super) fn new(
        engine: &'a Arc<Engine>,
        session: SessionId,
        bytes_per_second: Option<u64>,
        progress: Progress<'a>,
    ) -> Self {
        let joiner = |kind| Joiner::new(engine, session, kind);
        Self {
            engine,
            data: joiner(Kind::DataPack),
            nodes: joiner(Kind::NodePack),
            segment: SegmentBuilder::default(),
            stored: Vec::new(),
            bytes_stored: 0,
            bytes_read: 0,
            throttle: Throttle::new(bytes_per_second),
            progress,
        }
    }

    pub(super) fn progress(&self) -> Progress<'a> {
        self.progress
    }

    /// Bytes of all objects written so far.
    pub(super) fn bytes_stored(&self) -> u64 {
        self.bytes_stored
    }

    /// Copies these slots. They are durable and found through the index behind [`Copier::finish`].
    pub(super) async fn copy(&mut self, kind: Kind, id: ObjectId, live: &Slots) -> Result<()> {
        let pack = Arc::new(self.engine.packs.load(kind, id).await?);
        for frames in windows(&pack, live) {
            let ranges = frames.iter().map(|n| pack.directory.frames()[*n].range());
            let ranges: Vec<Range<u64>> = ranges.collect();
            let sealed = self.engine.packs.read(&pack, &ranges).await?;
            let portion = (Arc::clone(&pack), frames, live.clone());
            match self.copy_frames(portion.clone(), sealed).await {
                Err(error @ Error::Corrupt { .. }) => {
                    let healed = self.engine.packs.read_healed(&pack, &ranges).await?;
                    self.copy_frames(portion, healed.ok_or(error)?).await?;
                }
                other => other?,
            }
            let bytes = ranges.iter().map(|range| range.end - range.start).sum();
            self.bytes_read += bytes;
            (self.progress)(CollectProgress {
                phase: CollectPhase::Copy,
                done: self.bytes_read,
            });
            self.throttle.take(bytes).await;
        }
        Ok(())
    }

    async fn copy_frames(
        &mut self,
        (pack, frames, live): (Arc<Pack>, Vec<usize>, Slots),
        sealed: Vec<Bytes>,
    ) -> Result<()> {
        self.work(pack.kind, move |joiner| {
            for (number, sealed) in frames.into_iter().zip(sealed) {
                joiner.frame(&pack, number, &sealed, &live)?;
            }
            Ok(())
        })
        .await
    }

    /// Everything copied is durable and indexed; returns the new packs with their lengths.
    pub(super) async fn finish(&mut self) -> Result<Vec<(Kind, ObjectId, u64)>> {
        for kind in [Kind::DataPack, Kind::NodePack] {
            self.work(kind, |joiner| {
                joiner.close_pack();
                Ok(())
            })
            .await?;
        }
        self.store_segment().await?;
        Ok(mem::take(&mut self.stored))
    }

    /// Opening, compressing and sealing, off the runtime; then stores the packs that are full.
    async fn work(
        &mut self,
        kind: Kind,
        work: impl FnOnce(&mut Joiner) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let slot = match kind {
            Kind::NodePack => &mut self.nodes,
            _ => &mut self.data,
        };
        let empty = slot.successor();
        let mut joiner = mem::replace(slot, empty);
        let (joiner, result) = blocking(move || {
            let result = work(&mut joiner);
            Ok((joiner, result))
        })
        .await?;
        *slot = joiner;
        let full = mem::take(&mut slot.full);
        for pack in full {
            self.store(pack).await?;
        }
        result
    }

    async fn store(&mut self, pack: FinishedPack) -> Result<()> {
        let (kind, id) = (pack.header.kind, pack.header.object);
        self.engine
            .store
            .create(&layout::path(kind, id), pack.pieces)
            .await?;
        self.bytes_stored += pack.length;
        self.segment.add(kind, id, pack.length, &pack.directory);
        self.stored.push((kind, id, pack.length));
        if self.segment.is_full() {
            self.store_segment().await?;
        }
        Ok(())
    }

    async fn store_segment(&mut self) -> Result<()> {
        if let Some(segment) = self.segment.take() {
            self.bytes_stored += segments::store(self.engine, segment).await?;
        }
        Ok(())
    }
}

/// The frames with something in use, in portions to be read together.
fn windows(pack: &Pack, live: &Slots) -> Vec<Vec<usize>> {
    let mut windows: Vec<Vec<usize>> = Vec::new();
    let mut bytes = WINDOW_BYTES;
    for (number, frame) in pack.directory.frames().iter().enumerate() {
        let mut slots = frame.first_slot..;
        let chunks = pack.directory.chunks_of(number).iter();
        if !chunks.zip(&mut slots).any(|(_, slot)| live.contains(slot)) {
            continue;
        }
        if bytes >= WINDOW_BYTES {
            windows.push(Vec::new());
            bytes = 0;
        }
        bytes += u64::from(frame.sealed_length);
        windows.last_mut().expect("one was opened").push(number);
    }
    windows
}

/// Makes packs of one kind out of frames and parts of frames.
#[derive(Debug)]
struct Joiner {
    engine: Arc<Engine>,
    session: SessionId,
    kind: Kind,
    pack: Option<PackBuilder>,
    /// Parts of frames, for the next new one.
    loose: Vec<u8>,
    loose_chunks: Vec<(ContentId, u32)>,
    full: Vec<FinishedPack>,
}

impl Joiner {
    fn new(engine: &Arc<Engine>, session: SessionId, kind: Kind) -> Self {
        Self {
            engine: Arc::clone(engine),
            session,
            kind,
            pack: None,
            loose: Vec::new(),
            loose_chunks: Vec::new(),
            full: Vec::new(),
        }
    }

    /// An empty one, to stand in while this one is at work elsewhere.
    fn successor(&self) -> Self {
        Self::new(&self.engine, self.session, self.kind)
    }

    fn frame(&mut self, pack: &Pack, number: usize, sealed: &Bytes, live: &Slots) -> Result<()> {
        let chunks = pack.directory.chunks_of(number);
        let first = pack.directory.frames()[number].first_slot;
        let used: Vec<bool> = (first..)
            .map(|s| live.contains(s))
            .take(chunks.len())
            .collect();
        if used.iter().all(|used| *used) {
            let (codec, bytes) = pack.unseal_frame(number, sealed)?;
            self.push(codec, bytes, chunks);
            return Ok(());
        }
        let mut decompressor = FrameDecompressor::default();
        let plain = pack.open_frame(number, sealed, &mut decompressor)?;
        let mut rest = plain.as_slice();
        for ((id, length), used) in chunks.iter().zip(used) {
            let (content, behind) = rest.split_at(usize::try_from(*length).expect("u32 fits"));
            rest = behind;
            if used {
                self.check(pack, *id, content)?;
                if self.loose.len() + content.len() > self.frame_bytes() {
                    self.close_frame();
                }
                self.loose.extend_from_slice(content);
                self.loose_chunks.push((*id, *length));
            }
        }
        Ok(())
    }

    fn check(&self, pack: &Pack, id: ContentId, content: &[u8]) -> Result<()> {
        let keys = &self.engine.keys;
        let right = match self.kind {
            Kind::NodePack => Node::decode(content, id, keys).is_ok(),
            _ => keys.chunk_id(content) == id,
        };
        if right {
            return Ok(());
        }
        Err(Error::Corrupt {
            object: pack.path.to_string(),
            detail: "what it holds does not hash to its id".to_owned(),
        })
    }

    fn frame_bytes(&self) -> usize {
        match self.kind {
            Kind::NodePack => NODE_FRAME_BYTES,
            _ => self.engine.options.profile.frame_bytes_max(),
        }
    }

    fn close_frame(&mut self) {
        if self.loose_chunks.is_empty() {
            return;
        }
        let plain = mem::take(&mut self.loose);
        let chunks = mem::take(&mut self.loose_chunks);
        let (codec, bytes) = match self.kind {
            Kind::NodePack => (Codec::Raw, plain),
            _ => FrameCompressor::new(self.engine.options.profile.zstd_level()).compress(&plain),
        };
        self.push(codec, bytes, &chunks);
    }

    fn push(&mut self, codec: Codec, bytes: Vec<u8>, chunks: &[(ContentId, u32)]) {
        let pack = self
            .pack
            .get_or_insert_with(|| new_pack(&self.engine, self.session, self.kind));
        pack.push(codec, bytes, chunks);
        if pack.length() >= self.engine.options.pack_bytes_target {
            self.full.extend(self.pack.take().map(PackBuilder::finish));
        }
    }

    fn close_pack(&mut self) {
        self.close_frame();
        self.full.extend(self.pack.take().map(PackBuilder::finish));
    }
}
