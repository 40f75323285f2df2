//! `docs/benchmarks.md`: parts of it are written by us, between marks; the rest is people's.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::shell;

const PAGE: &str = "docs/benchmarks.md";
/// Under this heading people explain goals that are missed.
const EXPLANATIONS: &str = "\n## Missed goals\n";

/// Replaces the part called `name`.
pub(super) fn write(name: &str, text: &str) -> Result<()> {
    let page = shell::root().join(PAGE);
    let old = fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    let new = replaced(&old, name, text)
        .with_context(|| format!("{PAGE} has no place for the part `{name}`"))?;
    fs::write(&page, new).with_context(|| format!("cannot write {PAGE}"))?;
    println!("written to {PAGE}");
    Ok(())
}

pub(super) fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!("<!-- begin {name} -->\n");
    let end = format!("<!-- end {name} -->");
    let (head, rest) = page.split_once(&begin)?;
    let (_, tail) = rest.split_once(&end)?;
    Some(format!("{head}{begin}\n{}\n\n{end}{tail}", text.trim()))
}

/// The rows of `missed` that the page does not explain.
pub(super) fn unexplained<'a>(missed: &[&'a str]) -> Result<Vec<&'a str>> {
    let page = fs::read_to_string(shell::root().join(PAGE))
        .with_context(|| format!("cannot read {PAGE}"))?;
    Ok(unexplained_in(&page, missed))
}

pub(super) fn unexplained_in<'a>(page: &str, missed: &[&'a str]) -> Vec<&'a str> {
    let section = page.split_once(EXPLANATIONS).map_or("", |(_, rest)| rest);
    let section = section.split("\n## ").next().unwrap_or_default();
    let is_unexplained = |row: &&str| !section.contains(&format!("**{row}**"));
    missed.iter().copied().filter(is_unexplained).collect()
}

/// The day, the machine without its name, and the commit.
pub(super) fn circumstances(folder: &Path) -> Result<String> {
    let day = shell::output(shell::command("date").args(["--utc", "+%Y-%m-%d"]))?;
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let models: Vec<&str> = cpus
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split(": ").nth(1))
        .collect();
    let memory = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let kib: u64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse().ok())
        .context("MemTotal is the first number of /proc/meminfo")?;
    let system = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("Linux");
    let mut kind = shell::command("stat");
    kind.args(["--file-system", "--format", "%T"]).arg(folder);
    let kind = shell::output(&mut kind)?;
    Ok(format!(
        "{}: {} × {}, {} GiB, {}, all files on {}; commit {}.",
        day.trim(),
        models.len(),
        models.first().unwrap_or(&"unknown CPU"),
        kib >> 20,
        system.trim_matches('"'),
        kind.trim(),
        commit()?,
    ))
}

/// The commit that is measured, and whether files differ from it. The page itself does not count.
fn commit() -> Result<String> {
    let git = |arguments: &[&str]| shell::output(shell::command("git").args(arguments));
    let id = git(&["rev-parse", "--short", "HEAD"])?;
    let changed = git(&[
        "status",
        "--porcelain",
        "--untracked-files=no",
        "--",
        ":!docs",
    ])?;
    let suffix = if changed.is_empty() {
        ""
    } else {
        " with changes"
    };
    Ok(format!("{}{suffix}", id.trim()))
}

/// The mean number of runnable processes in the last minute.
pub(super) fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("unknown").to_owned()
}
