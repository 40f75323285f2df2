//! A server of the real binary on a free port, in a folder of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_strongroom");

/// Killed, by its own process id, when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) endpoint: String,
    data_dir: PathBuf,
    /// Kept for its drop.
    folder: Option<TempDir>,
}

impl Server {
    /// A new installation in a temporary folder.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self::start_in(&folder.path().join("data"));
        server.folder = Some(folder);
        server
    }

    /// A process over an installation that may exist already.
    pub(crate) fn start_in(data_dir: &Path) -> Self {
        Self::start_by(Command::new(BINARY), data_dir)
    }

    /// As [`Self::start_in`], with the first words of the command line given, e.g. `unshare … strongroom`.
    pub(crate) fn start_by(command: Command, data_dir: &Path) -> Self {
        Self::start_with(command, data_dir, &[])
    }

    /// As [`Self::start_by`], with more flags for `serve`.
    pub(crate) fn start_with(command: Command, data_dir: &Path, flags: &[&str]) -> Self {
        Self::start_at(command, "127.0.0.1:0", data_dir, flags)
    }

    /// As [`Self::start_with`], at an address that others know.
    pub(crate) fn start_at(
        mut command: Command,
        address: &str,
        data_dir: &Path,
        flags: &[&str],
    ) -> Self {
        let mut process = command
            .args(["serve", "--listen", address, "--data-dir"])
            .arg(data_dir)
            .args(flags)
            .env("STRONGROOM__LOG__FILTER", "info")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file(data_dir))
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let endpoint = line.trim().strip_prefix("ready ").unwrap_or_else(|| {
            panic!(
                "the server is not ready: {line:?}; log: {}",
                std::fs::read_to_string(log_path(data_dir)).unwrap()
            )
        });
        Self {
            endpoint: endpoint.to_owned(),
            process,
            data_dir: data_dir.to_owned(),
            folder: None,
        }
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    pub(crate) fn credentials_path(&self) -> PathBuf {
        self.data_dir.join("credentials.json")
    }

    pub(crate) fn credentials(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.credentials_path()).unwrap()).unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.data_dir)).unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert_eq!(status.signal(), Some(9));
    }

    /// SIGTERM, and the end it leads to.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        self.process.wait().unwrap()
    }

    /// Runs a client verb against this server and returns what it printed.
    pub(crate) fn verb(&self, arguments: &[&str]) -> Value {
        let output = self.try_verb(arguments);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// Adds a server that is off to the inventory.
    pub(crate) fn add_server(&self, name: &str, disks: &[&Path]) -> Value {
        let mut verb = vec!["server", "add", "--name", name];
        for disk in disks {
            verb.extend(["--disk", disk.to_str().unwrap()]);
        }
        self.verb(&verb)["server"].take()
    }

    pub(crate) fn try_verb(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(BINARY)
            .args(arguments)
            .args(["-o", "json", "--credentials"])
            .arg(self.credentials_path())
            .output()
            .unwrap()
    }

    pub(crate) fn repositories_are_clean(&self) {
        for entry in std::fs::read_dir(self.data_dir.join("repositories")).unwrap() {
            let path = entry.unwrap().path();
            let key = self.data_dir.join("keys").join(format!(
                "{}.key",
                path.file_name().unwrap().to_str().unwrap()
            ));
            let output = Command::new(BINARY)
                .args(["repo", "verify", "--read-data", "-o", "json", "--key-file"])
                .args([&key, &path])
                .output()
                .unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.try_wait().unwrap().is_none() {
            self.process.kill().unwrap();
            self.process.wait().unwrap();
        }
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

/// A port that nothing takes between two starts of one server: outside of what the system gives away by itself.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 500).unwrap() * 20;
    loop {
        let port = 20_000 + first + NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn log_path(data_dir: &Path) -> PathBuf {
    data_dir.with_extension("log")
}

fn log_file(data_dir: &Path) -> std::fs::File {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(log_path(data_dir))
        .unwrap()
}
