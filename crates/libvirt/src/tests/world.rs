use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use strongroom_testkit::{Libvirt, QemuMachine};
use strongroom_types::BackupId;

use crate::{DiskRequest, Freeze, LastPoint, Request, ServedDisk, Snapshot, Virsh};

const TOOL_SECONDS: &str = "60";

/// A libvirt and a folder for what the guest overwrites.
pub(super) struct Lab {
    pub(super) libvirt: Libvirt,
    folder: tempfile::TempDir,
}

impl Lab {
    /// None where libvirt is missing.
    pub(super) fn open() -> Option<Self> {
        Self::open_by(Libvirt::start)
    }

    /// With room for so many bytes of what the guest overwrites.
    pub(super) fn with_little_scratch(bytes: u64) -> Option<Self> {
        Self::open_by(|folder| Libvirt::start_with_little_scratch(folder, bytes))
    }

    fn open_by(start: impl FnOnce(&Path) -> Option<Libvirt>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let scratch = folder.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        // QEMU runs as somebody else.
        fs::set_permissions(&scratch, fs::Permissions::from_mode(0o777)).unwrap();
        let libvirt = start(folder.path())?;
        Some(Self { libvirt, folder })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn virsh(&self, domain: &str) -> Virsh {
        Virsh::new(self.libvirt.uri(), domain)
    }

    /// Asks for two disks: point 10 × `number` of the first, and the next of the second.
    pub(super) fn request(
        &self,
        targets: [&str; 2],
        number: u32,
        last: Option<u32>,
        freeze: Freeze,
    ) -> Request {
        let disks = targets.into_iter().zip(0..);
        let disks = disks.map(|(target, index)| DiskRequest {
            target: target.to_owned(),
            point: point(10 * number + index),
            last: last.map(|last| LastPoint {
                point: point(10 * last + index),
                size: QemuMachine::DISK_SIZE,
            }),
        });
        Request {
            disks: disks.collect(),
            folder: self.path("scratch"),
            freeze,
        }
    }

    pub(super) async fn begin(&self, number: u32, last: Option<u32>) -> Snapshot {
        let request = self.request(["vda", "vdb"], number, last, Freeze::No);
        Snapshot::begin(&self.virsh("bare"), &request)
            .await
            .unwrap()
    }

    pub(super) fn read(&self, disk: &ServedDisk) -> Vec<u8> {
        let copy = self.path("copy.raw");
        self.tool(
            "nbdcopy",
            [OsStr::new(&uri(disk)), OsStr::new("--"), copy.as_os_str()],
        );
        fs::read(copy).unwrap()
    }

    /// The disk as a backup makes it: what was, overwritten by what is marked.
    pub(super) fn read_marked(&self, disk: &ServedDisk, bitmap: &str, before: &[u8]) -> Vec<u8> {
        let now = self.read(disk);
        let map = format!("--map=qemu:dirty-bitmap:{bitmap}");
        let mut rebuilt = before.to_vec();
        for line in self.tool("nbdinfo", [map, uri(disk)]).lines() {
            let numbers: Vec<usize> = line
                .split_whitespace()
                .filter_map(|word| word.parse().ok())
                .collect();
            if let [offset, length, 1] = numbers[..] {
                rebuilt[offset..offset + length].copy_from_slice(&now[offset..offset + length]);
            }
        }
        rebuilt
    }

    pub(super) fn checkpoints(&self, domain: &str) -> Vec<String> {
        let listed = self.libvirt.virsh(&["checkpoint-list", domain, "--name"]);
        let names = listed.lines().filter(|line| !line.trim().is_empty());
        names.map(str::to_owned).collect()
    }

    pub(super) fn scratch_files(&self) -> usize {
        fs::read_dir(self.path("scratch")).unwrap().count()
    }

    pub(super) fn tool<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> String {
        let output = self.try_tool(program, arguments);
        assert!(output.status.success(), "{program}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn try_tool<A: AsRef<OsStr>>(
        &self,
        program: &str,
        arguments: impl IntoIterator<Item = A>,
    ) -> Output {
        let mut command = Command::new("timeout");
        command.args([TOOL_SECONDS, program]).args(arguments);
        command.current_dir(self.folder.path()).output().unwrap()
    }
}

fn uri(disk: &ServedDisk) -> String {
    let socket: &Path = &disk.socket;
    format!(
        "nbd+unix:///{}?socket={}",
        disk.export,
        socket.to_str().unwrap()
    )
}

pub(super) fn point(number: u32) -> BackupId {
    format!("00000000-0000-4000-8000-{number:012}")
        .parse()
        .unwrap()
}
