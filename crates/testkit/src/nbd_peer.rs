use std::fs::{self, File};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use crate::Authority;

/// How often, and how long in between, somebody looks whether a server listens: ten seconds.
const ATTEMPTS: usize = 1000;
const PAUSE: Duration = Duration::from_millis(10);

/// Somebody else's NBD server, on a unix socket or at a port of this host, killed by its own process id when dropped.
#[derive(Debug)]
pub struct NbdPeer {
    process: Child,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Socket(PathBuf),
    /// With TLS, of those who show what lies in the folder.
    Port(u16, PathBuf),
}

impl Place {
    fn answers(&self) -> bool {
        match self {
            Self::Socket(path) => UnixStream::connect(path).is_ok(),
            Self::Port(port, _) => TcpStream::connect(("localhost", *port)).is_ok(),
        }
    }
}

impl NbdPeer {
    /// `qemu-nbd` that stays when its clients leave; `arguments` end with the image, which is looked for in `folder`.
    pub fn qemu(folder: &Path, arguments: &[&str]) -> Self {
        let socket = folder.join("qemu-nbd.socket");
        let fixed = ["--persistent", "--shared=8", "--socket", text(&socket)];
        Self::start(
            "qemu-nbd",
            &fixed,
            folder,
            arguments,
            Place::Socket(socket.clone()),
        )
    }

    /// The same over TLS, for clients that the authority has signed as it has the server.
    pub fn qemu_over_tls(folder: &Path, authority: &Authority, arguments: &[&str]) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("this host has ports").port();
        let certificates = authority.folder();
        let credentials = format!(
            "tls-creds-x509,id=tls0,endpoint=server,verify-peer=yes,dir={}",
            text(certificates)
        );
        let number = port.to_string();
        let fixed = [
            "--persistent",
            "--shared=8",
            "--bind=127.0.0.1",
            "--port",
            &number,
        ];
        let fixed = [&fixed[..], &["--object", &credentials, "--tls-creds=tls0"]].concat();
        let place = Place::Port(port, certificates.to_owned());
        Self::start("qemu-nbd", &fixed, folder, arguments, place)
    }

    /// nbdkit in the foreground; `arguments` are filters, a plugin, and what they are told.
    pub fn nbdkit(folder: &Path, arguments: &[&str]) -> Self {
        let socket = folder.join("nbdkit.socket");
        let fixed = ["--foreground", "--unix", text(&socket)];
        Self::start(
            "nbdkit",
            &fixed,
            folder,
            arguments,
            Place::Socket(socket.clone()),
        )
    }

    /// Returns when the server takes connections.
    fn start(
        program: &str,
        fixed: &[&str],
        folder: &Path,
        arguments: &[&str],
        place: Place,
    ) -> Self {
        let log = folder.join(format!("{program}.log"));
        let file = File::create(&log).expect("a folder of our own");
        let process = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", program])
            .args(fixed)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file can be shared"))
            .stderr(file)
            .spawn()
            .expect("setpriv is part of every Linux");
        let mut peer = Self { process, place };
        let (_keep, never) = mpsc::channel::<()>();
        for _ in 0..ATTEMPTS {
            if peer.place.answers() {
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

    /// Of one that has a socket.
    pub fn socket(&self) -> &Path {
        match &self.place {
            Place::Socket(socket) => socket,
            Place::Port(..) => panic!("it has no socket"),
        }
    }

    /// The URI of one of its exports, whose name needs no escaping.
    pub fn uri(&self, export: &str) -> String {
        match &self.place {
            Place::Socket(socket) => format!("nbd+unix:///{export}?socket={}", socket.display()),
            Place::Port(port, certificates) => format!(
                "nbds://localhost:{port}/{export}?tls-certificates={}",
                certificates.display()
            ),
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.process
            .kill()
            .expect("a process of our own can be killed");
        self.process.wait().expect("what was killed has ended");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a folder of our own")
}

impl Drop for NbdPeer {
    fn drop(&mut self) {
        self.kill();
    }
}
