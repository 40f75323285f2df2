//! Running QEMUs: their monitor, their guests' agents, and the state of their disks at one instant.
//!
//! [`Qmp`] and [`Agent`] are the two conversations. [`Machine`] is what a QEMU tells about itself. [`Snapshot`] makes an
//! instant over several disks and serves it by NBD, with what changed since the last point; [`leftovers()`] gives the
//! machine back whatever happened. One client at a time may use a QEMU so: names of ours are fixed.

mod agent;
mod bitmaps;
mod block;
mod command_file;
mod error;
mod leftovers;
mod lines;
mod machine;
mod names;
mod qmp;
mod recipe;
mod record;
mod snapshot;
mod steps;

pub use agent::{Agent, AgentInfo};
pub use bitmaps::{Changes, GRANULARITY, LastPoint, Whole, settle};
pub use block::Bitmap;
pub use command_file::command_file;
pub use error::{Error, Result};
pub use leftovers::{clear_folder, leftovers};
pub use machine::{Drive, Machine};
pub use qmp::{Event, Qmp, Version};
pub use record::record;
pub use snapshot::{DiskRequest, Failed, Quiesced, Recipe, Request, ServedDisk, Server, Snapshot};
pub use steps::Step;

#[cfg(test)]
mod tests;
