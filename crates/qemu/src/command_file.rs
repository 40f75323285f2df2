//! The command that runs a machine like a recorded one, as a script of the shell.

use std::fmt::Write as _;

use serde_json::json;
use strongroom_types::{
    Firmware, MachineDiskBus, MachineRecord, MachineSource, NewMachine, NewMachineDisk,
    RecordedDisk, VolumeFormat,
};

/// Where the record says nothing.
const CPUS: u64 = 1;
const MEMORY_MIB: u64 = 1024;
const MACHINE_TYPE: &str = "pc";
const NETWORK_CARD: &str = "virtio-net-pci";
/// Debian's place for it. What it keeps beside the disks is not backed up: it finds what it boots by the disk's own entry for that.
const UEFI: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";

const HEAD: &str = r#"#!/bin/sh
# Made by Strongroom from what a backup knows of its machine. More options of QEMU may follow the script's name.
#   QEMU         the program
#   ACCELERATOR  who runs the guest's instructions; without it KVM if it is there, else QEMU itself
#   NETWORK_0    what the first network card hangs on, "bridge,br=br0"; without it, on nothing outside
#   MAC_0        its address
#   UEFI         the file of the firmware, where it is one
set -eu
"#;

/// A script that becomes QEMU. What the record does not say is as QEMU has it, on a PC with 1024 MiB; network cards have addresses
/// of their own, and no way out until somebody gives them one, for the recorded machine may still run.
pub fn command_file(record: &MachineRecord, new: &NewMachine) -> String {
    let mut script = HEAD.to_owned();
    let architecture = record.architecture.as_deref().filter(|word| is_word(word));
    let mut command = Command::new(architecture.unwrap_or("x86_64"));
    command.add("-name", &format!("guest={}", escaped(&new.name)));
    command.add("-uuid", &escaped(&new.uuid));
    let machine = record.machine_type.as_deref().filter(|word| is_word(word));
    command.add("-machine", machine.unwrap_or(MACHINE_TYPE));
    command.line("-accel \"${ACCELERATOR:-kvm}\" -accel tcg -cpu max");
    command.add("-smp", &record.cpus.unwrap_or(CPUS).to_string());
    command.add("-m", &record.memory_mib.unwrap_or(MEMORY_MIB).to_string());
    command.line("-nodefaults -device VGA -serial mon:stdio");
    if record.firmware == Some(Firmware::Uefi) {
        let file = format!("${{UEFI:-{UEFI}}}");
        command.line(&format!(
            "-drive \"if=pflash,format=raw,unit=0,readonly=on,file={file}\""
        ));
    }
    if let Some(monitor) = &new.monitor {
        let monitor = escaped(monitor);
        command.add("-qmp", &format!("unix:{monitor},server=on,wait=off"));
    }
    add_disks(&mut command, record, &new.disks);
    add_network(&mut command, record, new);
    script.push_str(&command.text);
    script.push_str("    \"$@\"\n");
    script
}

/// The words of one command, a line for each option.
struct Command {
    text: String,
}

impl Command {
    fn new(architecture: &str) -> Self {
        let text = format!("exec \"${{QEMU:-qemu-system-{architecture}}}\" \\\n");
        Self { text }
    }

    /// What the shell shall take as it is.
    fn line(&mut self, words: &str) {
        writeln!(self.text, "    {words} \\").expect("a text grows");
    }

    fn add(&mut self, option: &str, value: &str) {
        self.line(&format!("{option} {}", quoted(value)));
    }
}

fn add_disks(command: &mut Command, record: &MachineRecord, disks: &[NewMachineDisk]) {
    // Where nobody said which disk is tried first, it is the system disk.
    let is_ordered = record.disks.iter().any(|disk| disk.boot_index.is_some());
    let mut controllers = Vec::new();
    let mut sata_ports = 0..;
    for (number, disk) in disks.iter().enumerate() {
        let node = format!("disk{number}");
        command.add("-blockdev", &node_of(&node, disk));
        let recorded = record.disk(&disk.resource_id);
        let bus = recorded.and_then(|disk| disk.bus);
        let bus = bus.unwrap_or(MachineDiskBus::Virtio);
        if let Some(controller) = controller_of(bus, recorded)
            && !controllers.contains(&controller)
        {
            command.add("-device", &controller);
            controllers.push(controller);
        }
        let mut options = vec![device_of(bus).to_owned(), format!("drive={node}")];
        if bus == MachineDiskBus::Sata {
            let port: u32 = sata_ports.next().unwrap_or_default();
            options.push(format!("bus=sata.{port}"));
        }
        if let Some(serial) = serial_of(bus, recorded, &node) {
            options.push(format!("serial={}", escaped(serial)));
        }
        let index = recorded.and_then(|disk| disk.boot_index);
        if let Some(index) = index.or((!is_ordered).then_some(number as u64)) {
            options.push(format!("bootindex={index}"));
        }
        command.add("-device", &options.join(","));
    }
}

