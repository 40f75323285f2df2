//! How many slots packs have, from what the index says of them.

use std::collections::HashMap;

use strongroom_chunk::ObjectId;

use crate::merge::Cursor;
use crate::{OpenSegment, Result};

/// For each pack that the segment speaks of, one more than the highest slot that it lists. Segments that divide the ids
/// between them list a part of each pack: the largest of their numbers counts. Reads all entries.
pub fn slots_listed(segment: &OpenSegment) -> Result<HashMap<ObjectId, u32>> {
    let packs = segment.packs()?;
    let same = (0..).zip(&packs).map(|(number, _)| Some(number)).collect();
    let mut slots = vec![0u32; packs.len()];
    let mut entries = Cursor::new(segment, same);
    while let Some(entry) = entries.next()? {
        let number = usize::try_from(entry.pack).expect("u32 fits");
        slots[number] = slots[number].max(entry.slot.saturating_add(1));
    }
    let packs = packs.into_iter().map(|pack| pack.id);
    Ok(packs.zip(slots).collect())
}
