//! What a domain is made of, as a backup remembers it.

use roxmltree::{Document, Node};
use strongroom_types::{
    Firmware, MachineDiskBus, MachineRecord, MachineSource, NetworkCard, RecordedDisk, VolumeId,
};

use crate::domain::{Domain, child};
use crate::edit::{Edit, apply, escaped, without};
use crate::{Error, Result};

/// Of the domain as it will start next. `disks` are those that are backed up, by libvirt's names, the system disk first.
pub fn record(domain: &Domain, disks: &[(VolumeId, String)]) -> Result<MachineRecord> {
    parse(&domain.definition, disks)
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
    record.firmware = firmware(domain);
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

/// QEMU's own firmware is SeaBIOS. Another that is no flash memory may be anything.
fn firmware(domain: Node<'_, '_>) -> Option<Firmware> {
    let os = child(domain, "os");
    let is_wanted = os.and_then(|os| os.attribute("firmware")) == Some("efi");
    let loader = os.and_then(|os| child(os, "loader"));
    let is_flash = loader.and_then(|loader| loader.attribute("type")) == Some("pflash");
    if is_wanted || is_flash {
        return Some(Firmware::Uefi);
    }
    loader.is_none().then_some(Firmware::Bios)
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

/// Where disks lie and how they were locked, where the firmware keeps its variables, the host's ends of devices, what ties a device to
/// one machine, and words for the guest or for QEMU in which anything may stand.
fn private_parts(domain: Node<'_, '_>, devices: Node<'_, '_>) -> Vec<Edit> {
    let mut parts = Vec::new();
    for node in domain.children().filter(Node::is_element) {
        let is_for_qemu = node.tag_name().namespace().is_some();
        match node.tag_name().name() {
            "commandline" if is_for_qemu => parts.push(without(node)),
            "sysinfo" => parts.push(without(node)),
            "os" => {
                // Who says `sysinfo` needs it.
                parts.extend(child(node, "smbios").map(without));
                parts.extend(child(node, "nvram").map(without_variables));
            }
            _ => {}
        }
    }
    for device in devices.children().filter(Node::is_element) {
        device_parts(device, &mut parts);
    }
    parts
}

/// The file of the variables is the old machine's; what a new one begins with may be named beside it.
fn without_variables(nvram: Node<'_, '_>) -> Edit {
    let template = nvram.attribute_node("template");
    match template.filter(|_| nvram.attribute("type").is_none()) {
        Some(template) => (
            nvram.range(),
            format!("<nvram template='{}'/>", escaped(template.value())),
        ),
        None => without(nvram),
    }
}

fn device_parts(device: Node<'_, '_>, parts: &mut Vec<Edit>) {
    const HOSTS_ENDS: &[&str] = &["source", "protocol", "log"];
    let private: &[&str] = match device.tag_name().name() {
        // A backup is of what the guest sees: nothing of it is locked.
        "disk" => &[
            "source",
            "backingStore",
            "mirror",
            "encryption",
            "auth",
            "transient",
        ],
        "channel" => HOSTS_ENDS,
        "serial" | "console" | "parallel" => {
            let kind = device.attribute_node("type");
            parts.extend(kind.map(|kind| (kind.range_value(), "pty".to_owned())));
            HOSTS_ENDS
        }
        "filesystem" => {
            parts.push(without(device));
            return;
        }
        "interface" => {
            let port = child(device, "virtualport");
            parts.extend(port.and_then(|port| child(port, "parameters")).map(without));
            return;
        }
        "vsock" => {
            let number = child(device, "cid");
            parts.extend(number.map(|number| (number.range(), "<cid auto='yes'/>".to_owned())));
            return;
        }
        _ => return,
    };
    let inner = device.children().filter(Node::is_element);
    let inner = inner.filter(|node| private.contains(&node.tag_name().name()));
    parts.extend(inner.map(without));
}
