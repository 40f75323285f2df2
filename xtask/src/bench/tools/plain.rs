//! Tools that make one file of one image: no history, so they have no changed day.

use std::process::Command;

use super::{Step, Work};

pub(super) fn qemu_img(step: Step, work: &Work) -> Option<Command> {
    let mut command = work.base();
    match step {
        Step::Full => {
            command.args(["convert", "-f", "raw", "-c", "-O", "qcow2", "-o"]);
            command.args(["compression_type=zstd", "-m", "2", "-W"]);
            command.arg(&work.image).arg(&work.repository);
        }
        Step::Restore => {
            command.args(["convert", "-f", "qcow2", "-O", "raw", "-m", "2", "-W"]);
            command.arg(&work.repository).arg(&work.restored);
        }
        _ => return None,
    }
    Some(command)
}

pub(super) fn zstd(step: Step, work: &Work) -> Option<Command> {
    let mut command = work.base();
    match step {
        Step::Full => command.args(["-1", "-T2", "-q", "-f"]).arg(&work.image),
        Step::Restore => command
            .args(["-d", "-q", "-f", "--sparse"])
            .arg(&work.repository),
        _ => return None,
    };
    let made = if step == Step::Full {
        &work.repository
    } else {
        &work.restored
    };
    command.arg("-o").arg(made);
    Some(command)
}

pub(super) fn cp(step: Step, work: &Work) -> Option<Command> {
    let mut command = work.base();
    command.arg("--sparse=always");
    match step {
        Step::Full => command.arg(&work.image).arg(&work.repository),
        Step::Restore => command.arg(&work.repository).arg(&work.restored),
        _ => return None,
    };
    Some(command)
}
