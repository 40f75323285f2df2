//! Real QEMUs and storage daemons for tests, and readers of what they export.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom_testkit::{QemuMachine, idle_firmware, make_file_system};
use strongroom_types::BackupId;
use tokio::process::{Child, Command};

use super::counting_guest;
use crate::{Changes, Error, GRANULARITY, Qmp, ServedDisk, Version};

pub(super) const SIZE: u64 = QemuMachine::DISK_SIZE;
/// Names the folder of the Linux guest.
const GUEST_VARIABLE: &str = "STRONGROOM_TEST_GUEST";
const PATIENCE: Duration = Duration::from_secs(20);
const TOOL_SECONDS: &str = "60";
const PAUSE: Duration = Duration::from_millis(20);
const ATTEMPTS: u32 = 1000;
const PROGRAMS: [&str; 6] = [
    "qemu-img",
    "qemu-io",
    "qemu-storage-daemon",
    "qemu-system-x86_64",
    "nbdcopy",
    "nbdinfo",
];

/// A folder for one test's machine.
pub(super) struct Lab {
    folder: tempfile::TempDir,
}

/// A QEMU or a storage daemon. Dropping it kills it.
pub(super) struct Running {
    child: Child,
    kind: Kind,
    folder: PathBuf,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Two disks: `disk0`, qcow2, under the device `dev0`, and a raw one given the old way, under a device without a name.
    Machine,
    /// The same, taken for a QEMU of before there were filters.
    OldMachine,
    /// The same with two qcow2 disks that boots the guest that counts.
    Counting,
    /// The same, with a thread for each disk.
    CountingInThreads,
    /// A Linux that writes to two ext4 file systems, with an agent.
    Linux,
    /// Two disks, `disk0` qcow2 and `disk1` raw, and nobody who uses them but NBD clients.
    Daemon,
}

impl Lab {
    /// None where QEMU or the NBD tools are missing, which is said, and is a failure under `CI=true`.
    pub(super) fn open() -> Option<Self> {
        let is_missing = |program: &&str| {
            let asked = std::process::Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .status();
            asked.is_err()
        };
        if let Some(missing) = PROGRAMS.iter().find(|program| is_missing(program)) {
            let sentence = format!(
                "{missing} is missing: install qemu-system-x86, qemu-utils and libnbd-bin to test live disks"
            );
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{sentence}");
            eprintln!("{sentence}");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("scratch")).unwrap();
        let lab = Self { folder };
        lab.tool(
            "qemu-img",
            ["create", "-q", "-f", "qcow2", "0.qcow2", "16M"],
        );
        lab.tool("qemu-img", ["create", "-q", "-f", "raw", "1.raw", "16M"]);
        Some(lab)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn scratch(&self) -> PathBuf {
        self.path("scratch")
    }

    /// Runs a program in the folder and returns what it printed.
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
    ) -> std::process::Output {
        // A QEMU that does not answer must not hold the tests for ever.
        let mut command = std::process::Command::new("timeout");
        command.args([TOOL_SECONDS, program]).args(arguments);
        command.current_dir(self.folder.path()).output().unwrap()
    }

    pub(super) async fn start(&self, kind: Kind) -> (Running, Qmp) {
        self.start_with(kind, &[]).await
    }

    /// Starts it with more arguments, and connects.
    pub(super) async fn start_with(&self, kind: Kind, more: &[&str]) -> (Running, Qmp) {
        let mut command = Command::new(kind.program());
        command.args(kind.arguments(self)).args(more);
        self.spawn(kind, command).await
    }

    /// Starts it where the scratch folder is a file system with so little room, which it alone sees; its NBD server's
    /// socket lies outside.
    pub(super) async fn start_with_small_scratch(&self, kind: Kind, size: &str) -> (Running, Qmp) {
        let mut command = Command::new("unshare");
        if !is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let script = format!(
            "mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o size={size} tmpfs scratch && exec \"$@\""
        );
        command.args([
            "--mount",
            "--propagation",
            "unchanged",
            "sh",
            "-c",
            &script,
            "sh",
        ]);
        command.arg(kind.program()).args(kind.arguments(self));
        let (running, mut qmp) = self.spawn(kind, command).await;
        if kind != Kind::Daemon {
            let address = json!({"type": "unix", "data": {"path": "nbd.sock"}});
            let start = json!({"addr": address});
            qmp.command("nbd-server-start", start).await.unwrap();
        }
        (running, qmp)
    }

