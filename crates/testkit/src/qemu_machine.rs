use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::firmware::{idle_firmware, resetting_firmware};

/// Names the folder with the kernel and the first disk of the Linux guest.
const GUEST_VARIABLE: &str = "STRONGROOM_TEST_GUEST";
/// How often, and how long in between, somebody looks whether a monitor answers: a minute.
const ATTEMPTS: usize = 3000;
const PAUSE: Duration = Duration::from_millis(20);
/// Where the disks of a bare machine are on its bus.
const SLOTS: [u8; 2] = [5, 6];
/// The monitor of the tests.
pub(crate) const MONITOR: &str = "test.sock";
const COMPUTER: &str = "-accel tcg -nodefaults -no-user-config -display none -name lab \
    -qmp unix:qmp.sock,server=on,wait=off -qmp unix:test.sock,server=on,wait=off";

/// A running QEMU with two disks, killed by its own process id when dropped. It has a monitor for Strongroom, `qmp.sock`, and
/// one for the test.
#[derive(Debug)]
pub struct QemuMachine {
    process: Child,
    folder: PathBuf,
}

impl QemuMachine {
    /// Every machine's.
    pub const UUID: &str = "6c1f0a52-7d0e-4a58-9c35-1b2f9d7e4a60";
    /// Bytes of each disk of a bare machine.
    pub const DISK_SIZE: u64 = 16 << 20;
    /// Bytes of each disk of a Linux.
    pub const LINUX_DISK_SIZE: u64 = 256 << 20;

    /// A machine with nothing to boot, which writes what the test tells it: `0.qcow2` and `1.raw` in `folder`, made if they
    /// are not there. None where QEMU is missing, which is said, and is a failure under `CI=true`.
    pub fn bare(folder: &Path) -> Option<Self> {
        Self::with_firmware(folder, &idle_firmware())
    }

    /// The same, and both disks' devices are reset again and again.
    pub fn resetting(folder: &Path) -> Option<Self> {
        Self::with_firmware(folder, &resetting_firmware(SLOTS))
    }

    fn with_firmware(folder: &Path, firmware: &[u8]) -> Option<Self> {
        if !is_here("qemu-system-x86_64", "install qemu-system-x86") {
            return None;
        }
        for (name, format) in [("0.qcow2", "qcow2"), ("1.raw", "raw")] {
            if !folder.join(name).exists() {
                let size = Self::DISK_SIZE.to_string();
                tool(
                    "qemu-img",
                    ["create", "-q", "-f", format, name, &size],
                    folder,
                );
            }
        }
        fs::write(folder.join("firmware.bin"), firmware).expect("a folder of our own");
        let place = folder.display();
        let [slot0, slot1] = SLOTS;
        let arguments = format!(
            "-M pc -m 16 -bios {place}/firmware.bin {COMPUTER} \
             -blockdev driver=file,node-name=file0,filename={place}/0.qcow2 \
             -blockdev driver=qcow2,node-name=disk0,file=file0 -device virtio-blk-pci,drive=disk0,id=dev0,addr={slot0} \
             -drive if=none,id=old,file={place}/1.raw,format=raw -device virtio-blk-pci,drive=old,id=dev1,addr={slot1}"
        );
        Some(Self::start(folder, &arguments))
    }

    /// Copies a disk to `place` that firmware boots a Linux from: one partition at 1 MiB, in it an ext4 file system with the
    /// first process `sbin/init`, which starts an agent and says `login:` on the serial port. False where there is none,
    /// which is said.
    pub fn bootable_disk(place: &Path) -> bool {
        copy_of_guest("bootable.raw", place)
    }

    /// The same Linux on a disk that UEFI alone boots.
    pub fn uefi_disk(place: &Path) -> bool {
        copy_of_guest("uefi.raw", place)
    }

