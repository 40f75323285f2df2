//! restic: content-defined chunks of about 1 MiB, zstd, encrypted.

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
        // --force: an image that a machine writes to must be read, whatever its times say.
        Step::Full | Step::Unchanged | Step::Day2 | Step::Day3 | Step::Second => {
            command.args(["backup", "--force"]).arg(&work.image)
        }
        Step::Restore => command
            .args(["restore", "latest", "--sparse", "--target"])
            .arg(&work.restored),
        Step::Verify => command.args(["check", "--read-data"]),
    };
    command
}

fn base(work: &Work) -> Command {
    let mut command = work.base();
    command
        .env("RESTIC_PASSWORD", "benchmark")
        .env("RESTIC_CACHE_DIR", work.folder.join("cache"))
        .arg("--quiet")
        .arg("--repo")
        .arg(&work.repository);
    command
}