    pub(super) async fn spawn(&self, kind: Kind, mut command: Command) -> (Running, Qmp) {
        for stale in ["qmp.sock", "nbd.sock"] {
            fs::remove_file(self.path(stale)).ok();
        }
        command.current_dir(self.folder.path()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        let folder = self.folder.path().to_owned();
        let running = Running {
            child,
            kind,
            folder,
        };
        let qmp = running.connect().await;
        (running, qmp)
    }

    /// All that an export holds.
    pub(super) fn read(&self, disk: &ServedDisk) -> Vec<u8> {
        let copied = self.try_read(disk);
        copied.unwrap_or_else(|output| panic!("nbdcopy: {output:?}"))
    }

    pub(super) fn try_read(&self, disk: &ServedDisk) -> Result<Vec<u8>, std::process::Output> {
        let copy = self.path("copy.raw");
        fs::remove_file(&copy).ok();
        let output = self.try_tool("nbdcopy", [uri(disk).as_ref(), copy.as_os_str()]);
        if output.status.success() {
            Ok(fs::read(copy).unwrap())
        } else {
            Err(output)
        }
    }

    /// What the bitmap of an export marks, as (offset, length).
    pub(super) fn marked(&self, disk: &ServedDisk) -> Vec<(usize, usize)> {
        let Changes::Since { bitmap, .. } = &disk.changes else {
            panic!("{:?}", disk.changes);
        };
        let map = format!("--map=qemu:dirty-bitmap:{bitmap}");
        let map = self.tool("nbdinfo", ["--json", &map, &uri(disk)]);
        let map: Vec<Value> = serde_json::from_str(&map).unwrap();
        let marked = map.iter().filter(|extent| extent["type"] == 1);
        let number =
            |extent: &Value, key: &str| usize::try_from(extent[key].as_u64().unwrap()).unwrap();
        marked
            .map(|extent| (number(extent, "offset"), number(extent, "length")))
            .collect()
    }

    /// The disk as a backup makes it: what was, overwritten by what is marked.
    pub(super) fn read_marked(&self, disk: &ServedDisk, before: &[u8]) -> Vec<u8> {
        let now = self.read(disk);
        let mut rebuilt = before.to_vec();
        for (offset, length) in self.marked(disk) {
            assert_eq!(length as u64 % GRANULARITY, 0);
            rebuilt[offset..offset + length].copy_from_slice(&now[offset..offset + length]);
        }
        rebuilt
    }
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Self::Daemon => "qemu-storage-daemon",
            _ => "qemu-system-x86_64",
        }
    }

    /// Whether what it boots was made; it is said if not, and is a failure under `CI=true`.
    pub(super) fn is_here(self) -> bool {
        let is_here = self != Self::Linux || guest_folder().join("vmlinuz").exists();
        if !is_here {
            let sentence = format!("{GUEST_VARIABLE} names no guest: `cargo xtask test` makes one");
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{sentence}");
            eprintln!("{sentence}");
        }
        is_here
    }

    fn as_is(self, mut qmp: Qmp) -> Qmp {
        if self == Self::OldMachine {
            qmp.version = Version {
                major: 7,
                minor: 0,
                micro: 0,
            };
        }
        qmp
    }

    fn arguments(self, lab: &Lab) -> Vec<String> {
        const DISK0: &str = "-blockdev driver=file,node-name=file0,filename=0.qcow2 \
            -blockdev driver=qcow2,node-name=disk0,file=file0";
        const COMPUTER: &str = "-M pc -accel tcg -m 16 -nodefaults -no-user-config -display none \
            -qmp unix:qmp.sock,server=on,wait=off -name lab";
        let arguments = match self {
            Self::Machine | Self::OldMachine => {
                fs::write(lab.path("idle.bin"), idle_firmware()).unwrap();
                format!(
                    "{COMPUTER} -bios idle.bin {DISK0} -device virtio-blk-pci,drive=disk0,id=dev0 \
                     -drive if=none,id=old,file=1.raw,format=raw -device virtio-blk-pci,drive=old"
                )
            }
            Self::Linux => {
                for disk in ["0.qcow2", "1.qcow2"] {
                    make_file_system(lab.folder.path(), disk, SIZE);
                }
                format!(
                    "-M q35 -accel tcg -m 256 -nodefaults -no-user-config -display none -no-reboot \
                     -qmp unix:qmp.sock,server=on,wait=off -name linux \
                     -kernel {0}/vmlinuz -initrd {0}/initrd -append console=ttyS0 -serial file:console \
                     -device virtio-serial-pci -chardev socket,id=agent,path=agent.sock,server=on,wait=off \
                     -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 \
                     {DISK0} -device virtio-blk-pci,drive=disk0 \
                     -blockdev driver=file,node-name=file1,filename=1.qcow2 \
                     -blockdev driver=qcow2,node-name=disk1,file=file1 \
                     -device virtio-scsi-pci -device scsi-hd,drive=disk1",
                    guest_folder().display()
                )
            }
            Self::Counting | Self::CountingInThreads => {
                counting_guest::write_disk(&lab.path("boot.raw"), SIZE);
                lab.tool(
                    "qemu-img",
                    ["convert", "-O", "qcow2", "boot.raw", "0.qcow2"],
                );
                lab.tool("qemu-img", ["convert", "-O", "qcow2", "1.raw", "1.qcow2"]);
                let [thread0, thread1] = if self == Self::Counting {
                    ["", ""]
                } else {
                    [",iothread=thread0", ",iothread=thread1"]
                };
                format!(
                    "{COMPUTER} -object iothread,id=thread0 -object iothread,id=thread1 \
                     {DISK0} -device virtio-blk-pci,drive=disk0,id=dev0,bootindex=0{thread0} \
                     -blockdev driver=file,node-name=file1,filename=1.qcow2 \
                     -blockdev driver=qcow2,node-name=disk1,file=file1 \
                     -device virtio-blk-pci,drive=disk1,id=dev1{thread1}"
                )
            }
            Self::Daemon => format!(
                "--chardev socket,id=m,path=qmp.sock,server=on,wait=off --monitor chardev=m \
                 --nbd-server addr.type=unix,addr.path=nbd.sock,max-connections=0 {DISK0} \
                 -blockdev driver=file,node-name=file1,filename=1.raw \
                 -blockdev driver=raw,node-name=disk1,file=file1 \
                 --export type=nbd,id=live0,node-name=disk0,name=live0,writable=on \
                 --export type=nbd,id=live1,node-name=disk1,name=live1,writable=on"
            )
            .replace(" -blockdev", " --blockdev"),
        };
        arguments.split_whitespace().map(str::to_owned).collect()
    }
}

