use std::ops::Range;

use crate::PointId;

/// How far a verification looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyDepth {
    /// Every point's tree resolves, every chunk is indexed, every pack is there at its right length.
    Structure,
    /// In addition every pack is read, checked against its clear hashes, decrypted, decompressed and
    /// every chunk hashed.
    ReadData,
}

/// How far a verification has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VerifyProgress {
    pub packs_total: u64,
    pub packs_checked: u64,
    pub points_total: u64,
    pub points_checked: u64,
    pub bytes_read: u64,
}

/// What a verification found. Lists are bounded, counts are exact.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct VerifyReport {
    pub points_checked: u64,
    pub packs_checked: u64,
    pub bytes_read: u64,
    /// The damaged objects, at most [`VerifyReport::DAMAGE_MAX`] of them.
    pub damage: Vec<Damage>,
    /// Number of damaged objects.
    pub damage_count: u64,
    /// Points of which only the copy is there, at most [`VerifyReport::LONE_COPIES_MAX`]: deleted, or lost. Not damage;
    /// the next collection removes the copies.
    pub lone_copies: Vec<PointId>,
}

impl VerifyReport {
    pub const DAMAGE_MAX: usize = 1000;
    pub const LONE_COPIES_MAX: usize = 1000;

    pub fn is_clean(&self) -> bool {
        self.damage_count == 0
    }
}

/// One damaged object and whom it hits.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Damage {
    /// Name of the object in the store.
    pub object: String,
    pub problem: String,
    /// What a repair takes the loss from; nothing if it cannot be made good.
    pub remedy: Option<Remedy>,
    /// The points that cannot be restored whole, at most [`Damage::HITS_MAX`]; empty when nothing that
    /// a point needs is lost.
    pub hits: Vec<Hit>,
    /// Number of points hit.
    pub hit_count: u64,
}

/// Where a repair finds what damage took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Remedy {
    /// The pack's own parity.
    Parity,
    /// The other copy of the object.
    Copy,
    /// The packs, which say what an index segment repeats.
    Packs,
}

impl Damage {
    pub const HITS_MAX: usize = 1000;
}

/// The byte ranges of one point that cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Hit {
    pub point: PointId,
    /// Sorted, merged, at most [`Hit::RANGES_MAX`].
    pub ranges: Vec<Range<u64>>,
    /// Sum of the lengths of all ranges hit.
    pub bytes: u64,
}

impl Hit {
    pub const RANGES_MAX: usize = 1000;
}
