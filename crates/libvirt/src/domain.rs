//! A machine as libvirt describes it.

use roxmltree::{Document, Node};

use crate::{Error, Result, Virsh};

/// At one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Domain {
    pub uuid: String,
    pub state: State,
    /// Those that the guest can write to, and have a place.
    pub disks: Vec<Disk>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Running,
    /// By whomever.
    Paused,
    /// A write of the guest has failed, and QEMU waits.
    PausedByError,
    /// No QEMU runs.
    Off,
    /// Crashed, ending, or asleep.
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// libvirt's name for it, `vda`.
    pub target: String,
    /// A file or a device.
    pub place: String,
    /// `qcow2`, `raw`.
    pub format: String,
}

impl Domain {
    pub async fn inspect(virsh: &Virsh) -> Result<Self> {
        let state = state(virsh).await?;
        let xml = virsh.run("dumpxml", &[]).await?;
        parse(&xml, state)
    }

    pub fn disk(&self, target: &str) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.target == target)
    }

    /// Whether it has a QEMU.
    pub fn is_active(&self) -> bool {
        self.state != State::Off
    }
}

pub(crate) async fn state(virsh: &Virsh) -> Result<State> {
    let said = virsh.run("domstate", &["--reason"]).await?;
    let said = said.trim();
    let word = said.split_once(" (").map_or(said, |(word, _)| word);
    Ok(match word {
        "running" | "idle" => State::Running,
        "paused" if said.ends_with("(I/O error)") => State::PausedByError,
        "paused" => State::Paused,
        "shut off" => State::Off,
        _ => State::Other,
    })
}

fn parse(xml: &str, state: State) -> Result<Domain> {
    let document = Document::parse(xml).map_err(|wrong| Error::strange(wrong.to_string()))?;
    let domain = document.root_element();
    let uuid = child(domain, "uuid").and_then(|uuid| uuid.text());
    let uuid = uuid.ok_or_else(|| Error::strange("a domain without a UUID"))?;
    let devices = child(domain, "devices");
    let devices = devices.ok_or_else(|| Error::strange("a domain without devices"))?;
    let disks = devices.children().filter(|node| node.has_tag_name("disk"));
    Ok(Domain {
        uuid: uuid.to_owned(),
        state,
        disks: disks.filter_map(disk).collect(),
    })
}

/// None for drives of media, and for disks that lie elsewhere than on this host.
fn disk(node: Node<'_, '_>) -> Option<Disk> {
    if child(node, "readonly").is_some() {
        return None;
    }
    let source = child(node, "source")?;
    let place = source.attribute("file").or(source.attribute("dev"))?;
    Some(Disk {
        target: child(node, "target")?.attribute("dev")?.to_owned(),
        place: place.to_owned(),
        format: child(node, "driver")?.attribute("type")?.to_owned(),
    })
}

pub(crate) fn child<'a, 'i>(node: Node<'a, 'i>, name: &str) -> Option<Node<'a, 'i>> {
    node.children().find(|child| child.has_tag_name(name))
}

/// Fails unless QEMU itself answers libvirt, and not libvirt alone.
pub async fn answers(virsh: &Virsh) -> Result<()> {
    virsh.run("domjobinfo", &[]).await.map(drop)
}

/// The guest's view of a disk, bytes.
pub(crate) async fn size_bytes(virsh: &Virsh, target: &str) -> Result<u64> {
    let info = virsh.run("domblkinfo", &["--device", target]).await?;
    let mut lines = info.lines();
    let capacity = lines.find_map(|line| line.strip_prefix("Capacity:"));
    let capacity = capacity.and_then(|bytes| bytes.trim().parse().ok());
    capacity.ok_or_else(|| Error::strange(format!("no capacity of {target}: {info}")))
}
