//! Making index segments from the directories of packs.

use strongroom_chunk::{Directory, Header, IndexEntry, IndexedPack, Kind, ObjectId, Segment};

use crate::engine::Engine;
use crate::store::Created;
use crate::{Error, Result, layout};

/// A segment is written at the latest behind so many packs or entries: what is not listed yet is kept
/// in memory, and must be read again after a crash.
const PACKS_MAX: usize = 8;
const ENTRIES_MAX: usize = 1 << 18;

/// Collects what the next segment says.
#[derive(Debug, Default)]
pub(crate) struct SegmentBuilder(Segment);

impl SegmentBuilder {
    pub(crate) fn add(&mut self, kind: Kind, id: ObjectId, length: u64, directory: &Directory) {
        let segment = &mut self.0;
        let pack = u32::try_from(segment.packs.len()).expect("a segment has few packs");
        segment.packs.push(IndexedPack { id, kind, length });
        let slots = directory.chunks().iter().zip(0..);
        segment
            .entries
            .extend(slots.map(|((id, _), slot)| IndexEntry {
                prefix: id.prefix(),
                pack,
                slot,
            }));
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.packs.len() >= PACKS_MAX || self.0.entries.len() >= ENTRIES_MAX
    }

    /// What was collected since the last time, if anything.
    pub(crate) fn take(&mut self) -> Option<Segment> {
        let segment = std::mem::take(&mut self.0);
        (!segment.packs.is_empty()).then_some(segment)
    }
}

/// Writes a segment; returns it with its id and its length as an object.
pub(crate) async fn store(
    engine: &Engine,
    mut segment: Segment,
) -> Result<(ObjectId, Segment, u64)> {
    let mut id = ObjectId([0; 16]);
    engine.env.ids.fill(&mut id.0);
    let header = Header::new(Kind::IndexSegment, &engine.keys, id, &*engine.env.ids);
    let bytes = segment.encode(&header, &engine.keys);
    let length = bytes.len() as u64;
    let path = layout::path(Kind::IndexSegment, id);
    match engine.store.create(&path, vec![bytes.into()]).await? {
        Created::New => Ok((id, segment, length)),
        Created::WasThere => Err(Error::Broken("two index segments with one id")),
    }
}
