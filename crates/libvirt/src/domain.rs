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
    /// XML of the domain as it will start next, with nothing that libvirt calls secret.
    pub(crate) definition: String,
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
        Ok(Self::inspect_disks(virsh, &[]).await?.0)
    }

    /// The same, and the guest's view of these disks' sizes, in bytes.
    pub(crate) async fn inspect_disks(virsh: &Virsh, targets: &[&str]) -> Result<(Self, Vec<u64>)> {
        let sizes = targets
            .iter()
            .map(|target| vec!["domblkinfo", "--device", target]);
        let sizes: Vec<Vec<&str>> = sizes.collect();
        let mut questions: Vec<&[&str]> = vec![STATE, &["dumpxml"], &["dumpxml", "--inactive"]];
        questions.extend(sizes.iter().map(Vec::as_slice));
        let mut answers = virsh.run_each(&questions).await?;
        let state = state(&answers.take()?);
        let xml = answers.take()?;
        // Who wants it finds out that it is none.
        let definition = answers.take().unwrap_or_default();
        let domain = parse(&xml, state, definition)?;
        let sizes = targets.iter().map(|_| size_bytes(&answers.take()?));
        Ok((domain, sizes.collect::<Result<_>>()?))
    }

    pub fn disk(&self, target: &str) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.target == target)
    }

    /// Whether it has a QEMU.
    pub fn is_active(&self) -> bool {
        self.state != State::Off
    }
}

/// What [`state`] reads the answer to.
pub(crate) const STATE: &[&str] = &["domstate", "--reason"];

pub(crate) fn state(said: &str) -> State {
    let word = said.split_once(" (").map_or(said, |(word, _)| word);
    match word {
        "running" | "idle" => State::Running,
        "paused" if said.ends_with("(I/O error)") => State::PausedByError,
        "paused" => State::Paused,
        "shut off" => State::Off,
        _ => State::Other,
    }
}

fn parse(xml: &str, state: State, definition: String) -> Result<Domain> {
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
        definition,
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

fn size_bytes(info: &str) -> Result<u64> {
    let mut lines = info.lines();
    let capacity = lines.find_map(|line| line.strip_prefix("Capacity:"));
    let capacity = capacity.and_then(|bytes| bytes.trim().parse().ok());
    capacity.ok_or_else(|| Error::strange(format!("no capacity: {info}")))
}
