//! The project's automation. `cargo xtask help` lists the commands.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool talks to its user"
)]

mod bench;
mod cargo_test;
mod ci;
mod guest;
mod postgres;
mod qemu;
mod setup;
mod shell;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask ci            everything a change must pass; installs what the tests need
cargo xtask test [ARGS]   all tests, with a private PostgreSQL; ARGS go to `cargo test`
cargo xtask setup         only install what the tests need
cargo xtask tidy          only the rules of the tree: edges, sizes, words, licences, links
cargo xtask bench [ARGS]  the engine beside restic, rustic, borg and qemu-img; installs them, writes docs/benchmarks.md
";

fn main() -> ExitCode {
    match dispatch() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ci"] => ci::run(),
        ["test", rest @ ..] => cargo_test::run(rest),
        ["setup"] => setup::run(),
        ["tidy"] => tidy::run(),
        ["bench", rest @ ..] => bench::run(rest),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}\n{}\n", bench::USAGE);
            Ok(())
        }
        _ => bail!("unknown command {:?}\n{HELP}", words.join(" ")),
    }
}
