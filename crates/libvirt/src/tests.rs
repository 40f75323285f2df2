//! Against a real libvirt, whose QEMUs emulate.

mod definition;
mod linux_guest;
mod snapshot;
mod words;
mod world;
