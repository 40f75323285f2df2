//! `cargo xtask bench live`: a running machine, backed up by the service and by virtnbdbackup.

use std::fs;

use anyhow::{Context, Result};

use super::options::Options;
use super::scratch::{self, Scratch};
use super::{corpus, interrupt, page, peers};
use crate::{guest, setup, shell};

/// What a run keeps, for each byte of an image of which four tenths are zeros: three days, the machine's disk, a tool's
/// backups, and what is restored.
const COPIES: u64 = 4;
/// Smaller machines' figures stay out of the page.
const LEAST_BYTES: u64 = 2 << 30;

pub(super) fn run(options: &Options) -> Result<()> {
    setup::run()?;
    peers::install_helpers()?;
    peers::packaged("virtnbdbackup", "virtnbdbackup")?;
    let mut build = shell::cargo(&["build", "--release", "--locked", "--package", "strongroom"]);
    shell::run(build.args(["--bins", "--example", "live"]))?;
    // On disk not in our own tree: sockets lie there, whose names are short.
    let parent = options.folder.clone();
    let parent = parent.unwrap_or_else(|| {
        scratch::in_memory(options.size_bytes * COPIES).unwrap_or_else(std::env::temp_dir)
    });
    let scratch = Scratch::new(&parent)?;
    interrupt::clean_up_on_signals(scratch.folder().to_owned())?;
    println!("working in {}", scratch.folder().display());
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
    if options.size_bytes >= LEAST_BYTES {
        page::write("live", &text)?;
    }
    Ok(())
}
