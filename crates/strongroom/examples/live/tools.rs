//! What is compared, and how it is timed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::DAYS;
use crate::domain::Domain;
use crate::strongroom::Strongroom;
use crate::virtnbdbackup::VirtNbdBackup;

const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tool {
    Strongroom,
    VirtNbdBackup,
    VirtNbdBackupLz4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Full,
    Day2,
    Day3,
    Restore,
}

/// One step of one tool in one run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) tool: Tool,
    pub(crate) step: Step,
    pub(crate) seconds: f64,
    /// Of all backups after the step.
    pub(crate) kept_bytes: u64,
}

/// A tool that has been told of a machine.
pub(crate) trait Keeper {
    fn back_up(&mut self, full: bool) -> Result<()>;
    /// Makes what is not part of a restore's time; answers the image that will hold the machine's disk.
    fn prepare_restore(&mut self) -> Result<PathBuf>;
    /// The last backup.
    fn restore(&mut self) -> Result<()>;
    fn kept_bytes(&self) -> Result<u64>;
}

impl Tool {
    pub(crate) const ALL: [Self; 3] = [
        Self::Strongroom,
        Self::VirtNbdBackup,
        Self::VirtNbdBackupLz4,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Strongroom => "strongroom",
            Self::VirtNbdBackup => "virtnbdbackup",
            Self::VirtNbdBackupLz4 => "virtnbdbackup -z",
        }
    }

    pub(crate) fn prepare(self, domain: &Domain, program: &Path) -> Result<Box<dyn Keeper>> {
        Ok(match self {
            Self::Strongroom => Box::new(Strongroom::start(domain, program, None)?),
            Self::VirtNbdBackup => Box::new(VirtNbdBackup::new(domain, false)?),
            Self::VirtNbdBackupLz4 => Box::new(VirtNbdBackup::new(domain, true)?),
        })
    }
}

impl Step {
    pub(crate) const BACKUPS: [Self; DAYS] = [Self::Full, Self::Day2, Self::Day3];
    pub(crate) const ALL: [Self; 4] = [Self::Full, Self::Day2, Self::Day3, Self::Restore];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Day2 => "incremental, day 2",
            Self::Day3 => "incremental, day 3",
            Self::Restore => "restore of day 3",
        }
    }
}

/// Seconds that `work` takes.
pub(crate) fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed().as_secs_f64())
}

/// Runs a program to its end; what it printed, or an error with what it complained of.
pub(crate) fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!("{command:?}: {said}");
    }
    Ok(output.stdout)
}

/// Fails unless the guest sees the same in both, once nobody writes the first any more: virtnbdrestore does not wait for the
/// process that it writes through.
pub(crate) fn compare(qcow2: &Path, raw: &Path) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut compare = Command::new("qemu-img");
        compare.args(["compare", "-q", "-f", "qcow2", "-F", "raw"]);
        match run(compare.arg(qcow2).arg(raw)) {
            Ok(_) => return Ok(()),
            Err(error) if error.to_string().contains("lock") && started.elapsed() < PATIENCE => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error).context("what was restored is not the third day"),
        }
    }
}

pub(crate) fn bytes_below(folder: &Path) -> Result<u64> {
    let mut sum = 0;
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?
    {
        let entry = entry?;
        let about = entry.metadata()?;
        sum += if about.is_dir() {
            bytes_below(&entry.path())?
        } else {
            about.len()
        };
    }
    Ok(sum)
}
