//! What the machine of a backup was made of, so that another one can be made like it.

use serde::{Deserialize, Serialize};

use crate::VolumeId;

/// What a running machine told when it was backed up. What could not be known is absent; nothing is guessed.
///
/// It is kept with backups for as long as they live: members are only ever added, with a default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct MachineRecord {
    /// Of this shape: [`MachineRecord::VERSION`].
    pub version: u32,
    pub source: MachineSource,
    pub name: Option<String>,
    /// QEMU's word for the processor, `x86_64`.
    pub architecture: Option<String>,
    /// QEMU's type of the machine, `pc-q35-10.0`.
    pub machine_type: Option<String>,
    pub firmware: Option<Firmware>,
    pub cpus: Option<u64>,
    pub memory_mib: Option<u64>,
    /// Those that were backed up, the system disk first.
    pub disks: Vec<RecordedDisk>,
    pub network_cards: Vec<NetworkCard>,
    /// The domain as libvirt keeps it, without places and secrets; at most [`MachineRecord::XML_BYTES_MAX`].
    #[serde(default)]
    pub libvirt_xml: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct RecordedDisk {
    pub resource_id: VolumeId,
    pub bus: Option<MachineDiskBus>,
    /// QEMU's type of the device, `virtio-blk-pci`.
    pub device: Option<String>,
    /// QEMU's type of the controller that the device hangs on, `virtio-scsi-pci`.
    pub controller: Option<String>,
    /// libvirt's name for it, `vda`.
    pub target: Option<String>,
    /// The smaller, the earlier the firmware tries it.
    pub boot_index: Option<u64>,
    pub serial: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
pub struct NetworkCard {
    /// Of a QEMU its type of the device, `virtio-net-pci`; of a domain libvirt's word, `virtio`.
    pub model: Option<String>,
    /// `52:54:00:12:34:56`
    pub mac: Option<String>,
}

/// Who was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MachineSource {
    Qemu,
    Libvirt,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Firmware {
    Bios,
    Uefi,
}

/// How the guest sees a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "utoipa", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum MachineDiskBus {
    Virtio,
    Scsi,
    Sata,
    Ide,
    Nvme,
    Usb,
}

/// A machine that is made like a recorded one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMachine {
    pub name: String,
    /// Of its own: two machines with one UUID are taken for one.
    pub uuid: String,
    /// Where its QEMU shall have a monitor; none for a domain, whose monitor is libvirt's.
    pub monitor: Option<String>,
    /// The system disk first.
    pub disks: Vec<NewMachineDisk>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMachineDisk {
    /// The disk that it is a copy of.
    pub resource_id: VolumeId,
    /// An absolute path.
    pub path: String,
    pub format: crate::VolumeFormat,
}

impl MachineRecord {
    pub const VERSION: u32 = 1;
    /// Domains have a few KiB; far larger ones are kept without it.
    pub const XML_BYTES_MAX: usize = 256 << 10;

    /// Nothing is known.
    pub fn unknown(source: MachineSource) -> Self {
        Self {
            version: Self::VERSION,
            source,
            name: None,
            architecture: None,
            machine_type: None,
            firmware: None,
            cpus: None,
            memory_mib: None,
            disks: Vec::new(),
            network_cards: Vec::new(),
            libvirt_xml: None,
        }
    }

    pub fn disk(&self, resource_id: &VolumeId) -> Option<&RecordedDisk> {
        self.disks
            .iter()
            .find(|disk| disk.resource_id == *resource_id)
    }
}

impl NewMachine {
    /// An address for its network card of this number, which no card of the recorded machine has. It follows from the UUID, so
    /// that the same machine has the same one whenever its definition is written.
    pub fn mac(&self, card: usize) -> String {
        // FNV-1a: all that is asked of it is that other machines most likely get others.
        let bytes = self.uuid.bytes().chain(card.to_le_bytes());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let [_, _, _, _, _, a, b, c] = hash.to_be_bytes();
        format!("52:54:00:{a:02x}:{b:02x}:{c:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_an_older_version_is_read() {
        let old = r#"{"version":1,"source":"qemu","disks":[],"network_cards":[]}"#;
        let record: MachineRecord = serde_json::from_str(old).unwrap();
        assert_eq!(record, MachineRecord::unknown(MachineSource::Qemu));
    }

    #[test]
    fn machines_have_network_cards_of_their_own() {
        let machine = |uuid: &str| NewMachine {
            name: String::new(),
            uuid: uuid.to_owned(),
            monitor: None,
            disks: Vec::new(),
        };
        let (one, other) = (machine("a"), machine("b"));
        assert!(one.mac(0).starts_with("52:54:00:"));
        assert_eq!(one.mac(0).len(), 17);
        assert_eq!(one.mac(0), machine("a").mac(0));
        assert_ne!(one.mac(0), one.mac(1));
        assert_ne!(one.mac(0), other.mac(0));
    }
}
