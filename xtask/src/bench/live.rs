//! `cargo xtask bench live`: a running machine, backed up by the service and by virtnbdbackup.

use std::fs;

use anyhow::{Context, Result};

use super::options::Options;
use super::scratch::Scratch;
use super::{corpus, interrupt, page, peers};
use crate::{guest, setup, shell};

/// What a run keeps beside the days: the machine's disk, a tool's backups, and what is restored.
const COPIES: u64 = 6;

pub(super) fn run(options: &Options) -> Result<()> {
    setup::run()?;
    peers::install_helpers()?;
    peers::packaged("virtnbdbackup", "virtnbdbackup")?;
    let mut build = shell::cargo(&["build", "--release", "--locked", "--package", "strongroom"]);
    shell::run(build.args(["--bins", "--example", "live"]))?;
    let parent = options.folder.clone();
    let on_disk = shell::root().join("target/bench");
    // Not in memory, which QEMU and the service need too.
    let scratch = Scratch::new(&parent.unwrap_or(on_disk))?;
    interrupt::clean_up_on_signals(scratch.folder().to_owned())?;
    println!(
        "working in {}, which needs {} GiB",
        scratch.folder().display(),
        (options.size_bytes * COPIES) >> 30
    );
    let images = scratch.folder().join("corpus");
    fs::create_dir(&images).with_context(|| format!("cannot create {}", images.display()))?;
    let corpus = corpus::make(&images, options.size_bytes)?;
    fs::remove_file(&corpus.second).context("cannot remove the second disk")?;

    let release = shell::root().join("target/release");
    let mut live = shell::command(release.join("examples/live"));
    live.arg(scratch.folder())
        .arg(&images)
        .arg(release.join("strongroom"))
        .arg(options.runs.to_string())
        .env(guest::VARIABLE, guest::folder());
    let load = page::load();
    let printed = shell::output(&mut live)?;
    let text = format!(
        "{}\n\n{}\n\nMedians of {}; load average at the beginning: {load}.\n\n{printed}",
        page::circumstances(scratch.folder())?,
        corpus.description(),
        options.runs
    );
    println!("{text}");
    scratch.remove()?;
    if options.is_of_goals_size() {
        page::write("live", &text)?;
    }
    Ok(())
}
