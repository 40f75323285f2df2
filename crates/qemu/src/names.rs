//! What our things in a QEMU are called, so that whoever comes after us recognises them.

use strongroom_types::BackupId;

/// Begins the name of each node, export, job, bitmap and file of ours.
pub(crate) const PREFIX: &str = "strongroom-";

/// What a node of ours is for. Its word is part of the node's name, which has at most 31 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// The file that takes what the guest overwrites.
    Scratch,
    /// A qcow2 over the scratch file with the disk as its backing.
    Overlay,
    /// Stands between a device and its disk, and copies before it writes.
    Filter,
    /// Shows the disk as it was when the filter came in.
    Access,
    /// There for as long as it is we who stopped the machine.
    Stopped,
    /// There for as long as it is we who run QEMU's NBD server.
    Server,
}

impl Role {
    fn word(self) -> &'static str {
        match self {
            Self::Scratch => "scratch",
            Self::Overlay => "overlay",
            Self::Filter => "filter",
            Self::Access => "access",
            Self::Stopped => "stopped",
            Self::Server => "server",
        }
    }

    /// The role of a node of ours.
    pub(crate) fn of(node: &str) -> Option<Self> {
        let name = node.strip_prefix(PREFIX)?;
        let word = name.trim_start_matches(|c: char| c.is_ascii_digit());
        let word = word.strip_prefix('-').unwrap_or(word);
        let all = [
            Self::Scratch,
            Self::Overlay,
            Self::Filter,
            Self::Access,
            Self::Stopped,
            Self::Server,
        ];
        all.into_iter().find(|role| role.word() == word)
    }
}

/// The node of the `index`th disk of a backup.
pub(crate) fn disk_node(index: usize, role: Role) -> String {
    format!("{PREFIX}{index}-{}", role.word())
}

/// A node that the whole machine has once.
pub(crate) fn marker(role: Role) -> String {
    format!("{PREFIX}{}", role.word())
}

/// The bitmap that records since `point`; export and job of the point are called the same.
pub(crate) fn of_point(point: &BackupId) -> String {
    format!("{PREFIX}{point}")
}

/// Whether this is what [`of_point`] calls things.
pub(crate) fn is_of_a_point(name: &str) -> bool {
    let point = name.strip_prefix(PREFIX);
    point.is_some_and(|point| point.parse::<BackupId>().is_ok())
}
