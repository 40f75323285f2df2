//! Domains that libvirt runs: what it says about them, and the state of their disks at one instant.
//!
//! libvirt keeps QEMU's monitor to itself, so it is asked for all of it, by its own client: [`Virsh`] runs `virsh`, which knows each
//! way to a libvirt. [`Domain`] is a machine as libvirt describes it. [`Snapshot`] makes an instant over several disks, which QEMU
//! serves by NBD with what changed since the last point; [`leftovers()`] gives the machine back whatever happened. One client
//! at a time may use a domain so.

mod checkpoints;
mod definition;
mod domain;
mod edit;
mod error;
mod leftovers;
mod record;
mod request;
mod snapshot;
mod virsh;

pub use checkpoints::settle;
pub use definition::definition;
pub use domain::{Disk, Domain, State, answers};
pub use error::{Error, Result};
pub use leftovers::{clear_folder, leftovers};
pub use record::record;
pub use request::{DiskRequest, Freeze, LastPoint, Request};
pub use snapshot::{Changes, Quiesced, ServedDisk, Snapshot, Whole};
pub use virsh::{Virsh, define};

#[cfg(test)]
mod tests;
