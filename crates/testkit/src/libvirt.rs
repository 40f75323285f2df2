use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::firmware::idle_firmware;
use crate::qemu_machine::{
    MONITOR, QemuMachine, ask_monitor, guest_folder, is_here, make_file_system, tool,
};

/// libvirt's QEMUs do not run as root, and so neither does this libvirt: `nobody`.
const USER: u32 = 65534;
const ATTEMPTS: usize = 3000;
const PAUSE: Duration = Duration::from_millis(20);
/// The first process of a world of its own: whatever happens to the test, all machines end with it.
const WORLD: &str = "--pid --fork --kill-child --mount-proc";
const DAEMON: &str = "/usr/sbin/libvirtd";
const FIRST_PROCESS: &str = "/usr/sbin/libvirtd --timeout 0 & wait";

/// A libvirt of its own, whose machines end with it.
#[derive(Debug)]
pub struct Libvirt {
    process: Child,
    folder: PathBuf,
}

impl Libvirt {
    /// Keeps all it has in `folder`. None where libvirt or QEMU are missing, which is said, and is a failure under `CI=true`.
    pub fn start(folder: &Path) -> Option<Self> {
        Self::start_in(folder, "")
    }

    /// The same, whose QEMUs have room for so many bytes in `scratch` in the folder, and for no more. Nobody else sees what they
    /// keep there.
    pub fn start_with_little_scratch(folder: &Path, bytes: u64) -> Option<Self> {
        let mount = format!(
            "mount --make-rprivate / 2>/dev/null; mount -t tmpfs -o mode=777,size={bytes} tmpfs scratch &&"
        );
        Self::start_in(folder, &mount)
    }

