//! Index segments where they lie: mapped, checked block by block at first touch, searched and merged.
//!
//! Synchronous and without an object store: the engine fetches segments and stores what a merge makes of them.

mod batch;
mod catalog;
mod content;
mod error;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod merge;
mod plan;
mod segment;
mod slots;

pub use catalog::{Catalog, Snapshot};
pub use error::{Error, Result};
pub use merge::{Part, merge};
pub use plan::{Due, Limits, due};
pub use segment::OpenSegment;
pub use slots::slots_listed;

#[cfg(test)]
mod tests;
