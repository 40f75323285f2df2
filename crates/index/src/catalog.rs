use std::collections::HashMap;
use std::sync::Arc;

use strongroom_chunk::{IndexedPack, ObjectId, Place, Prefix};

use crate::{Error, OpenSegment, Result};

/// The segments in use, and the packs that they speak of.
#[derive(Debug, Default)]
pub struct Catalog {
    segments: Snapshot,
    /// With the number of segments that list the pack.
    packs: HashMap<ObjectId, (IndexedPack, u32)>,
}

/// What lookups go through: cheap to take, and unchanged while it is held.
#[derive(Debug, Default, Clone)]
pub struct Snapshot(Arc<Vec<Arc<OpenSegment>>>);

impl Catalog {
    pub fn snapshot(&self) -> Snapshot {
        self.segments.clone()
    }

    pub fn contains(&self, id: ObjectId) -> bool {
        self.segments.get(id).is_some()
    }

    /// Adds segments and takes others away, in one step. Those whose packs cannot be read are left out and returned.
    pub fn replace(
        &mut self,
        gone: &[ObjectId],
        added: Vec<Arc<OpenSegment>>,
    ) -> Vec<(ObjectId, Error)> {
        let mut damaged = Vec::new();
        let mut list = self.segments.0.to_vec();
        for segment in added {
            if list.iter().any(|known| known.id() == segment.id()) {
                continue;
            }
            match segment.packs() {
                Ok(packs) => {
                    self.count(packs);
                    list.push(segment);
                }
                Err(error) => damaged.push((segment.id(), error)),
            }
        }
        let (leaving, mut list): (Vec<_>, Vec<_>) = list
            .into_iter()
            .partition(|segment| gone.contains(&segment.id()));
        // The largest first: most of what is found is found there.
        list.sort_by_key(|segment| std::cmp::Reverse(segment.entry_count()));
        self.segments = Snapshot(Arc::new(list));
        let known: Result<()> = leaving.iter().try_for_each(|segment| {
            segment
                .packs()?
                .iter()
                .for_each(|pack| self.forget(pack.id));
            Ok(())
        });
        if known.is_err() {
            // What the lost one said about packs cannot be read any more: count again.
            self.count_again(&mut damaged);
        }
        damaged
    }

    fn count(&mut self, packs: Vec<IndexedPack>) {
        for pack in packs {
            self.packs.entry(pack.id).or_insert((pack, 0)).1 += 1;
        }
    }

    fn forget(&mut self, pack: ObjectId) {
        if let Some((_, listed)) = self.packs.get_mut(&pack) {
            *listed -= 1;
            if *listed == 0 {
                self.packs.remove(&pack);
            }
        }
    }

    fn count_again(&mut self, damaged: &mut Vec<(ObjectId, Error)>) {
        self.packs.clear();
        let mut list = self.segments.0.to_vec();
        list.retain(|segment| match segment.packs() {
            Ok(packs) => {
                self.count(packs);
                true
            }
            Err(error) => {
                damaged.push((segment.id(), error));
                false
            }
        });
        self.segments = Snapshot(Arc::new(list));
    }

    pub fn lists_pack(&self, id: ObjectId) -> bool {
        self.packs.contains_key(&id)
    }

    /// Every pack that some segment speaks of.
    pub fn packs(&self) -> Vec<IndexedPack> {
        self.packs.values().map(|(pack, _)| *pack).collect()
    }
}

impl Snapshot {
    pub fn segments(&self) -> &[Arc<OpenSegment>] {
        &self.0
    }

    pub fn get(&self, id: ObjectId) -> Option<&Arc<OpenSegment>> {
        self.0.iter().find(|segment| segment.id() == id)
    }

    /// Where the chunk or node lies, in a pack that `usable` accepts. A segment that turns out to be damaged is told to
    /// `damaged`, and the others are asked all the same.
    #[inline]
    pub fn find(
        &self,
        prefix: Prefix,
        mut usable: impl FnMut(ObjectId) -> bool,
        mut damaged: impl FnMut(ObjectId, Error),
    ) -> Option<Place> {
        for segment in self.0.iter() {
            match segment.find(prefix, &mut usable) {
                Ok(None) => {}
                Ok(found) => return found,
                Err(error) => damaged(segment.id(), error),
            }
        }
        None
    }
}
