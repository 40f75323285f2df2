//! `cargo xtask bench load`: the control plane with many clients and large tables, on both databases.

use std::path::Path;

use anyhow::Result;

use super::scratch::Scratch;
use super::{interrupt, page};
use crate::postgres::Cluster;
use crate::shell;

pub(super) fn run(parent: &Path) -> Result<()> {
    let mut build = shell::cargo(&["build", "--release", "--locked", "--package", "strongroom"]);
    shell::run(build.args(["--bins", "--example", "load"]))?;
    let release = shell::root().join("target/release");
    let scratch = Scratch::new(parent)?;
    interrupt::clean_up_on_signals(scratch.folder().to_owned())?;
    let cluster = Cluster::start_durable()?;
    let mut text = page::circumstances(scratch.folder())?;
    for database in ["sqlite", &cluster.address()] {
        let folder = scratch.folder().join(match database {
            "sqlite" => database,
            _ => "postgres",
        });
        std::fs::create_dir(&folder)?;
        let mut command = shell::command(release.join("examples/load"));
        command.arg(database).arg(&folder);
        let printed = shell::output(command.arg(release.join("strongroom")))?;
        println!("{printed}");
        text += "\n\n";
        text += printed.trim();
    }
    cluster.stop()?;
    scratch.remove()?;
    page::write("load", &text)
}