impl Running {
    /// A new connection to the monitor, as soon as it takes one.
    pub(super) async fn connect(&self) -> Qmp {
        let socket = self.folder.join("qmp.sock");
        for _ in 0..ATTEMPTS {
            match Qmp::connect(&socket, PATIENCE).await {
                Err(Error::Unreachable { .. }) => tokio::time::sleep(PAUSE).await,
                connected => return self.kind.as_is(connected.unwrap()),
            }
        }
        panic!("no monitor at {}", socket.display());
    }

    /// As a power cut does.
    pub(super) async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Ends it in order, so that bitmaps are written.
    pub(super) async fn quit(mut self, mut qmp: Qmp) {
        qmp.command("quit", json!({})).await.unwrap();
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .unwrap()
            .unwrap();
    }

    /// Fills a range of the disk, `512k 64k`, with a byte, as the guest would.
    pub(super) async fn write(&self, qmp: &mut Qmp, disk: usize, byte: u8, range: &str) {
        let wrote = self.try_write(qmp, disk, byte, range).await;
        assert!(wrote, "the write of {range} failed");
    }

    /// Whether the write succeeded, where it can be known.
    pub(super) async fn try_write(
        &self,
        qmp: &mut Qmp,
        disk: usize,
        byte: u8,
        range: &str,
    ) -> bool {
        let write = format!("write -P {byte} {range}");
        if self.kind == Kind::Daemon {
            let export = format!("nbd+unix:///live{disk}?socket=nbd.sock");
            let mut command = Command::new("qemu-io");
            command.args(["-f", "raw", "-c", &write, &export]);
            let output = command.current_dir(&self.folder).output().await.unwrap();
            return output.status.success();
        }
        let device = match (self.kind, disk) {
            (_, 0) => "/machine/peripheral/dev0/virtio-backend",
            (Kind::Machine | Kind::OldMachine, _) => {
                "/machine/peripheral-anon/device[0]/virtio-backend"
            }
            _ => "/machine/peripheral/dev1/virtio-backend",
        };
        let line = format!("qemu-io -d {device} \"{write}\"");
        let line = json!({"command-line": line});
        let said: String = qmp.execute("human-monitor-command", line).await.unwrap();
        assert_eq!(said.trim(), "");
        true
    }
}

/// The folder of the Linux guest.
fn guest_folder() -> PathBuf {
    std::env::var_os(GUEST_VARIABLE)
        .map(PathBuf::from)
        .unwrap_or_default()
}

pub(super) fn point(number: u32) -> BackupId {
    format!("00000000-0000-4000-8000-{number:012}")
        .parse()
        .unwrap()
}

/// A disk of zeros but for these bytes in these ranges.
pub(super) fn filled(ranges: &[(u8, std::ops::Range<usize>)]) -> Vec<u8> {
    let mut disk = vec![0; usize::try_from(SIZE).unwrap()];
    for (byte, range) in ranges {
        disk[range.clone()].fill(*byte);
    }
    disk
}

fn uri(disk: &ServedDisk) -> String {
    let socket = disk.socket.to_str().unwrap();
    format!("nbd+unix:///{}?socket={socket}", disk.export)
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