    /// A machine with a Linux that writes files to the ext4 file systems on `0.qcow2` and `1.raw`, which are made, without
    /// end, says so on `console`, and has an agent at `agent.sock`.
    pub fn linux(folder: &Path) -> Option<Self> {
        let guest = guest_folder()?;
        for disk in ["0.qcow2", "1.raw"] {
            make_file_system(folder, disk, Self::LINUX_DISK_SIZE);
        }
        let place = folder.display();
        let disks = [(0, "qcow2"), (1, "raw")].map(|(n, format)| {
            format!(
                "-blockdev driver=file,node-name=file{n},filename={place}/{n}.{format} \
                 -blockdev driver={format},node-name=disk{n},file=file{n}"
            )
        });
        Some(Self::start_linux(folder, &guest, &disks))
    }

    /// As [`Self::linux`], from two exports of NBD that have such disks and may go away and come back: the nodes `disk0` and `disk1`.
    pub fn linux_from(folder: &Path, sockets: [&str; 2]) -> Option<Self> {
        let guest = guest_folder()?;
        let disks = [0, 1].map(|n: usize| {
            let socket = sockets[n];
            format!(
                "-blockdev driver=nbd,node-name=disk{n},server.type=unix,server.path={socket},reconnect-delay=60"
            )
        });
        Some(Self::start_linux(folder, &guest, &disks))
    }

    /// The same over TLS, from exports of the server at this port of `localhost`, which is shown the client's certificate in `certificates`.
    pub fn linux_over_tls(
        folder: &Path,
        certificates: &Path,
        port: u16,
        exports: [&str; 2],
    ) -> Option<Self> {
        let guest = guest_folder()?;
        let certificates = certificates.display();
        let disks = [0, 1].map(|n: usize| {
            let export = exports[n];
            format!(
                "-object tls-creds-x509,id=tls{n},endpoint=client,dir={certificates} \
                 -blockdev driver=nbd,node-name=disk{n},server.type=inet,server.host=localhost,server.port={port},export={export},tls-creds=tls{n},reconnect-delay=60"
            )
        });
        Some(Self::start_linux(folder, &guest, &disks))
    }

    fn start_linux(folder: &Path, guest: &Path, disks: &[String; 2]) -> Self {
        let (guest, [first, second]) = (guest.display(), disks);
        let arguments = format!(
            "-M q35 -m 256 -no-reboot {COMPUTER} \
             -kernel {guest}/vmlinuz -initrd {guest}/initrd -append console=ttyS0 -serial file:console \
             -device virtio-serial-pci -chardev socket,id=agent,path=agent.sock,server=on,wait=off \
             -device virtserialport,chardev=agent,name=org.qemu.guest_agent.0 \
             {first} -device virtio-blk-pci,drive=disk0 \
             {second} -device virtio-scsi-pci -device scsi-hd,drive=disk1"
        );
        Self::start(folder, &arguments)
    }

    fn start(folder: &Path, arguments: &str) -> Self {
        for stale in ["qmp.sock", "test.sock"] {
            fs::remove_file(folder.join(stale)).ok();
        }
        let process = Command::new("setpriv")
            // Its files may be limited, which is to be an error like others.
            .args(["--pdeathsig", "KILL", "env", "--ignore-signal=XFSZ"])
            .arg("qemu-system-x86_64")
            .args(["-uuid", Self::UUID])
            .args(arguments.split_whitespace())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("setpriv is part of every Linux");
        let machine = Self {
            process,
            folder: folder.to_owned(),
        };
        machine.command("query-status", &json!({}));
        machine
    }

    /// The socket that Strongroom is told of.
    pub fn monitor(&self) -> PathBuf {
        self.folder.join("qmp.sock")
    }

    /// Runs a command at the test's own monitor, and returns its answer.
    pub fn command(&self, command: &str, arguments: &Value) -> Value {
        let answer = self.try_command(command, arguments);
        answer.unwrap_or_else(|refusal| panic!("{command}: {refusal}"))
    }

    /// The same, or why QEMU refuses it.
    pub fn try_command(&self, command: &str, arguments: &Value) -> Result<Value, Value> {
        ask_monitor(&self.folder.join(MONITOR), command, arguments)
    }

