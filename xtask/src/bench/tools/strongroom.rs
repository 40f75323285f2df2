//! Ours.

use std::process::Command;

use anyhow::{Context, Result};

use super::{Step, Work};
use crate::shell;

pub(super) fn init(work: &Work) -> Command {
    let mut command = base(work);
    command.args(["repo", "init"]).arg(&work.repository);
    command
}

pub(super) fn command(step: Step, work: &Work) -> Result<Command> {
    let mut command = base(work);
    command.arg("repo");
    match step {
        Step::Full | Step::Unchanged | Step::Day2 | Step::Day3 | Step::Second => {
            let lineage = if step == Step::Second { "second" } else { "vm" };
            command.arg("backup").arg(&work.repository);
            command.args(["--lineage", lineage]).arg(&work.image);
        }
        Step::Restore => {
            command.arg("restore").arg(&work.repository);
            command
                .arg(newest_point(work)?)
                .arg("--to")
                .arg(&work.restored);
        }
        Step::Verify => {
            command
                .arg("verify")
                .arg(&work.repository)
                .arg("--read-data");
        }
    }
    Ok(command)
}

fn newest_point(work: &Work) -> Result<String> {
    let mut list = base(work);
    list.args(["repo", "list", "-o", "json"])
        .arg(&work.repository);
    let listed: serde_json::Value =
        serde_json::from_str(&shell::output(&mut list)?).context("repo list prints JSON")?;
    let newest = listed["points"].as_array().and_then(|points| points.last());
    let id = newest.and_then(|point| point["id"].as_str());
    Ok(id.context("the repository has no point")?.to_owned())
}

fn base(work: &Work) -> Command {
    let mut command = work.base();
    command.env("STRONGROOM_KEY_FILE", work.folder.join("key"));
    command
}
