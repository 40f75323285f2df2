//! borg 1: content-defined chunks of about 2 MiB or fixed ones, encrypted, one thread.

use std::process::Command;

use anyhow::{Context, Result};

use super::{Step, Work};

pub(super) fn init(work: &Work) -> Command {
    let mut command = base(work);
    command
        .args(["init", "--encryption", "repokey-blake2"])
        .arg(&work.repository);
    command
}

pub(super) fn command(step: Step, work: &Work, options: &[&str]) -> Result<Command> {
    let mut command = base(work);
    let archive = |step: Step| {
        let name = step.name().replace(' ', "");
        format!("{}::{name}", work.repository.display())
    };
    match step {
        Step::Full | Step::Unchanged | Step::Day2 | Step::Day3 | Step::Second => {
            // The cache of files would let it skip an image whose times stand still.
            command.args(["create", "--files-cache=disabled"]);
            command.args(options).arg(archive(step)).arg(&work.image);
        }
        Step::Restore => {
            std::fs::create_dir_all(&work.restored).context("cannot create a folder")?;
            command.current_dir(&work.restored);
            command
                .args(["extract", "--sparse"])
                .arg(archive(Step::Day3));
        }
        Step::Verify => {
            command.args(["check", "--verify-data"]);
            command.arg(&work.repository);
        }
    }
    Ok(command)
}

fn base(work: &Work) -> Command {
    let mut command = work.base();
    command
        .env("BORG_PASSPHRASE", "benchmark")
        .env("BORG_BASE_DIR", work.folder.join("cache"));
    command
}