    /// Runs a line of the shell in a Linux, as its agent does, until it has ended.
    pub fn run_in_guest(&self, line: &str) {
        let agent = UnixStream::connect(self.folder.join("agent.sock")).expect("there is an agent");
        let mut agent = BufReader::new(agent);
        let mut ask = |command: &str, arguments: Value| {
            let request = json!({"execute": command, "arguments": arguments});
            writeln!(agent.get_mut(), "{request}").expect("the agent runs");
            loop {
                let mut line = String::new();
                agent.read_line(&mut line).expect("the agent runs");
                // What it said to somebody before is answered with a number of theirs.
                let answer: Value = serde_json::from_str(line.trim_start_matches('\u{ff}'))
                    .expect("agents speak JSON");
                if command != "guest-sync" || answer["return"] == arguments["id"] {
                    return answer["return"].clone();
                }
            }
        };
        ask("guest-sync", json!({"id": 1_917_001}));
        let started = ask(
            "guest-exec",
            json!({"path": "/bin/sh", "arg": ["-c", line]}),
        );
        let (_keep, never) = mpsc::channel::<()>();
        for _ in 0..ATTEMPTS {
            let status = ask("guest-exec-status", json!({"pid": started["pid"]}));
            if status["exited"] == true {
                assert_eq!(status["exitcode"], 0, "{line}: {status}");
                return;
            }
            let _ = never.recv_timeout(PAUSE);
        }
        panic!("{line} does not end");
    }

    /// Fills a range of a disk of a bare machine with a byte, as its guest would that wants to find it after a power cut.
    pub fn write(&self, disk: usize, byte: u8, range: &std::ops::Range<usize>) {
        let (offset, length) = (range.start, range.len());
        let write = format!("write -P {byte} {offset} {length}");
        for asked in [write.as_str(), "flush"] {
            let line =
                format!("qemu-io -d /machine/peripheral/dev{disk}/virtio-backend \"{asked}\"");
            let said = self.command("human-monitor-command", &json!({"command-line": line}));
            assert_eq!(said.as_str().map(str::trim), Some(""));
        }
    }

    /// Whether the guest runs, and names of all nodes, exports and jobs that are Strongroom's.
    pub fn state(&self) -> (bool, Vec<String>) {
        let status = self.command("query-status", &json!({}));
        let lists = [
            self.command("query-named-block-nodes", &json!({"flat": true})),
            self.command("query-block-exports", &json!({})),
            self.command("query-jobs", &json!({})),
        ];
        let things = lists.iter().filter_map(Value::as_array).flatten();
        let names = things.filter_map(|thing| thing.get("node-name").or(thing.get("id"))?.as_str());
        let ours = names.filter(|name| name.starts_with("strongroom-"));
        (status["running"] == true, ours.map(str::to_owned).collect())
    }

    /// Ends everything that is served, whoever reads it.
    pub fn lose_exports(&self) {
        let exports = self.command("query-block-exports", &json!({}));
        for export in exports.as_array().into_iter().flatten() {
            let arguments = json!({"id": export["id"], "mode": "hard"});
            self.command("block-export-del", &arguments);
        }
    }

    /// From now on no file that the machine writes gets longer than so many bytes; without a bound again if none.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let bound = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let arguments = [
            format!("--pid={}", self.process.id()),
            format!("--fsize={bound}:unlimited"),
        ];
        tool("prlimit", arguments, &self.folder);
    }

    /// What QEMU says of the nodes of a disk that lies in this file.
    fn nodes_of(&self, file: &str) -> Vec<Value> {
        let nodes = self.command("query-named-block-nodes", &json!({"flat": true}));
        let nodes = nodes.as_array().into_iter().flatten();
        let is_of_file = |node: &&Value| {
            let name = node["file"].as_str();
            name.is_some_and(|name| name.ends_with(file))
        };
        nodes.filter(is_of_file).cloned().collect()
    }

    /// Has the bitmaps of a disk forget what they marked, as a machine does that loses track.
    pub fn clear_bitmaps(&self, file: &str) {
        for node in self.nodes_of(file) {
            for bitmap in node["dirty-bitmaps"].as_array().into_iter().flatten() {
                let named = json!({"node": node["node-name"], "name": bitmap["name"]});
                self.command("block-dirty-bitmap-clear", &named);
            }
        }
    }

    /// The names of the bitmaps of a disk that lies in this file.
    pub fn bitmaps(&self, file: &str) -> Vec<String> {
        let nodes = self.nodes_of(file);
        let bitmaps = nodes
            .iter()
            .filter_map(|node| node["dirty-bitmaps"].as_array());
        let mut names: Vec<_> = bitmaps
            .flatten()
            .filter_map(|bitmap| bitmap["name"].as_str().map(str::to_owned))
            .collect();
        names.sort();
        names.dedup();
        names
    }

    /// Ends it in order, so that bitmaps are written.
    pub fn quit(mut self) {
        self.command("quit", &json!({}));
        self.process.wait().expect("a process of our own");
    }

    /// As a power cut does.
    pub fn kill(&mut self) {
        self.process.kill().expect("a process of our own");
        self.process.wait().expect("what was killed has ended");
    }
}

