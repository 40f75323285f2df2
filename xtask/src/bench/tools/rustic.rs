//! rustic: restic's format, written in Rust.

use std::process::Command;

use super::{Step, Work};

pub(super) fn init(work: &Work) -> Command {
    let mut command = base(work);
    command.arg("init");
    command
}

pub(super) fn command(step: Step, work: &Work) -> Command {
    let mut command = base(work);
    match step {
        Step::Full | Step::Unchanged | Step::Day2 | Step::Day3 | Step::Second => {
            command.args(["backup", "--force"]).arg(&work.image)
        }
        Step::Restore => command.args(["restore", "latest"]).arg(&work.restored),
        Step::Verify => command.args(["check", "--read-data"]),
    };
    command
}

fn base(work: &Work) -> Command {
    let mut command = work.base();
    command
        .env("RUSTIC_PASSWORD", "benchmark")
        .env("RUSTIC_CACHE_DIR", work.folder.join("cache"))
        .args(["--no-progress", "--log-level", "warn", "--repository"])
        .arg(&work.repository);
    command
}
