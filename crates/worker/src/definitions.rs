//! What starts a machine that is like a recorded one: a command for QEMU, a domain for libvirt.

use strongroom_types::{MachineRecord, NewMachine};

/// The machine's record cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the definition of the machine cannot be made")]
pub struct Unreadable(#[source] strongroom_libvirt::Error);

/// A script of the shell that becomes QEMU; `$@` are more options.
pub fn command_file(record: &MachineRecord, new: &NewMachine) -> String {
    strongroom_qemu::command_file(record, new)
}

/// XML for `virsh define`.
pub fn domain(record: &MachineRecord, new: &NewMachine) -> Result<String, Unreadable> {
    strongroom_libvirt::definition(record, new).map_err(Unreadable)
}
