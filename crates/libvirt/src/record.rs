//! What a domain is made of, as a backup remembers it.

use std::ops::Range;

use roxmltree::{Document, Node};
use strongroom_types::{
    Firmware, MachineDiskBus, MachineRecord, MachineSource, NetworkCard, RecordedDisk, VolumeId,
};

use crate::domain::child;
use crate::edit::{apply, without};
use crate::{Error, Result, Virsh};

/// Asks for the domain as it will start next. `disks` are those that are backed up, by libvirt's names, the system disk first.
/// Nothing that libvirt calls secret is asked for.
pub async fn record(virsh: &Virsh, disks: &[(VolumeId, String)]) -> Result<MachineRecord> {
    let xml = virsh.run("dumpxml", &["--inactive"]).await?;
    parse(&xml, disks)
}

pub(crate) fn parse(xml: &str, disks: &[(VolumeId, String)]) -> Result<MachineRecord> {
    let document = Document::parse(xml).map_err(|wrong| Error::strange(wrong.to_string()))?;
    let domain = document.root_element();
    let mut record = MachineRecord::unknown(MachineSource::Libvirt);
    record.name = text(domain, "name");
    let kind = child(domain, "os").and_then(|os| child(os, "type"));
    let word = |name: &str| {
        kind.and_then(|kind| kind.attribute(name))
            .map(str::to_owned)
    };
    record.architecture = word("arch");
    record.machine_type = word("machine");
    record.firmware = Some(firmware(domain));
    record.cpus = text(domain, "vcpu").and_then(|count| count.parse().ok());
    record.memory_mib = child(domain, "memory").and_then(memory_mib);
    let devices = child(domain, "devices");
    let devices = devices.ok_or_else(|| Error::strange("a domain without devices"))?;
    for (resource_id, target) in disks {
        let found = devices
            .children()
            .find(|node| node.has_tag_name("disk") && target_of(*node) == Some(target));
        if let Some(found) = found {
            record.disks.push(disk(resource_id.clone(), found));
        }
    }
    let cards = devices
        .children()
        .filter(|node| node.has_tag_name("interface"));
    record.network_cards = cards.map(card).collect();
    let kept = apply(xml, private_parts(domain, devices));
    record.libvirt_xml = Some(kept).filter(|xml| xml.len() <= MachineRecord::XML_BYTES_MAX);
    Ok(record)
}

pub(crate) fn target_of<'a>(disk: Node<'a, '_>) -> Option<&'a str> {
    child(disk, "target")?.attribute("dev")
}

fn text(node: Node<'_, '_>, name: &str) -> Option<String> {
    let text = child(node, name)?.text()?.trim();
    Some(text.to_owned())
}

/// QEMU's own firmware is SeaBIOS, unless the domain says otherwise.
fn firmware(domain: Node<'_, '_>) -> Firmware {
    let os = child(domain, "os");
    let is_wanted = os.and_then(|os| os.attribute("firmware")) == Some("efi");
    let loader = os.and_then(|os| child(os, "loader"));
    let is_flash = loader.and_then(|loader| loader.attribute("type")) == Some("pflash");
    if is_wanted || is_flash {
        Firmware::Uefi
    } else {
        Firmware::Bios
    }
}

/// None in other units: libvirt itself prints KiB.
fn memory_mib(memory: Node<'_, '_>) -> Option<u64> {
    let amount: u64 = memory.text()?.trim().parse().ok()?;
    match memory.attribute("unit") {
        None | Some("KiB") => Some(amount >> 10),
        Some("MiB") => Some(amount),
        Some("bytes") => Some(amount >> 20),
        _ => None,
    }
}

fn disk(resource_id: VolumeId, disk: Node<'_, '_>) -> RecordedDisk {
    let bus = child(disk, "target").and_then(|target| target.attribute("bus"));
    let boot = child(disk, "boot").and_then(|boot| boot.attribute("order"));
    RecordedDisk {
        resource_id,
        bus: bus.and_then(|bus| match bus {
            "virtio" => Some(MachineDiskBus::Virtio),
            "scsi" => Some(MachineDiskBus::Scsi),
            "sata" => Some(MachineDiskBus::Sata),
            "ide" => Some(MachineDiskBus::Ide),
            "usb" => Some(MachineDiskBus::Usb),
            _ => None,
        }),
        device: None,
        controller: None,
        target: target_of(disk).map(str::to_owned),
        boot_index: boot.and_then(|order| order.parse().ok()),
        serial: text(disk, "serial"),
    }
}

fn card(card: Node<'_, '_>) -> NetworkCard {
    let word = |element: &str, name: &str| {
        let element = child(card, element)?;
        element.attribute(name).map(str::to_owned)
    };
    NetworkCard {
        model: word("model", "type"),
        mac: word("mac", "address"),
    }
}

/// Where the disks lie, where the firmware keeps its variables, sockets of the host, and commands for QEMU in which anything may stand.
fn private_parts(domain: Node<'_, '_>, devices: Node<'_, '_>) -> Vec<(Range<usize>, String)> {
    let mut parts = Vec::new();
    for node in domain.children().filter(Node::is_element) {
        if node.tag_name().namespace().is_some() && node.tag_name().name() == "commandline" {
            parts.push(without(node));
        }
    }
    let nvram = child(domain, "os").and_then(|os| child(os, "nvram"));
    if let Some(path) = nvram.and_then(|nvram| nvram.first_child()) {
        parts.push(without(path));
    }
    for device in devices.children() {
        let private: &[&str] = match device.tag_name().name() {
            "disk" => &["source", "backingStore", "mirror"],
            "channel" if device.attribute("type") == Some("unix") => &["source"],
            _ => continue,
        };
        let inner = device.children().filter(Node::is_element);
        let inner = inner.filter(|node| private.contains(&node.tag_name().name()));
        parts.extend(inner.map(without));
    }
    parts
}
