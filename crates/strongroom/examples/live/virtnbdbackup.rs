//! `virtnbdbackup` and `virtnbdrestore` as Debian ships them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::domain::Domain;
use crate::tools::{Keeper, bytes_below, run};

#[derive(Debug)]
pub(crate) struct VirtNbdBackup {
    uri: String,
    domain: &'static str,
    compress: bool,
    /// Backups, scratch files and what is restored.
    backups: PathBuf,
    scratch: PathBuf,
    restored: PathBuf,
}

impl VirtNbdBackup {
    pub(crate) fn new(domain: &Domain, compress: bool) -> Result<Self> {
        Ok(Self {
            // With its transport named, it asks for a password.
            uri: domain.libvirt.uri().replacen("+unix", "", 1),
            domain: domain.name,
            compress,
            backups: domain.folder.join("backups"),
            scratch: domain.shared_folder("scratch")?,
            restored: domain.shared_folder("restored")?,
        })
    }

    fn socket(&self) -> PathBuf {
        self.scratch.join("nbd.sock")
    }
}

impl Keeper for VirtNbdBackup {
    fn back_up(&mut self, full: bool) -> Result<()> {
        let mut command = Command::new("virtnbdbackup");
        command
            .args(["--noprogress", "--uri", &self.uri, "--domain", self.domain])
            .args(["--level", if full { "full" } else { "inc" }])
            .arg("--scratchdir")
            .arg(&self.scratch)
            .arg("--socketfile")
            .arg(self.socket())
            .arg("--output")
            .arg(&self.backups);
        if self.compress {
            command.arg("--compress");
        }
        run(&mut command).map(drop)
    }

    fn prepare_restore(&mut self) -> Result<PathBuf> {
        Ok(self.restored.join("0.qcow2"))
    }

    fn restore(&mut self) -> Result<()> {
        let mut command = Command::new("virtnbdrestore");
        command
            .args(["--noprogress", "--uri", &self.uri])
            .arg("--logfile")
            .arg(self.restored.join("log"))
            .arg("--socketfile")
            .arg(self.socket())
            .arg("--input")
            .arg(&self.backups)
            .arg("--output")
            .arg(&self.restored);
        run(&mut command).map(drop)
    }

    fn kept_bytes(&self) -> Result<u64> {
        let logs = fs::read_dir(&self.backups)?
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|end| end == "log"));
        let mut logged = 0;
        for log in logs {
            logged += log.metadata().context("cannot look at a log")?.len();
        }
        Ok(bytes_below(&self.backups)? - logged)
    }
}
