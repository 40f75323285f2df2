//! Block sources and sinks: raw and sparse files, block devices, qcow2.
//!
//! A [`BlockSource`] is where a backup reads a disk, a [`BlockSink`] is where a restore writes one.
//! All calls block; async callers run them on blocking threads. Images are opened under QEMU's own
//! image locks, so that a disk is neither read while a machine writes it nor started while it is
//! being restored.

mod api;
mod error;
mod file;
mod image;
mod lock;
mod qcow2;
mod raw;

pub use api::{BlockSink, BlockSource, Extent, ExtentKind};
pub use error::{Error, Result};
pub use image::{ImageInfo, create_raw, is_in_use, open_sink, open_source, probe};
pub use qcow2::{CLUSTER as QCOW2_CLUSTER, DataClusters, Qcow2Layout};
pub use qcow2::{Known, Marks, create_qcow2, open_marked};

#[cfg(test)]
mod tests;
