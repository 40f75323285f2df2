//! The definition of a domain that is like a recorded machine.

use roxmltree::{Document, Node};
use strongroom_types::{
    Firmware, MachineDiskBus, MachineRecord, MachineSource, NetworkCard, NewMachine,
    NewMachineDisk, VolumeFormat,
};

use crate::domain::child;
use crate::edit::{apply, escaped, without};
use crate::record::target_of;
use crate::{Error, Result};

/// Where the record says nothing.
const CPUS: u64 = 1;
const MEMORY_MIB: u64 = 1024;
const MACHINE_TYPE: &str = "pc";

/// The recorded domain under another name and UUID, with these disks and no others. Network cards have no addresses, so that libvirt gives
/// them some of their own, and hang on what they hung on. What QEMU alone has told is put into a new domain, whose cards hang on nothing.
pub fn definition(record: &MachineRecord, new: &NewMachine) -> Result<String> {
    match &record.libvirt_xml {
        Some(xml) => rewritten(xml, record, new),
        None => Ok(written(record, new)),
    }
}

fn rewritten(xml: &str, record: &MachineRecord, new: &NewMachine) -> Result<String> {
    let document = Document::parse(xml).map_err(|wrong| Error::strange(wrong.to_string()))?;
    let domain = document.root_element();
    let name = child(domain, "name").ok_or_else(|| Error::strange("a domain without a name"))?;
    let devices = child(domain, "devices");
    let devices = devices.ok_or_else(|| Error::strange("a domain without devices"))?;
    let identity = format!(
        "<name>{}</name>\n  <uuid>{}</uuid>",
        escaped(&new.name),
        escaped(&new.uuid)
    );
    let mut edits = vec![(name.range(), identity)];
    edits.extend(child(domain, "uuid").map(without));
    for device in devices.children() {
        match device.tag_name().name() {
            "disk" => match disk_of(device, record, new) {
                Some(disk) => edits.extend(disk_edits(device, disk)),
                None => edits.push(without(device)),
            },
            "interface" => edits.extend(child(device, "mac").map(without)),
            _ => {}
        }
    }
    let end = devices.last_child().map(|last| last.range().end);
    let end = end.ok_or_else(|| Error::strange("a domain without devices"))?;
    edits.push((end..end, added_disks(devices, record, new)));
    Ok(apply(xml, edits))
}

/// Those that the domain did not have when it was recorded: they were added while it ran, or behind its last record.
fn added_disks(devices: Node<'_, '_>, record: &MachineRecord, new: &NewMachine) -> String {
    let old: Vec<_> = devices.children().filter_map(target_of).collect();
    let is_there = |disk: &NewMachineDisk| {
        let recorded = record.disk(&disk.resource_id);
        let target = recorded.and_then(|recorded| recorded.target.as_deref());
        target.is_some_and(|target| old.contains(&target))
    };
    let added = new.disks.iter().filter(|disk| !is_there(disk));
    let targets = (0..).map(|number| format!("vd{}", letters_of(number)));
    let free = targets.filter(|target| !old.contains(&target.as_str()));
    let disks = added.zip(free).map(|(disk, target)| {
        format!(
            "  <disk type=\"file\" device=\"disk\">\n      {}\n      <target dev=\"{target}\" bus=\"virtio\"/>\n    </disk>\n  ",
            driver_and_source(disk)
        )
    });
    disks.collect()
}

/// Which of the new disks stands for one of the recorded domain.
fn disk_of<'a>(
    device: Node<'_, '_>,
    record: &MachineRecord,
    new: &'a NewMachine,
) -> Option<&'a NewMachineDisk> {
    let target = target_of(device)?;
    let mut recorded = record.disks.iter();
    let recorded = recorded.find(|disk| disk.target.as_deref() == Some(target))?;
    let mut disks = new.disks.iter();
    disks.find(|disk| disk.resource_id == recorded.resource_id)
}

fn disk_edits(device: Node<'_, '_>, disk: &NewMachineDisk) -> Vec<crate::edit::Edit> {
    let mut edits = Vec::new();
    // It may have been a device of the host.
    let kind = device.attribute_node("type").map(|kind| kind.range_value());
    edits.extend(kind.map(|range| (range, "file".to_owned())));
    let parts = driver_and_source(disk);
    let driver = child(device, "driver").map(|driver| driver.range());
    let inner = device.first_child().map(|first| first.range().start);
    let place = driver.or(inner.map(|at| at..at));
    edits.extend(place.map(|place| (place, parts)));
    edits
}

