//! Servers of others on unix sockets of their own, and an export of ours in memory.

use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use strongroom_testkit::NbdPeer;

use crate::{
    Allocation, Client, ClientOptions, Content, ErrorCode, Export, Fault, Limits, Listener, Reader,
    Server, Stretch, Target, Writable,
};

pub(super) const KIB: u64 = 1 << 10;
pub(super) const MIB: u64 = 1 << 20;

/// A folder for one test, or nothing where the peers are missing.
pub(super) struct Lab {
    folder: tempfile::TempDir,
}

impl Lab {
    pub(super) fn open() -> Option<Self> {
        for program in ["qemu-nbd", "qemu-io", "nbdkit", "nbdinfo", "nbdcopy"] {
            if Command::new(program).arg("--version").output().is_err() {
                let sentence = format!(
                    "{program} is missing: install qemu-utils, nbdkit and libnbd-bin to test NBD"
                );
                assert!(std::env::var("CI").as_deref() != Ok("true"), "{sentence}");
                eprintln!("{sentence}");
                return None;
            }
        }
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
        })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a program in the folder, which must succeed; returns what it printed.
    pub(super) fn run(&self, program: &str, arguments: &[&str]) -> String {
        let Output {
            status,
            stdout,
            stderr,
        } = self.try_run(program, arguments);
        let said = String::from_utf8_lossy(&stdout).into_owned();
        let complained = String::from_utf8_lossy(&stderr);
        assert!(
            status.success(),
            "{program} {arguments:?}: {said}{complained}"
        );
        said
    }

    /// `timeout` bounds it: a peer that waits for us for ever would hold the test.
    pub(super) fn try_run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "60", program]);
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).output().unwrap()
    }

    /// Runs commands of `qemu-io`, none of which may fail.
    pub(super) fn qemu_io(&self, format: &str, image: &str, commands: &[&str]) {
        let mut arguments = vec!["-f", format];
        for command in commands {
            arguments.extend(["-c", *command]);
        }
        arguments.push(image);
        let said = self.run("qemu-io", &arguments);
        let failed = ["failed", "error", "invalid"];
        let is_bad = |line: &str| failed.iter().any(|word| line.contains(word));
        assert!(!said.lines().any(is_bad), "{commands:?}: {said}");
    }

    pub(super) fn qemu_nbd(&self, arguments: &[&str]) -> NbdPeer {
        NbdPeer::qemu(self.folder.path(), arguments)
    }

    pub(super) fn nbdkit(&self, arguments: &[&str]) -> NbdPeer {
        NbdPeer::nbdkit(self.folder.path(), arguments)
    }

    /// Serves `export` under the name `disk`, on the socket `ours`.
    pub(super) fn ours(&self, export: Arc<dyn Export>, limits: Limits) -> (Server, Target) {
        let socket = self.path("ours");
        let listener = Listener::Unix(UnixListener::bind(&socket).unwrap());
        let exports = [("disk".to_owned(), export)];
        let server = Server::start(listener, exports, limits).unwrap();
        (server, Target::unix(socket, "disk"))
    }
}

/// Looks again and again until it is so, for ten seconds.
pub(super) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let (_keep, never) = mpsc::channel::<()>();
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        let pause = never.recv_timeout(Duration::from_millis(10));
        assert_eq!(pause, Err(mpsc::RecvTimeoutError::Timeout));
    }
    panic!("not in time: {what}");
}

pub(super) fn target(peer: &NbdPeer, export: &str) -> Target {
    Target::unix(peer.socket(), export)
}

pub(super) fn connect(target: &Target) -> Client {
    Client::connect(target, &ClientOptions::default()).unwrap()
}

/// What a reader yields, as one disk, and how much of it was not read.
pub(super) fn read_all(mut reader: Reader) -> (Vec<u8>, u64) {
    let (mut disk, mut skipped) = (Vec::new(), 0);
    while let Some(piece) = reader.next_piece().unwrap() {
        assert_eq!(piece.offset, disk.len() as u64, "pieces come in order");
        let length = usize::try_from(piece.length).unwrap();
        match piece.content {
            Content::Data(data) => {
                assert_eq!(data.len(), length);
                disk.extend_from_slice(&data);
                reader.client().recycle(data);
            }
            Content::Hole | Content::Unchanged => {
                disk.resize(disk.len() + length, 0);
                skipped += piece.length;
            }
        }
    }
    (disk, skipped)
}

/// Bytes of which no two stretches are alike.
pub(super) fn noise(seed: u64, length: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// A disk in memory whose zero blocks are holes.
#[derive(Debug)]
pub(super) struct Memory {
    bytes: Mutex<Vec<u8>>,
    is_read_only: bool,
    pub(super) flushes: AtomicUsize,
}

impl Memory {
    const BLOCK: usize = 4096;

    pub(super) fn writable(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(bytes),
            is_read_only: false,
            flushes: AtomicUsize::new(0),
        })
    }

    pub(super) fn read_only(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            bytes: Mutex::new(bytes),
            is_read_only: true,
            flushes: AtomicUsize::new(0),
        })
    }

    pub(super) fn content(&self) -> Vec<u8> {
        self.bytes.lock().unwrap().clone()
    }
}

fn range(offset: u64, length: usize) -> std::ops::Range<usize> {
    let start = usize::try_from(offset).unwrap();
    start..start + length
}

impl Export for Memory {
    fn size_bytes(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), Fault> {
        let bytes = self.bytes.lock().unwrap();
        buffer.copy_from_slice(&bytes[range(offset, buffer.len())]);
        Ok(())
    }

    fn stretches(&self, offset: u64, length: u64) -> Result<Vec<Stretch>, Fault> {
        let bytes = self.bytes.lock().unwrap();
        let asked = range(offset, usize::try_from(length).unwrap());
        let stretch = |block: &[u8]| Stretch {
            length: block.len() as u64,
            allocation: if block.iter().all(|byte| *byte == 0) {
                Allocation::Hole
            } else {
                Allocation::Data
            },
        };
        Ok(bytes[asked].chunks(Self::BLOCK).map(stretch).collect())
    }

    fn writable(&self) -> Option<&dyn Writable> {
        (!self.is_read_only).then_some(self)
    }
}

impl Writable for Memory {
    fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), Fault> {
        let mut bytes = self.bytes.lock().unwrap();
        bytes[range(offset, data.len())].copy_from_slice(data);
        Ok(())
    }

    fn zero(&self, offset: u64, length: u64) -> Result<(), Fault> {
        let mut bytes = self.bytes.lock().unwrap();
        bytes[range(offset, usize::try_from(length).unwrap())].fill(0);
        Ok(())
    }

    fn flush(&self) -> Result<(), Fault> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// An export that fails wherever it is read.
pub(super) struct Failing;

impl Export for Failing {
    fn size_bytes(&self) -> u64 {
        MIB
    }

    fn read_at(&self, offset: u64, _buffer: &mut [u8]) -> Result<(), Fault> {
        assert!(offset >= 4096, "a fault of the export");
        Err(Fault::new(ErrorCode::IO, "the disk is on fire"))
    }

    fn stretches(&self, _offset: u64, length: u64) -> Result<Vec<Stretch>, Fault> {
        Ok(vec![Stretch {
            length,
            allocation: Allocation::Data,
        }])
    }
}

pub(super) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
