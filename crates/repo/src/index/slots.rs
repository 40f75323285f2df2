//! How many slots each pack has, so that a collection need not ask the packs.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError};

use strongroom_chunk::ObjectId;
use strongroom_index::slots_listed;

use super::Index;
use crate::Result;
use crate::repository::blocking;

#[derive(Debug, Default)]
pub(super) struct Slots {
    /// Segments that were read for it.
    counted: HashSet<ObjectId>,
    packs: HashMap<ObjectId, u32>,
}

impl Index {
    /// Slots of the packs that the segments in use speak of. Too low for a pack whose segments were lost in part.
    /// Each segment is read once by a process, where it lies; 4 bytes are kept for each pack.
    pub(crate) async fn slots(&self) -> Result<HashMap<ObjectId, u32>> {
        let snapshot = self.snapshot();
        let new = {
            let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let segments = snapshot.segments().iter();
            let new = segments.filter(|segment| !slots.counted.contains(&segment.id()));
            new.cloned().collect::<Vec<_>>()
        };
        for segment in new {
            let id = segment.id();
            let listed = blocking({
                let segment = Arc::clone(&segment);
                move || Ok(slots_listed(&segment))
            })
            .await?;
            match listed {
                Ok(listed) => self.count_slots(id, listed),
                Err(error) => self.refuse(id, &error),
            }
        }
        let listed = self.packs().into_iter().map(|pack| pack.id);
        let listed: HashSet<ObjectId> = listed.collect();
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.counted.retain(|id| snapshot.get(*id).is_some());
        slots.packs.retain(|id, _| listed.contains(id));
        Ok(slots.packs.clone())
    }

    fn count_slots(&self, segment: ObjectId, listed: HashMap<ObjectId, u32>) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.counted.insert(segment);
        for (pack, count) in listed {
            let known = slots.packs.entry(pack).or_default();
            *known = count.max(*known);
        }
    }
}
