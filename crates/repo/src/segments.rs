//! Making index segments from the directories of packs.

use bytes::Bytes;
use strongroom_chunk::{Directory, Header, IndexEntry, IndexedPack, Keys, Kind, ObjectId, Segment};
use strongroom_index::OpenSegment;
use strongroom_types::IdSource;

use crate::engine::Engine;
use crate::repository::blocking;
use crate::store::Created;
use crate::{Error, Result, layout};

/// A segment is written at the latest behind so many packs or entries: what is not listed yet is kept
/// in memory, and must be read again after a crash.
const PACKS_MAX: usize = 16;
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

/// Writes a segment and adds it to the index; returns its length as an object.
pub(crate) async fn store(engine: &Engine, mut segment: Segment) -> Result<u64> {
    let header = new_header(&*engine.env.ids, &engine.keys);
    let id = header.object;
    let keys = engine.keys.clone();
    let bytes = blocking(move || Ok(Bytes::from(segment.encode(&header, &keys)))).await?;
    let length = bytes.len() as u64;
    let path = layout::path(Kind::IndexSegment, id);
    match engine.store.create(&path, vec![bytes.clone()]).await? {
        Created::New => {}
        Created::WasThere => return Err(Error::Broken("two index segments with one id")),
    }
    let opened = OpenSegment::open_bytes(bytes, &engine.keys);
    engine
        .index
        .publish(opened.map_err(|_| Error::Broken("an index segment that was just made"))?)?;
    Ok(length)
}

/// The header of a new segment.
pub(crate) fn new_header(ids: &dyn IdSource, keys: &Keys) -> Header {
    let mut id = ObjectId([0; 16]);
    ids.fill(&mut id.0);
    Header::new(Kind::IndexSegment, keys, id, ids)
}