fn driver_and_source(disk: &NewMachineDisk) -> String {
    let format = match disk.format {
        VolumeFormat::Raw => "raw",
        VolumeFormat::Qcow2 => "qcow2",
    };
    let path = escaped(&disk.path);
    format!(
        "<driver name=\"qemu\" type=\"{format}\" discard=\"unmap\"/>\n      <source file=\"{path}\"/>"
    )
}

fn written(record: &MachineRecord, new: &NewMachine) -> String {
    let uefi = record.firmware == Some(Firmware::Uefi);
    let firmware = if uefi { " firmware=\"efi\"" } else { "" };
    let architecture = record.architecture.as_deref().unwrap_or("x86_64");
    let machine = record.machine_type.as_deref().unwrap_or(MACHINE_TYPE);
    let disks = new.disks.iter().enumerate();
    let disks: String = disks
        .map(|(number, disk)| written_disk(number, disk, record))
        .collect();
    let cards: String = record
        .network_cards
        .iter()
        .map(|card| written_card(card, record.source))
        .collect();
    format!(
        "<domain type=\"kvm\">\n  <name>{name}</name>\n  <uuid>{uuid}</uuid>\n  <memory unit=\"MiB\">{memory}</memory>\n  \
         <vcpu>{cpus}</vcpu>\n  <os{firmware}>\n    <type arch=\"{architecture}\" machine=\"{machine}\">hvm</type>\n  </os>\n  \
         <features>\n    <acpi/>\n    <apic/>\n  </features>\n  <devices>\n{disks}{cards}    \
         <channel type=\"unix\">\n      <target type=\"virtio\" name=\"org.qemu.guest_agent.0\"/>\n    </channel>\n    \
         <console type=\"pty\"/>\n    <graphics type=\"vnc\"/>\n  </devices>\n</domain>\n",
        name = escaped(&new.name),
        uuid = escaped(&new.uuid),
        memory = record.memory_mib.unwrap_or(MEMORY_MIB),
        cpus = record.cpus.unwrap_or(CPUS),
        architecture = escaped(architecture),
        machine = escaped(machine),
    )
}

fn written_disk(number: usize, disk: &NewMachineDisk, record: &MachineRecord) -> String {
    let recorded = record.disk(&disk.resource_id);
    let (bus, letters) = match recorded.and_then(|disk| disk.bus) {
        // libvirt knows NVMe as devices of the host alone.
        None | Some(MachineDiskBus::Virtio | MachineDiskBus::Nvme) => ("virtio", "vd"),
        Some(MachineDiskBus::Scsi) => ("scsi", "sd"),
        Some(MachineDiskBus::Sata) => ("sata", "sd"),
        Some(MachineDiskBus::Ide) => ("ide", "hd"),
        Some(MachineDiskBus::Usb) => ("usb", "sd"),
    };
    let serial = recorded.and_then(|disk| disk.serial.as_deref());
    let serial = serial.map(|serial| format!("\n      <serial>{}</serial>", escaped(serial)));
    let letter = letters_of(number);
    format!(
        "    <disk type=\"file\" device=\"disk\">\n      {}\n      <target dev=\"{letters}{letter}\" bus=\"{bus}\"/>\n      \
         <boot order=\"{}\"/>{}\n    </disk>\n",
        driver_and_source(disk),
        number + 1,
        serial.unwrap_or_default(),
    )
}

/// As Linux goes on behind the alphabet's end: `z`, `aa`, `ab`.
fn letters_of(number: usize) -> String {
    let letter = |number: usize| char::from(b'a' + u8::try_from(number % 26).unwrap_or_default());
    match number / 26 {
        0 => letter(number).to_string(),
        before => format!("{}{}", letters_of(before - 1), letter(number)),
    }
}

/// It hangs on nothing: where it was connected, QEMU alone knows.
fn written_card(card: &NetworkCard, source: MachineSource) -> String {
    let model = card.model.as_deref().unwrap_or("virtio");
    let is_virtio = source == MachineSource::Qemu && model.starts_with("virtio-net");
    let model = if is_virtio { "virtio" } else { model };
    format!(
        "    <interface type=\"user\">\n      <model type=\"{}\"/>\n      <link state=\"down\"/>\n    </interface>\n",
        escaped(model)
    )
}
