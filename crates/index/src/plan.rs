//! Which segments to merge: eight of like size and range become one, or eight that share the range between them.

use std::collections::BTreeMap;

use strongroom_chunk::ObjectId;

use crate::{OpenSegment, Snapshot};

const FAN_OUT_BITS: u32 = 3;
/// So many of like size are merged.
const FAN_OUT: usize = 1 << FAN_OUT_BITS;
const INPUTS_MAX: usize = 64;

/// Sizes that decide what is merged; tests have smaller ones.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Segments below this are of like size, however small.
    pub entries_small: u64,
    /// A merge that would make a larger segment makes eight, each with an eighth of the range of ids. Bounds the memory
    /// for a filter, and the length of an object.
    pub entries_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries_small: 1 << 15,
            entries_max: 1 << 24,
        }
    }
}

/// A merge to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub inputs: Vec<ObjectId>,
    /// Entries of all inputs.
    pub entries: u64,
    /// Another segment begins where these leading bits of the ids change.
    pub split_bits: u32,
}

/// The smallest merge that is due.
pub fn due(snapshot: &Snapshot, limits: Limits) -> Option<Due> {
    let mut groups: BTreeMap<(u32, u32, u64), Vec<&OpenSegment>> = BTreeMap::new();
    for segment in snapshot.segments() {
        let (depth, range) = range_of(segment, limits);
        let level = level(segment.entry_count(), limits);
        groups
            .entry((level, depth, range))
            .or_default()
            .push(segment);
    }
    let full = groups.into_iter().find(|(_, group)| group.len() >= FAN_OUT);
    full.map(|((_, depth, _), mut group)| {
        group.truncate(INPUTS_MAX);
        let entries = group.iter().map(|segment| segment.entry_count()).sum();
        Due {
            inputs: group.iter().map(|segment| segment.id()).collect(),
            entries,
            split_bits: if entries > limits.entries_max {
                FAN_OUT_BITS * (depth + 1)
            } else {
                0
            },
        }
    })
}

/// Segments of one level differ by less than a factor of eight.
fn level(entries: u64, limits: Limits) -> u32 {
    let ratio = entries / limits.entries_small;
    ratio
        .checked_ilog2()
        .map_or(0, |bits| 1 + bits / FAN_OUT_BITS)
}

/// How often the range of ids was split until it was this segment's, and which part it is. A few ids that
/// happen to be close are no range.
fn range_of(segment: &OpenSegment, limits: Limits) -> (u32, u64) {
    let Some((first, last)) = segment.span() else {
        return (0, 0);
    };
    if segment.entry_count() < limits.entries_max / 16 {
        return (0, 0);
    }
    let depth = (first.0[0] ^ last.0[0]).leading_zeros() / FAN_OUT_BITS;
    (
        depth,
        first.0[0]
            .checked_shr(64 - depth * FAN_OUT_BITS)
            .unwrap_or(0),
    )
}
