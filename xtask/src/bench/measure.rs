//! Seconds, CPU seconds and memory of one command, through GNU time.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::shell;

#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    /// Of the largest process.
    pub(super) peak_mib: f64,
}

/// No step of any tool takes as long as this.
const DEADLINE: &str = "1h";

/// Runs `command` in silence; `folder` takes the measurement for a moment.
pub(super) fn run(command: &Command, folder: &Path) -> Result<Sample> {
    let record = folder.join("time.txt");
    // It ends the whole group of processes, the tool itself included.
    let mut time = Command::new("timeout");
    time.args(["--kill-after=10s", DEADLINE])
        .arg(shell::find_program("time").context("GNU time is not installed")?)
        .args(["--format", "%e %U %S %M", "--output"])
        .arg(&record);
    time.arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        time.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            time.env(name, value);
        }
    }
    shell::output(&mut time)?;
    let text = fs::read_to_string(&record).context("GNU time writes what it measured")?;
    parse(&text)
}

pub(super) fn parse(text: &str) -> Result<Sample> {
    let numbers: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("GNU time wrote {text:?}"))?;
    let [wall_seconds, user, system, peak_kib] = numbers[..] else {
        anyhow::bail!("GNU time wrote {text:?}");
    };
    Ok(Sample {
        wall_seconds,
        cpu_seconds: user + system,
        peak_mib: peak_kib / 1024.0,
    })
}

/// The sizes of all files under `path`, or of the file itself.
pub(super) fn mib_of(path: &Path) -> Result<f64> {
    #[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
    let mib = size_of(path)? as f64 / f64::from(1 << 20);
    Ok(mib)
}

fn size_of(path: &Path) -> Result<u64> {
    let metadata =
        fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot list {}", path.display()))?;
    let mut total = 0;
    for entry in entries {
        total += size_of(&entry.context("cannot list a repository")?.path())?;
    }
    Ok(total)
}
