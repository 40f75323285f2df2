//! `cargo xtask bench`: Strongroom's engine beside the tools that people use today, on one corpus in one run.

mod corpus;
mod measure;
mod report;
mod tools;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{setup, shell};
use measure::Sample;
use tools::{Step, TOOLS, Tool};

pub(crate) const USAGE: &str = "cargo xtask bench [--size 1G] [--runs 3] [--folder target/bench]";

struct Options {
    size_bytes: u64,
    runs: usize,
    folder: PathBuf,
}

/// One measured step of one tool in one run.
struct Measured {
    tool: &'static str,
    step: Step,
    sample: Sample,
    /// What the repository holds after the step, in bytes.
    repository_bytes: u64,
}

pub(crate) fn run(arguments: &[&str]) -> Result<()> {
    let options = parse(arguments)?;
    setup::install_packages(&missing_packages())?;
    shell::run(&mut shell::cargo(&[
        "build",
        "--release",
        "--bin",
        "strongroom",
    ]))?;
    fs::create_dir_all(&options.folder)
        .with_context(|| format!("cannot create {}", options.folder.display()))?;
    let corpus = corpus::make(&options.folder.join("corpus"), options.size_bytes)?;

    let mut measured = Vec::new();
    for run in 1..=options.runs {
        // Tools take turns, so that a busy minute of the machine does not fall on one alone.
        for tool in TOOLS.iter().filter(|tool| tool.is_installed()) {
            println!("run {run}: {}", tool.name);
            let folder = options.folder.join("run");
            measured.extend(run_tool(tool, &corpus, &folder)?);
        }
    }
    let section = report::write(&corpus, &measured, options.runs)?;
    println!("{section}");
    remove(&options.folder)
}

/// Runs every step the tool has, in a new folder; what it restores must equal what it was given.
fn run_tool(tool: &Tool, corpus: &corpus::Corpus, folder: &Path) -> Result<Vec<Measured>> {
    remove(folder)?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let work = tools::Work::new(folder, corpus);
    tool.prepare(&work)?;
    let mut measured = Vec::new();
    for step in Step::ALL {
        let Some(command) = tool.command(step, &work)? else {
            continue;
        };
        corpus::read_once(work.image(step))?;
        let sample = measure::run(&command, folder)?;
        if step == Step::Restore {
            corpus::compare(work.image(step), &tool.restored(&work))?;
        }
        measured.push(Measured {
            tool: tool.name,
            step,
            sample,
            repository_bytes: measure::size_of(&work.repository)?,
        });
    }
    remove(folder)?;
    Ok(measured)
}

fn missing_packages() -> Vec<&'static str> {
    let programs = [
        ("restic", "restic"),
        ("borg", "borgbackup"),
        ("qemu-img", "qemu-utils"),
        ("mke2fs", "e2fsprogs"),
        ("time", "time"),
    ];
    let missing = programs
        .into_iter()
        .filter(|(program, _)| shell::find_program(program).is_none());
    missing.map(|(_, package)| package).collect()
}

fn parse(arguments: &[&str]) -> Result<Options> {
    let mut options = Options {
        size_bytes: 1 << 30,
        runs: 3,
        folder: shell::root().join("target/bench"),
    };
    for pair in arguments.chunks(2) {
        match *pair {
            ["--size", size] => options.size_bytes = parse_size(size)?,
            ["--runs", runs] => options.runs = runs.parse().context("--runs takes a number")?,
            ["--folder", folder] => options.folder = folder.into(),
            _ => bail!("usage: {USAGE}"),
        }
    }
    if options.runs == 0 || options.size_bytes < 64 << 20 {
        bail!("at least one run, of at least 64M");
    }
    Ok(options)
}

/// `512M` or `4G` in bytes.
fn parse_size(text: &str) -> Result<u64> {
    let shift = match text.chars().last() {
        Some('M') => 20,
        Some('G') => 30,
        _ => bail!("--size takes a number with M or G, not {text:?}"),
    };
    let number: u64 = text[..text.len() - 1]
        .parse()
        .context("--size takes a number with M or G")?;
    Ok(number << shift)
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{corpus, measure, parse, parse_size};

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!(parse_size("512M").unwrap(), 512 << 20);
        assert_eq!(parse_size("4G").unwrap(), 4 << 30);
        assert!(parse_size("4").is_err());
        assert!(parse_size("").is_err());
        assert!(parse_size("xM").is_err());
    }

    #[test]
    fn options_override_the_defaults() {
        let options = parse(&["--runs", "1", "--folder", "/tmp/x"]).unwrap();
        assert_eq!((options.size_bytes, options.runs), (1 << 30, 1));
        assert_eq!(options.folder, Path::new("/tmp/x"));
        assert!(parse(&["--runs"]).is_err());
        assert!(parse(&["--size", "1M"]).is_err());
    }

    #[test]
    fn what_time_writes_is_understood() {
        let sample = measure::parse("1.50 2.00 0.25 2048\n").unwrap();
        assert!((sample.cpu_seconds - 2.25).abs() < 1e-9);
        assert!((sample.peak_mib - 2.0).abs() < 1e-9);
        assert!(measure::parse("Command terminated by signal 9\n").is_err());
    }

    #[test]
    fn a_restored_copy_must_be_equal() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
        assert!(corpus::compare(&own, &own).is_ok());
        assert!(corpus::compare(&own, &other).is_err());
    }
}