    fn start_in(folder: &Path, before: &str) -> Option<Self> {
        let programs = [
            ("virsh", "libvirt-clients"),
            (DAEMON, "libvirt-daemon"),
            ("qemu-system-x86_64", "qemu-system-x86"),
        ];
        for (program, package) in programs {
            if !is_here(program, &format!("install {package}")) {
                return None;
            }
        }
        let readable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(folder, readable).expect("a folder of our own");
        give(folder);
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "unshare"]);
        if !is_root() {
            command.args(["--user", "--map-current-user", "--keep-caps"]);
        }
        command.args(WORLD.split(' ')).args(["sh", "-c"]);
        command.arg(format!("{before} exec setpriv \"$@\""));
        command.arg("world").args(["--pdeathsig", "KILL"]);
        if is_root() {
            let user = [format!("--reuid={USER}"), format!("--regid={USER}")];
            command.args(user).arg("--clear-groups");
        }
        command
            .args(["sh", "-c", FIRST_PROCESS])
            .current_dir(folder);
        for (variable, name) in [
            ("XDG_RUNTIME_DIR", "run"),
            ("XDG_CONFIG_HOME", "config"),
            ("XDG_CACHE_HOME", "cache"),
            ("XDG_DATA_HOME", "data"),
        ] {
            let place = folder.join(name);
            fs::create_dir(&place).expect("a folder of our own");
            give(&place);
            command.env(variable, place);
        }
        let log = fs::File::create(folder.join("libvirt.log")).expect("a folder of our own");
        let process = command
            .env("HOME", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let libvirt = Self {
            process: process.expect("setpriv is part of every Linux"),
            folder: folder.to_owned(),
        };
        libvirt.wait_until("libvirt answers", || {
            libvirt.socket().exists() && libvirt.try_virsh(&["version"]).is_ok()
        });
        Some(libvirt)
    }

    /// A new folder in which its QEMUs may write what others make there, by their group.
    pub fn shared_folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.join(name);
        fs::create_dir(&folder).expect("a folder of our own");
        if is_root() {
            std::os::unix::fs::chown(&folder, None, Some(USER)).expect("root may");
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o2770)).expect("it is ours");
        folder
    }

    fn wait_until(&self, what: &str, is_so: impl Fn() -> bool) {
        let (_keep, never) = mpsc::channel::<()>();
        for _ in 0..ATTEMPTS {
            if is_so() {
                return;
            }
            // Nobody sends: it is the pause that counts.
            let _ = never.recv_timeout(PAUSE);
        }
        let log = fs::read_to_string(self.folder.join("libvirt.log"));
        panic!("in vain: {what}; {log:?}");
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("run/libvirt/libvirt-sock")
    }

    /// What clients call it.
    pub fn uri(&self) -> String {
        format!(
            "qemu+unix:///session?socket={}",
            self.socket().to_str().expect("tests' folders are UTF-8")
        )
    }

    /// Runs its client and returns what it prints.
    pub fn virsh(&self, arguments: &[&str]) -> String {
        let ran = self.try_virsh(arguments);
        ran.unwrap_or_else(|said| panic!("{arguments:?}: {said}"))
    }

    fn try_virsh(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("virsh")
            .args(["--quiet", "--connect", &self.uri()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("virsh is here");
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Starts a domain `bare` with nothing to boot, which writes what the test tells it: `vda` is `0.qcow2` in its folder, `vdb`
    /// is `1.raw`, made if they are not there.
    pub fn start_bare(&self) {
        for (name, format) in [("0.qcow2", "qcow2"), ("1.raw", "raw")] {
            if !self.folder.join(name).exists() {
                let size = QemuMachine::DISK_SIZE.to_string();
                let arguments = ["create", "-q", "-f", format, name, &size];
                tool("qemu-img", arguments, &self.folder);
            }
        }
        let disks = self.disk("0.qcow2", "qcow2", "vda", "virtio")
            + &self.disk("1.raw", "raw", "vdb", "virtio");
        self.define_bare(&disks);
    }

    /// Starts a domain `bare` as [`Self::start_bare`] does, with one disk alone, `0.qcow2`, which is there.
    pub fn start_bare_over(&self) {
        let disk = self.disk("0.qcow2", "qcow2", "vda", "virtio");
        self.define_bare(&disk);
    }

    fn define_bare(&self, disks: &str) {
        let firmware = self.folder.join("firmware.bin");
        fs::write(&firmware, idle_firmware()).expect("a folder of our own");
        let boot = format!("<loader type='rom'>{}</loader>", firmware.display());
        self.define("bare", "pc", 16, &boot, disks);
        self.virsh(&["start", "bare"]);
    }

    /// Starts a domain `linux` as [`QemuMachine::linux`] does; its disks are `vda` and `sda`, of so many bytes where they are made. None where its guest is
    /// missing.
    pub fn start_linux(&self, disk_size: u64) -> Option<()> {
        let guest = guest_folder()?;
        for name in ["vmlinuz", "initrd"] {
            fs::copy(guest.join(name), self.folder.join(name)).expect("a guest was made");
        }
        for disk in ["0.qcow2", "1.qcow2"] {
            if !self.folder.join(disk).exists() {
                make_file_system(&self.folder, disk, disk_size);
            }
        }
        let place = self.folder.display();
        let boot = format!(
            "<kernel>{place}/vmlinuz</kernel><initrd>{place}/initrd</initrd><cmdline>console=ttyS0</cmdline>"
        );
        let devices = self.disk("0.qcow2", "qcow2", "vda", "virtio")
            + &self.disk("1.qcow2", "qcow2", "sda", "scsi")
            + &format!(
                "<controller type='scsi' model='virtio-scsi'/>\
                 <serial type='file'><source path='{place}/console'/></serial>\
                 <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"
            );
        self.define("linux", "q35", 256, &boot, &devices);
        self.virsh(&["start", "linux"]);
        Some(())
    }

    /// Whether somebody backs the domain up just now.
    pub fn has_backup(&self, domain: &str) -> bool {
        self.try_virsh(&["backup-dumpxml", domain]).is_ok()
    }

    /// Kills a domain's QEMU, and waits until libvirt knows.
    pub fn cut_power(&self, domain: &str) {
        let (guest, place) = (
            format!("guest={domain},"),
            self.folder.display().to_string(),
        );
        let processes = fs::read_dir("/proc").expect("Linux has it").flatten();
        let mut ids = processes.filter(|process| {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).into_owned();
            line.contains(&guest) && line.contains(&place)
        });
        let process = ids.next().expect("the domain runs");
        let id = process.file_name();
        tool("kill", [OsStr::new("-KILL"), &id], &self.folder);
        self.wait_until("the domain is off", || {
            self.virsh(&["domstate", domain]).trim() == "shut off"
        });
    }

    fn disk(&self, file: &str, format: &str, target: &str, bus: &str) -> String {
        let place = self.folder.join(file);
        give(&place);
        format!(
            "<disk type='file' device='disk'><driver name='qemu' type='{format}'/>\
             <source file='{}'/><target dev='{target}' bus='{bus}'/></disk>",
            place.display()
        )
    }

    fn define(&self, name: &str, machine: &str, mebibytes: u32, boot: &str, devices: &str) {
        // libvirt keeps the first monitor to itself.
        let monitor = self.folder.join(MONITOR);
        let xml = format!(
            "<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'><name>{name}</name><memory unit='MiB'>{mebibytes}</memory>\
             <os><type arch='x86_64' machine='{machine}'>hvm</type>{boot}</os>\
             <devices>{devices}<memballoon model='none'/></devices>\
             <qemu:commandline><qemu:arg value='-qmp'/>\
             <qemu:arg value='unix:{},server=on,wait=off'/></qemu:commandline></domain>",
            monitor.display()
        );
        let path = self.folder.join("domain.xml");
        fs::write(&path, xml).expect("a folder of our own");
        self.virsh(&["define", path.to_str().expect("tests' folders are UTF-8")]);
    }

    /// Runs a command at a monitor of the domain's QEMU, and returns its answer.
    pub fn command(&self, command: &str, arguments: &Value) -> Value {
        let answer = ask_monitor(&self.folder.join(MONITOR), command, arguments);
        answer.unwrap_or_else(|refusal| panic!("{command}: {refusal}"))
    }

    /// Fills a range of a disk of the bare domain with a byte, as its guest would that wants to find it after a power cut.
    pub fn write(&self, disk: usize, byte: u8, range: &std::ops::Range<usize>) {
        let (offset, length) = (range.start, range.len());
        let write = format!("write -P {byte} {offset} {length}");
        self.do_io(disk, &[&write, "flush"]);
    }

    /// Writes a file's bytes to a disk of the bare domain, as its guest would.
    pub fn write_file(&self, disk: usize, file: &Path, offset: u64) {
        let length = fs::metadata(file).expect("a file of our own").len();
        let write = format!("write -s {} {offset} {length}", file.display());
        self.do_io(disk, &[&write]);
    }

    fn do_io(&self, disk: usize, commands: &[&str]) {
        for asked in commands {
            let line = format!(
                "qemu-io -d /machine/peripheral/virtio-disk{disk}/virtio-backend \"{asked}\""
            );
            let said = self.command("human-monitor-command", &json!({ "command-line": line }));
            assert_eq!(said.as_str().map(str::trim), Some(""));
        }
    }
}

impl Drop for Libvirt {
    fn drop(&mut self) {
        self.process.kill().expect("a process of our own");
        self.process.wait().expect("what was killed has ended");
    }
}

/// Lets this libvirt's user have a file or a folder.
fn give(place: &Path) {
    if is_root() {
        chown(place, Some(USER), Some(USER)).expect("a file of our own");
    }
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
