//! Ctrl-C, and the other polite ways to end a run: what was started ends, what was written goes.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::thread;

use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

/// From now on SIGINT, SIGTERM and SIGHUP end our children, remove `folder` and end us.
pub(super) fn clean_up_on_signals(folder: PathBuf) -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    // The standard library unblocks them again in every child it starts.
    signals.thread_block().context("cannot block signals")?;
    thread::spawn(move || {
        let signal = signals.wait();
        println!(
            "interrupted: ending what runs and removing {}",
            folder.display()
        );
        end_descendants();
        // A child may have written between its end and the first try.
        let removed = (0..3).any(|_| !folder.exists() || fs::remove_dir_all(&folder).is_ok());
        if !removed {
            println!("{} could not be removed", folder.display());
        }
        process::exit(signal.map_or(1, |signal| 128 + signal as i32));
    });
    Ok(())
}

/// Kills our children, theirs and so on, until there are none.
fn end_descendants() {
    for _ in 0..100 {
        let found = descendants(process::id());
        if found.is_empty() {
            return;
        }
        for id in found {
            // One that ended by itself since it was listed is what we want.
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

/// The ids of all running processes below `root`.
fn descendants(root: u32) -> Vec<i32> {
    let processes: Vec<(i32, i32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(|id: i32| parent(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?, id))
        .collect();
    let mut found: Vec<i32> = i32::try_from(root).into_iter().collect();
    let mut seen = 0;
    while seen < found.len() {
        let of = found[seen];
        found.extend(
            processes
                .iter()
                .filter(|(_, up)| *up == of)
                .map(|(id, _)| id),
        );
        seen += 1;
    }
    found.split_off(1)
}

/// The process and its parent, out of its `stat`; none for one that has ended already and only waits to be noticed.
pub(super) fn parent(stat: &str, id: i32) -> Option<(i32, i32)> {
    // The name before it, in brackets, may hold anything.
    let mut rest = stat.get(stat.rfind(')')? + 1..)?.split_whitespace();
    let state = rest.next()?;
    let up = rest.next()?.parse().ok()?;
    (state != "Z").then_some((id, up))
}