/// What the board does not have by itself.
fn controller_of(bus: MachineDiskBus, recorded: Option<&RecordedDisk>) -> Option<String> {
    let recorded = recorded.and_then(|disk| disk.controller.as_deref());
    let controller = match bus {
        MachineDiskBus::Scsi => recorded
            .filter(|word| is_word(word))
            .unwrap_or("virtio-scsi-pci"),
        MachineDiskBus::Sata => "ich9-ahci,id=sata",
        MachineDiskBus::Usb => "qemu-xhci",
        MachineDiskBus::Virtio | MachineDiskBus::Ide | MachineDiskBus::Nvme => return None,
    };
    Some(controller.to_owned())
}

const fn device_of(bus: MachineDiskBus) -> &'static str {
    match bus {
        MachineDiskBus::Virtio => "virtio-blk-pci",
        MachineDiskBus::Scsi => "scsi-hd",
        MachineDiskBus::Sata | MachineDiskBus::Ide => "ide-hd",
        MachineDiskBus::Nvme => "nvme",
        MachineDiskBus::Usb => "usb-storage",
    }
}

fn serial_of<'a>(
    bus: MachineDiskBus,
    recorded: Option<&'a RecordedDisk>,
    node: &'a str,
) -> Option<&'a str> {
    let serial = recorded.and_then(|disk| disk.serial.as_deref());
    match bus {
        // One of this kind has to have some.
        MachineDiskBus::Nvme => Some(serial.unwrap_or(node)),
        // The device inside has it, which cannot be reached.
        MachineDiskBus::Usb => None,
        _ => serial,
    }
}

/// JSON, in which a path needs no other rules than its own.
fn node_of(node: &str, disk: &NewMachineDisk) -> String {
    let driver = match disk.format {
        VolumeFormat::Raw => "raw",
        VolumeFormat::Qcow2 => "qcow2",
    };
    let file = json!({"driver": "file", "filename": disk.path});
    json!({"driver": driver, "node-name": node, "file": file, "discard": "unmap"}).to_string()
}

fn add_network(command: &mut Command, record: &MachineRecord, new: &NewMachine) {
    for (number, card) in record.network_cards.iter().enumerate() {
        let backend = format!("\"${{NETWORK_{number}:-user,restrict=on}},id=network{number}\"");
        command.line(&format!("-netdev {backend}"));
        let model = match record.source {
            MachineSource::Qemu => card.model.as_deref().filter(|word| is_word(word)),
            MachineSource::Libvirt => card.model.as_deref().and_then(card_of),
        };
        let model = model.unwrap_or(NETWORK_CARD);
        let mac = new.mac(number);
        command.line(&format!(
            "-device \"{model},netdev=network{number},mac=${{MAC_{number}:-{mac}}}\""
        ));
    }
}

/// libvirt's words for network cards.
fn card_of(model: &str) -> Option<&'static str> {
    match model {
        "virtio" | "virtio-non-transitional" | "virtio-transitional" => Some(NETWORK_CARD),
        "e1000" => Some("e1000"),
        "e1000e" => Some("e1000e"),
        "rtl8139" => Some("rtl8139"),
        "vmxnet3" => Some("vmxnet3"),
        _ => None,
    }
}

/// A name of a type, and nothing that QEMU or the shell would read as more.
fn is_word(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !word.is_empty() && !word.starts_with('-') && word.chars().all(is_plain)
}

/// In a list of QEMU's options, a comma is written twice.
fn escaped(value: &str) -> String {
    value.replace(',', ",,")
}

/// One word for the shell, whatever it holds.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}
