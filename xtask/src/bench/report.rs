//! The section of `docs/benchmarks.md`.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use super::Measured;
use super::corpus::Corpus;
use super::tools::{Step, TOOLS};
use crate::shell;

const PAGE: &str = "docs/benchmarks.md";
/// Everything after this line is ours.
const MARK: &str = "<!-- written by `cargo xtask bench` -->\n";

const COMMANDS: &str = "\
strongroom: repo init; repo backup --lineage vm; repo restore POINT --to FILE; repo verify --read-data
restic:     init; backup --force; restore latest; check --read-data
borg:       init -e repokey-blake2; create --files-cache=disabled -C …; extract; check --verify-data
qemu-img:   convert -c -O qcow2 -o compression_type=zstd -W; convert -O raw -W   (no encryption, no deduplication, one state)

restic and borg derive their keys from a passphrase, which costs restic about half a second in every command; strongroom is given a key file.
";

pub(super) fn write(corpus: &Corpus, measured: &[Measured], runs: usize) -> Result<String> {
    let section = section(corpus, measured, runs)?;
    let page = shell::root().join(PAGE);
    let text = fs::read_to_string(&page).with_context(|| format!("cannot read {PAGE}"))?;
    let head = text.split(MARK).next().unwrap_or_default();
    fs::write(&page, format!("{}\n\n{MARK}{section}", head.trim_end()))
        .with_context(|| format!("cannot write {PAGE}"))?;
    Ok(section)
}

fn section(corpus: &Corpus, measured: &[Measured], runs: usize) -> Result<String> {
    let mib = |bytes: u64| bytes >> 20;
    let mut text = String::new();
    let day = shell::output(shell::command("date").args(["--utc", "+%Y-%m-%d"]))?;
    writeln!(text, "\n## {}\n", day.trim())?;
    writeln!(text, "{}\n", machine(corpus)?)?;
    writeln!(
        text,
        "Corpus: an ext4 image of {} MiB, {} MiB of it zeros, the rest system files, half-random database pages and random \
         data. The next day {} MiB of its 4 KiB blocks have changed, a fifth of them scattered over busy places, the others in \
         runs: {:.1} % of its pieces of 64 KiB and {:.1} % of those of 1 MiB hold a change. Medians of {runs}. Every \
         restore was compared with its original.\n",
        mib(corpus.size_bytes),
        mib(corpus.zero_bytes),
        mib(corpus.changed_bytes()),
        corpus.touched_percent(64 << 10),
        corpus.touched_percent(1 << 20),
    )?;
    table(&mut text, "Wall seconds", measured, |m| {
        m.sample.wall_seconds
    })?;
    table(&mut text, "CPU seconds", measured, |m| m.sample.cpu_seconds)?;
    ratios(&mut text, measured)?;
    table(
        &mut text,
        "Peak memory of the largest process, MiB",
        measured,
        |m| m.sample.peak_mib,
    )?;
    repositories(&mut text, measured)?;
    writeln!(text, "```text\n{COMMANDS}```\n")?;
    for tool in TOOLS.iter().filter(|tool| tool.is_installed()) {
        writeln!(text, "- {}: {}", tool.name, tool.version()?)?;
    }
    Ok(text)
}

/// What the numbers depend on, without the machine's name.
fn machine(corpus: &Corpus) -> Result<String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let models: Vec<&str> = cpus
        .lines()
        .filter(|line| line.starts_with("model name"))
        .collect();
    let model = models
        .first()
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown CPU");
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
    kind.args(["--file-system", "--format", "%T"])
        .arg(&corpus.day1);
    let kind = shell::output(&mut kind)?;
    let commit = shell::output(shell::command("git").args(["rev-parse", "--short", "HEAD"]))?;
    Ok(format!(
        "{} × {model}, {} GiB, {}, all files on {}; commit {}.",
        models.len(),
        kib >> 20,
        system.trim_matches('"'),
        kind.trim(),
        commit.trim(),
    ))
}

/// The median over the runs, if the tool did the step.
fn median(
    measured: &[Measured],
    tool: &str,
    step: Step,
    value: impl Fn(&Measured) -> f64,
) -> Option<f64> {
    let of_step = measured.iter().filter(|m| m.tool == tool && m.step == step);
    let mut values: Vec<f64> = of_step.map(value).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn table(
    text: &mut String,
    title: &str,
    measured: &[Measured],
    value: impl Fn(&Measured) -> f64,
) -> Result<()> {
    head(text, title)?;
    rows(text, measured, |tool, step| {
        let median = median(measured, tool, step, &value)?;
        Some(if median < 100.0 {
            format!("{median:.2}")
        } else {
            format!("{median:.0}")
        })
    })
}

fn ratios(text: &mut String, measured: &[Measured]) -> Result<()> {
    head(
        text,
        "Wall time as a multiple of strongroom's (above 1: slower than strongroom)",
    )?;
    rows(text, measured, |tool, step| {
        let wall = |tool| median(measured, tool, step, |m| m.sample.wall_seconds);
        Some(format!("{:.1}", wall(tool)? / wall(TOOLS[0].name)?))
    })
}

fn head(text: &mut String, title: &str) -> Result<()> {
    let steps = Step::ALL.map(Step::name).join(" | ");
    writeln!(
        text,
        "{title}:\n\n| tool | {steps} |\n|---|{}",
        "---|".repeat(Step::ALL.len())
    )?;
    Ok(())
}

fn rows(
    text: &mut String,
    measured: &[Measured],
    cell: impl Fn(&str, Step) -> Option<String>,
) -> Result<()> {
    for tool in TOOLS
        .iter()
        .filter(|tool| measured.iter().any(|m| m.tool == tool.name))
    {
        let cells = Step::ALL.map(|step| cell(tool.name, step).unwrap_or_else(|| "–".to_owned()));
        writeln!(text, "| {} | {} |", tool.name, cells.join(" | "))?;
    }
    writeln!(text)?;
    Ok(())
}

fn repositories(text: &mut String, measured: &[Measured]) -> Result<()> {
    writeln!(
        text,
        "Repository, MiB:\n\n| tool | after full | + unchanged | + changed |\n|---|---|---|---|"
    )?;
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let size = |tool: &str, step| {
        median(measured, tool, step, |m| {
            m.repository_bytes as f64 / f64::from(1 << 20)
        })
    };
    for tool in TOOLS
        .iter()
        .filter(|tool| measured.iter().any(|m| m.tool == tool.name))
    {
        let full = size(tool.name, Step::Full);
        let unchanged = size(tool.name, Step::Unchanged);
        let changed = size(tool.name, Step::Changed);
        let cells = [
            full,
            unchanged.zip(full).map(|(after, before)| after - before),
            changed.zip(unchanged).map(|(after, before)| after - before),
        ];
        let cells =
            cells.map(|cell| cell.map_or_else(|| "–".to_owned(), |mib| format!("{mib:.1}")));
        writeln!(text, "| {} | {} |", tool.name, cells.join(" | "))?;
    }
    writeln!(text)?;
    Ok(())
}
