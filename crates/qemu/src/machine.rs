//! What a running QEMU says about itself and its disks.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::block::{self, Bitmap, Device, Files, Node};
use crate::names::Role;
use crate::qmp::Version;
use crate::{Error, Qmp, Result};

/// Before this, an NBD client that disconnects from a disk with an iothread can abort QEMU.
const SAFE_WITH_IOTHREADS: Version = version(8, 0);
/// The first with copy-before-write filters that break the snapshot rather than the guest.
const FILTERS: Version = version(7, 1);

/// A machine at one moment. A storage daemon is one without name and drives.
#[derive(Debug, Clone)]
pub struct Machine {
    pub version: Version,
    pub name: Option<String>,
    pub uuid: Option<String>,
    /// QEMU's word, `running`, `paused`, `io-error`; a storage daemon has none.
    pub status: Option<String>,
    pub drives: Vec<Drive>,
}

/// A disk of the machine: the device that the guest sees, and what lies under it.
#[derive(Debug, Clone)]
pub struct Drive {
    /// The backend's name, for disks given by `-drive`.
    pub backend: Option<String>,
    /// The device's place in QEMU's object tree.
    pub device: String,
    /// The node that holds the guest's view, a filter of ours left aside.
    pub node: String,
    /// The node of the file that the format lies in.
    pub file_node: Option<String>,
    /// As QEMU opened it: a path, perhaps relative to where QEMU runs, or a `json:` of options.
    pub file: String,
    /// QEMU's name of the node's driver, `qcow2`, `raw`.
    pub format: String,
    /// The guest's view, bytes.
    pub size: u64,
    pub is_read_only: bool,
    /// The smaller, the earlier the firmware tries it.
    pub boot_index: Option<u64>,
    /// The iothread's path, when the device or its controller has one.
    pub iothread: Option<String>,
    /// Those that have names.
    pub bitmaps: Vec<Bitmap>,
}

#[derive(Deserialize)]
struct Name {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Uuid {
    #[serde(rename = "UUID")]
    uuid: String,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

impl Machine {
    pub async fn inspect(qmp: &mut Qmp) -> Result<Self> {
        let name: Option<Name> = if_known(qmp, "query-name").await?;
        let uuid: Option<Uuid> = if_known(qmp, "query-uuid").await?;
        Ok(Self {
            version: qmp.version(),
            name: name.and_then(|name| name.name),
            uuid: uuid.map(|uuid| uuid.uuid),
            status: status(qmp).await?,
            drives: drives(qmp).await?,
        })
    }

    pub fn drive(&self, node: &str) -> Option<&Drive> {
        self.drives.iter().find(|drive| drive.node == node)
    }

    /// Fails when reading this drive from QEMU's own NBD server could end the machine.
    pub fn check_can_be_read(&self, drive: &Drive) -> Result<()> {
        if drive.iothread.is_none() || self.version >= SAFE_WITH_IOTHREADS {
            return Ok(());
        }
        let Version { major, minor, .. } = self.version;
        Err(Error::unsupported(format!(
            "QEMU {major}.{minor} can abort when disks with an iothread are read; version 8 does not"
        )))
    }

    /// Whether a filter can be put between devices and disks.
    pub(crate) fn has_filters(&self) -> bool {
        self.version >= FILTERS
    }
}

const fn version(major: u32, minor: u32) -> Version {
    Version {
        major,
        minor,
        micro: 0,
    }
}

/// QEMU's word for whether the guest runs; none in a storage daemon.
pub(crate) async fn status(qmp: &mut Qmp) -> Result<Option<String>> {
    let status: Option<Status> = if_known(qmp, "query-status").await?;
    Ok(status.map(|status| status.status))
}

async fn if_known<A: DeserializeOwned>(qmp: &mut Qmp, command: &str) -> Result<Option<A>> {
    match qmp.execute(command, json!({})).await {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_unknown() => Ok(None),
        Err(error) => Err(error),
    }
}

async fn drives(qmp: &mut Qmp) -> Result<Vec<Drive>> {
    let nodes = block::nodes(qmp).await?;
    let files = block::files(qmp).await?;
    let mut drives = Vec::new();
    for device in block::devices(qmp).await? {
        let Some(place) = device_path(&device) else {
            continue;
        };
        let Some(node) = guests_node(&device, &nodes, &files) else {
            continue;
        };
        drives.push(Drive {
            boot_index: boot_index(qmp, &place).await?,
            iothread: iothread(qmp, &place).await?,
            backend: Some(device.backend).filter(|name| !name.is_empty()),
            device: place,
            node: node.name().to_owned(),
            file_node: files.below(node.name()).map(str::to_owned),
            file: node.file.clone(),
            format: node.drv.clone(),
            size: node.image.virtual_size,
            is_read_only: node.is_read_only,
            bitmaps: named(&node.dirty_bitmaps),
        });
    }
    Ok(drives)
}

pub(crate) fn device_path(device: &Device) -> Option<String> {
    let qdev = device.qdev.as_deref()?;
    let is_path = qdev.starts_with('/');
    Some(if is_path {
        qdev.to_owned()
    } else {
        format!("/machine/peripheral/{qdev}")
    })
}

/// The node under the device, or what our filter there stands before. None for an empty drive.
fn guests_node<'a>(device: &Device, nodes: &'a [Node], files: &Files) -> Option<&'a Node> {
    let mut name = device.inserted.as_ref()?.name();
    while Role::of(name).is_some() {
        name = files.below(name)?;
    }
    nodes.iter().find(|node| node.name() == name)
}

fn named(bitmaps: &[Bitmap]) -> Vec<Bitmap> {
    let named = bitmaps.iter().filter(|bitmap| bitmap.name.is_some());
    named.cloned().collect()
}

async fn boot_index(qmp: &mut Qmp, device: &str) -> Result<Option<u64>> {
    let index: Option<i64> = property(qmp, device, "bootindex").await?;
    Ok(index.and_then(|index| u64::try_from(index).ok()))
}

/// A SCSI disk runs in the iothread of the controller, whose bus is `…/CONTROLLER/BUS`.
async fn iothread(qmp: &mut Qmp, device: &str) -> Result<Option<String>> {
    let own: Option<String> = property(qmp, device, "iothread").await?;
    if let Some(own) = own.filter(|path| !path.is_empty()) {
        return Ok(Some(own));
    }
    let bus: Option<String> = property(qmp, device, "parent_bus").await?;
    let Some((controller, _)) = bus.as_deref().and_then(|bus| bus.rsplit_once('/')) else {
        return Ok(None);
    };
    let shared: Option<String> = property(qmp, controller, "iothread").await?;
    Ok(shared.filter(|path| !path.is_empty()))
}

/// A property of an object, or none when it has no such property or there is no such object.
pub(crate) async fn property<A: DeserializeOwned>(
    qmp: &mut Qmp,
    object: &str,
    property: &str,
) -> Result<Option<A>> {
    let arguments = json!({"path": object, "property": property});
    match qmp.execute("qom-get", arguments).await {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.is_refusal() => Ok(None),
        Err(error) => Err(error),
    }
}
