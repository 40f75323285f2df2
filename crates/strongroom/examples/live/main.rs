//! A running machine backed up by Strongroom and by virtnbdbackup: `live FOLDER CORPUS STRONGROOM RUNS`, CORPUS being a folder
//! with the images `day1.img` to `day3.img`. Prints tables of Markdown.
//!
//! Every tool is given a machine of libvirt's whose disk holds the first day, backs it up, twice again when the machine has
//! written what the next day has in other ways, and restores the third day to a new image, which is compared. Then a Linux
//! that writes all the time is asked how long its writes take while it is backed up.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a tool for people, which measures the real clock and waits for processes of others"
)]

mod domain;
mod latency;
mod report;
mod strongroom;
mod tools;
mod virtnbdbackup;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use domain::Domain;
use tools::{Measured, Step, Tool};

pub(crate) const DAYS: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [folder, corpus, program, runs] = &arguments[..] else {
        bail!("live FOLDER CORPUS STRONGROOM RUNS");
    };
    let runs = runs.to_str().and_then(|runs| runs.parse().ok());
    let runs: usize = runs.context("RUNS is a number")?;
    let days: [PathBuf; DAYS] = [1, 2, 3].map(|day| corpus.join(format!("day{day}.img")));
    let mut measured = Vec::new();
    for run in 1..=runs {
        for tool in Tool::ALL {
            let folder = folder.join("run");
            let steps = back_up_days(tool, &folder, &days, program)
                .with_context(|| format!("{} in run {run}", tool.name()))?;
            eprintln!("run {run}: {}: {}", tool.name(), report::in_short(&steps));
            measured.extend(steps);
            std::fs::remove_dir_all(&folder).context("cannot remove what a run made")?;
        }
    }
    let waits = latency::measure(&folder.join("run"), &days[0], program)?;
    println!("{}", report::write(&measured, &waits));
    Ok(())
}

fn back_up_days(
    tool: Tool,
    folder: &Path,
    days: &[PathBuf; DAYS],
    program: &Path,
) -> Result<Vec<Measured>> {
    let domain = Domain::start(folder, &days[0])?;
    let mut keeper = tool.prepare(&domain, program)?;
    let mut measured = Vec::new();
    let mut note = |step, seconds, kept_bytes| {
        measured.push(Measured {
            tool,
            step,
            seconds,
            kept_bytes,
        });
    };
    for (number, day) in days.iter().enumerate() {
        if number > 0 {
            domain.live_through(&days[number - 1], day)?;
        }
        let seconds = tools::timed(|| keeper.back_up(number == 0))?;
        note(Step::BACKUPS[number], seconds, keeper.kept_bytes()?);
    }
    let image = keeper.prepare_restore()?;
    let seconds = tools::timed(|| keeper.restore())?;
    note(Step::Restore, seconds, keeper.kept_bytes()?);
    tools::compare(&image, &days[DAYS - 1])?;
    Ok(measured)
}
