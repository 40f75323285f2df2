//! What is asked of libvirt, and how it is written.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use strongroom_types::BackupId;

use crate::checkpoints;
use crate::snapshot::Changes;
use crate::{Error, Result};

/// Begins the name of each checkpoint and file of ours.
pub(crate) const PREFIX: &str = "strongroom-";
/// A unix socket's name, bytes, its final zero left aside.
const SOCKET_NAME_MAX: usize = 107;

/// A snapshot that is wanted.
#[derive(Debug, Clone)]
pub struct Request {
    /// At least one.
    pub disks: Vec<DiskRequest>,
    /// Where QEMU keeps what the guest overwrites meanwhile, and its socket. It is this domain's alone, and QEMU's user may
    /// write into it; nobody else should enter, for it holds the guest's data.
    pub folder: PathBuf,
    pub freeze: Freeze,
}

#[derive(Debug, Clone)]
pub struct DiskRequest {
    /// As [`crate::Disk::target`] names it.
    pub target: String,
    /// The point to be made of this disk.
    pub point: BackupId,
    /// Without it the whole disk is to be read.
    pub last: Option<LastPoint>,
}

/// The last point of a disk that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPoint {
    pub point: BackupId,
    /// The disk's size then, bytes.
    pub size: u64,
}

/// Whether the guest's file systems are to stand still at the instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    IfPossible,
    No,
}

impl Request {
    pub(crate) fn socket(&self) -> Result<PathBuf> {
        let socket = self.folder.join(format!("{PREFIX}nbd"));
        let length = socket.as_os_str().len();
        if length <= SOCKET_NAME_MAX {
            return Ok(socket);
        }
        Err(Error::unsupported(format!(
            "the name of the scratch folder is too long: its socket's has {length} bytes of {SOCKET_NAME_MAX}",
        )))
    }

    /// Names the checkpoint that the instant makes.
    pub(crate) fn checkpoint(&self) -> Result<String> {
        let first = self.disks.first();
        let first = first.ok_or_else(|| Error::unsupported("no disk was asked for"))?;
        Ok(format!("{PREFIX}{}", first.point))
    }
}

/// What a disk's export and its bitmap are called.
pub(crate) fn export(disk: &DiskRequest) -> String {
    format!("{PREFIX}{}", disk.point)
}

/// libvirt's description of the backup, all disks at once; `since` is the checkpoint that changes are counted from.
pub(crate) fn backup_xml(
    request: &Request,
    socket: &Path,
    disks: &[(bool, Changes)],
    since: Option<&str>,
) -> String {
    let mut xml = format!(
        "<domainbackup mode='pull'><server transport='unix' socket='{}'/><disks>",
        escaped(&socket.to_string_lossy())
    );
    for (disk, (_, changes)) in request.disks.iter().zip(disks) {
        let name = export(disk);
        let mode = match (changes, since) {
            (Changes::Since { bitmap, .. }, Some(since)) => {
                format!(
                    "backupmode='incremental' incremental='{}' exportbitmap='{bitmap}'",
                    escaped(since)
                )
            }
            _ => "backupmode='full'".to_owned(),
        };
        let scratch = request
            .folder
            .join(format!("{PREFIX}scratch-{}", disk.target));
        write!(
            xml,
            "<disk name='{}' backup='yes' type='file' exportname='{name}' {mode}>\
             <driver type='qcow2'/><scratch file='{}'/></disk>",
            escaped(&disk.target),
            escaped(&scratch.to_string_lossy())
        )
        .expect("strings can be written to");
    }
    xml.push_str("</disks></domainbackup>");
    xml
}

/// libvirt's description of the checkpoint. Disks that keep no bitmaps are left out; none is made for these alone.
pub(crate) fn checkpoint_xml(
    request: &Request,
    name: &str,
    disks: &[(bool, Changes)],
) -> Option<String> {
    let kept = request.disks.iter().zip(disks);
    let kept: Vec<_> = kept.filter(|(_, (keeps, _))| *keeps).collect();
    if kept.is_empty() {
        return None;
    }
    let points = kept
        .iter()
        .map(|(disk, _)| (disk.target.as_str(), &disk.point));
    let mut xml = format!(
        "<domaincheckpoint><name>{name}</name><description>{}</description><disks>",
        escaped(&checkpoints::description(points))
    );
    for (disk, _) in kept {
        let target = escaped(&disk.target);
        write!(xml, "<disk name='{target}' checkpoint='bitmap'/>")
            .expect("strings can be written to");
    }
    xml.push_str("</disks></domaincheckpoint>");
    Some(xml)
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\'' => escaped.push_str("&apos;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
