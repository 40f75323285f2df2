use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How often, and how long in between, somebody looks whether a server listens: ten seconds.
const ATTEMPTS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(10);

/// Somebody else's NBD server on a unix socket, killed by its own process id when dropped.
#[derive(Debug)]
pub struct NbdPeer {
    process: Child,
    socket: PathBuf,
}

impl NbdPeer {
    /// `qemu-nbd` that stays when its clients leave; `arguments` end with the image, which is looked for in `folder`.
    pub fn qemu(folder: &Path, arguments: &[&str]) -> Self {
        let fixed = ["--persistent", "--shared=8", "--socket"];
        Self::start("qemu-nbd", &fixed, folder, arguments)
    }

    /// nbdkit in the foreground; `arguments` are filters, a plugin, and what they are told.
    pub fn nbdkit(folder: &Path, arguments: &[&str]) -> Self {
        let fixed = ["--foreground", "--unix"];
        Self::start("nbdkit", &fixed, folder, arguments)
    }

    /// Returns when the server takes connections.
    fn start(program: &str, fixed: &[&str], folder: &Path, arguments: &[&str]) -> Self {
        let log = folder.join(format!("{program}.log"));
        let socket = folder.join(format!("{program}.socket"));
        let file = File::create(&log).expect("a folder of our own");
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(fixed)
            .arg(&socket)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file can be shared"))
            .stderr(file)
            .spawn()
            .expect("setpriv is part of every Linux");
        let mut peer = Self { process, socket };
        let (_keep, never) = mpsc::channel::<()>();
        for _ in 0..ATTEMPTS {
            if UnixStream::connect(&peer.socket).is_ok() {
                return peer;
            }
            let ended = peer.process.try_wait().expect("a process of our own");
            if ended.is_some() {
                break;
            }
            // Nobody sends: it is the pause that counts.
            let _ = never.recv_timeout(PAUSE);
        }
        let said = fs::read_to_string(log).unwrap_or_default();
        panic!("{program} {arguments:?} does not listen: {said}; run `cargo xtask setup`");
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The URI of one of its exports, whose name needs no escaping.
    pub fn uri(&self, export: &str) -> String {
        format!("nbd+unix:///{export}?socket={}", self.socket.display())
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process
            .kill()
            .expect("a process of our own can be killed");
        self.process.wait().expect("what was killed has ended");
    }
}

impl Drop for NbdPeer {
    fn drop(&mut self) {
        self.kill();
    }
}