impl Drop for QemuMachine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn copy_of_guest(disk: &str, place: &Path) -> bool {
    let Some(guest) = guest_folder() else {
        return false;
    };
    fs::copy(guest.join(disk), place).expect("the folder is the test's");
    true
}

/// The folder of the Linux guest; none where it was not made, which is said, and is a failure under `CI=true`.
pub(crate) fn guest_folder() -> Option<PathBuf> {
    let guest = std::env::var_os(GUEST_VARIABLE)
        .map(PathBuf::from)
        .unwrap_or_default();
    let is_here = guest.join("vmlinuz").exists() && guest.join("uefi.raw").exists();
    if !is_here {
        tell(&format!(
            "{GUEST_VARIABLE} names no guest: `cargo xtask test` makes one"
        ));
    }
    is_here.then_some(guest)
}

/// Makes an ext4 file system of so many bytes in `folder`, in an image whose ending is its format. It writes nothing by
/// itself: the initialisation of its inode tables would go on for minutes.
pub fn make_file_system(folder: &Path, image: &str, size: u64) {
    let (name, format) = image.split_once('.').expect("an image has an ending");
    let raw = format!("{name}.ext4");
    let file = fs::File::create(folder.join(&raw)).expect("a folder of our own");
    file.set_len(size).expect("a file of our own");
    let options = "-q -F -t ext4 -m 0 -E lazy_itable_init=0,lazy_journal_init=0";
    let arguments = options.split(' ').chain([raw.as_str()]);
    tool("/usr/sbin/mke2fs", arguments, folder);
    tool("qemu-img", ["convert", "-O", format, &raw, image], folder);
}

/// Runs a command at a monitor that nobody else talks to, once it is there: QEMU's answer, or its refusal.
pub(crate) fn ask_monitor(socket: &Path, command: &str, arguments: &Value) -> Result<Value, Value> {
    let mut stream = BufReader::new(connect(socket));
    let mut ask = |request: Value| {
        writeln!(stream.get_mut(), "{request}").expect("the machine runs");
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).expect("the machine runs");
            let message: Value = serde_json::from_str(&line).expect("monitors speak JSON");
            if message.get("return").is_some() || message.get("error").is_some() {
                return message;
            }
        }
    };
    ask(json!({"execute": "qmp_capabilities"}));
    let mut answer = ask(json!({"execute": command, "arguments": arguments}));
    match answer.get("error") {
        None => Ok(answer["return"].take()),
        Some(refusal) => Err(refusal.clone()),
    }
}

fn connect(socket: &Path) -> UnixStream {
    let (_keep, never) = mpsc::channel::<()>();
    for _ in 0..ATTEMPTS {
        if let Ok(stream) = UnixStream::connect(socket) {
            return stream;
        }
        // Nobody sends: it is the pause that counts.
        let _ = never.recv_timeout(PAUSE);
    }
    panic!("nobody listens at {}", socket.display());
}

pub(crate) fn tool<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
    folder: &Path,
) {
    let ended = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .status();
    let ended = ended.unwrap_or_else(|error| panic!("{program}: {error}; run `cargo xtask setup`"));
    assert!(ended.success(), "{program} failed");
}

pub(crate) fn is_here(program: &str, advice: &str) -> bool {
    let asked = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if asked.is_err() {
        tell(&format!("{program} is missing: {advice}"));
    }
    asked.is_ok()
}

fn tell(sentence: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{sentence}");
    // Tests' standard error is shown with them.
    writeln!(std::io::stderr(), "{sentence}").ok();
}
