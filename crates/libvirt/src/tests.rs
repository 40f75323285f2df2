//! Against a real libvirt, whose QEMUs emulate.

mod linux_guest;
mod snapshot;
mod world;
