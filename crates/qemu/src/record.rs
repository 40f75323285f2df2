//! What a running QEMU tells of the machine that it is, beyond its disks' content.

use serde::Deserialize;
use serde_json::{Value, json};
use strongroom_types::{
    Firmware, MachineDiskBus, MachineRecord, MachineSource, NetworkCard, RecordedDisk, VolumeId,
};

use crate::machine::property;
use crate::{Drive, Machine, Qmp, Result};

/// Where QEMU keeps the devices that were given names, those that were not, and its own.
const DEVICES: [&str; 3] = [
    "/machine/peripheral",
    "/machine/peripheral-anon",
    "/machine/unattached",
];

#[derive(Deserialize)]
struct Target {
    arch: String,
}

#[derive(Deserialize)]
struct Memory {
    #[serde(rename = "base-memory")]
    base: u64,
    #[serde(rename = "plugged-memory", default)]
    plugged: u64,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `disks` are those of the drives that are backed up, the system disk first. Changes nothing.
pub async fn record(
    qmp: &mut Qmp,
    machine: &Machine,
    disks: &[(VolumeId, &Drive)],
) -> Result<MachineRecord> {
    let mut record = MachineRecord::unknown(MachineSource::Qemu);
    record.name.clone_from(&machine.name);
    let target: Option<Target> = known(qmp, "query-target").await?;
    record.architecture = target.map(|target| target.arch);
    let kind: Option<String> = property(qmp, "/machine", "type").await?;
    record.machine_type =
        kind.map(|kind| kind.strip_suffix("-machine").unwrap_or(&kind).to_owned());
    let cpus: Option<Vec<Value>> = known(qmp, "query-cpus-fast").await?;
    record.cpus = cpus.map(|cpus| cpus.len() as u64);
    let memory: Option<Memory> = known(qmp, "query-memory-size-summary").await?;
    record.memory_mib = memory.map(|memory| (memory.base + memory.plugged) >> 20);
    record.firmware = firmware(qmp).await?;
    for (resource_id, drive) in disks {
        let disk = disk(qmp, resource_id.clone(), drive).await?;
        record.disks.push(disk);
    }
    record.network_cards = network_cards(qmp).await?;
    Ok(record)
}

async fn known<A: serde::de::DeserializeOwned>(qmp: &mut Qmp, command: &str) -> Result<Option<A>> {
    match qmp.execute(command, json!({})).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_refusal() => Ok(None),
        Err(error) => Err(error),
    }
}

/// A PC with flash memory boots UEFI from it. Without, its firmware is a file: SeaBIOS by its name, others may be anything.
async fn firmware(qmp: &mut Qmp) -> Result<Option<Firmware>> {
    let flash: Option<String> = property(qmp, "/machine", "pflash0").await?;
    if flash.is_some_and(|drive| !drive.is_empty()) {
        return Ok(Some(Firmware::Uefi));
    }
    let file: Option<String> = property(qmp, "/machine", "firmware").await?;
    Ok(match file.as_deref() {
        Some("bios.bin" | "bios-256k.bin") => Some(Firmware::Bios),
        _ => None,
    })
}

/// The drive's own object may be the backend of a device, `…/DEVICE/virtio-backend`: what was asked for is the device.
async fn disk(qmp: &mut Qmp, resource_id: VolumeId, drive: &Drive) -> Result<RecordedDisk> {
    let path = drive.device.strip_suffix("/virtio-backend");
    let path = path.unwrap_or(&drive.device);
    let device: Option<String> = property(qmp, path, "type").await?;
    let bus: Option<String> = property(qmp, path, "parent_bus").await?;
    let controller = match bus.as_deref().and_then(|bus| bus.rsplit_once('/')) {
        Some((controller, _)) => property::<String>(qmp, controller, "type").await?,
        None => None,
    };
    // A SCSI controller for VirtIO is two devices, one in the other, as a disk for VirtIO is.
    let controller = match controller.as_deref() {
        Some("virtio-scsi-device") => Some("virtio-scsi-pci".to_owned()),
        _ => controller,
    };
    let bus = device.as_deref().and_then(|device| {
        let controller = controller.as_deref().unwrap_or_default();
        bus_of(device, controller)
    });
    // Others hang on the bus of the board.
    let has_controller = matches!(bus, Some(MachineDiskBus::Scsi));
    let serial: Option<String> = property(qmp, &drive.device, "serial").await?;
    Ok(RecordedDisk {
        resource_id,
        bus,
        device,
        controller: controller.filter(|_| has_controller),
        target: None,
        boot_index: drive.boot_index,
        serial: serial.filter(|serial| !serial.is_empty()),
    })
}

fn bus_of(device: &str, controller: &str) -> Option<MachineDiskBus> {
    let is_ahci = controller.ends_with("ahci");
    match device {
        "scsi-hd" if controller == "usb-storage" => Some(MachineDiskBus::Usb),
        "scsi-hd" | "scsi-block" => Some(MachineDiskBus::Scsi),
        "ide-hd" if is_ahci => Some(MachineDiskBus::Sata),
        "ide-hd" => Some(MachineDiskBus::Ide),
        "nvme" | "nvme-ns" => Some(MachineDiskBus::Nvme),
        "usb-storage" => Some(MachineDiskBus::Usb),
        _ if device.starts_with("virtio-blk") => Some(MachineDiskBus::Virtio),
        _ => None,
    }
}

/// They are the devices with an address, in the order in which QEMU lists them.
async fn network_cards(qmp: &mut Qmp) -> Result<Vec<NetworkCard>> {
    let mut cards = Vec::new();
    for folder in DEVICES {
        let devices: Vec<Object> = qmp.execute("qom-list", json!({"path": folder})).await?;
        for device in devices {
            let Some(kind) = device.kind.strip_prefix("child<") else {
                continue;
            };
            let kind = kind.trim_end_matches('>');
            if matches!(kind, "irq" | "memory-region") {
                continue;
            }
            let path = format!("{folder}/{}", device.name);
            let mac: Option<String> = property(qmp, &path, "mac").await?;
            if let Some(mac) = mac {
                cards.push(NetworkCard {
                    model: Some(kind.to_owned()),
                    mac: Some(mac.to_ascii_lowercase()),
                });
            }
        }
    }
    Ok(cards)
}
