//! Measurements of one part of the engine: example programs that print a piece of Markdown for `docs/benchmarks.md`.

use std::path::Path;

use anyhow::{Result, bail};

use super::{page, scratch::Scratch};
use crate::shell;

/// An example program whose commands take a folder to work in and print Markdown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    /// The word on the command line and the part of the page.
    pub(super) name: &'static str,
    package: &'static str,
    example: &'static str,
    /// In this order, each a process of its own.
    commands: &'static [&'static str],
}

pub(super) const SECTIONS: [Section; 1] = [Section {
    name: "index",
    package: "strongroom-index",
    example: "scale",
    commands: &["make", "ask"],
}];

impl Section {
    /// Builds the program, runs it in a folder of its own below `parent`, and puts what it prints into the page.
    pub(super) fn run(&self, parent: &Path) -> Result<()> {
        let mut build = shell::cargo(&["build", "--release", "--locked"]);
        build.args(["--package", self.package, "--example", self.example]);
        shell::run(&mut build)?;
        let scratch = Scratch::new(parent)?;
        super::interrupt::clean_up_on_signals(scratch.folder().to_owned())?;
        let program = shell::root()
            .join("target/release/examples")
            .join(self.example);
        let mut printed = String::new();
        for word in self.commands {
            println!("{} {word}", self.example);
            let mut command = shell::command(&program);
            printed += &shell::output(command.arg(word).arg(scratch.folder()))?;
        }
        if printed.trim().is_empty() {
            bail!("the example {} printed nothing", self.example);
        }
        let text = format!("{}\n\n{printed}", page::circumstances(scratch.folder())?);
        println!("{text}");
        scratch.remove()?;
        page::write(self.name, &text)
    }
}
