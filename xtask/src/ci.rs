//! The gate: every step in order, the first failure ends it.

use anyhow::{Context, Result, bail};

use crate::{cargo_test, setup, shell, tidy};

type Step = (&'static str, fn() -> Result<()>);

/// Cheap steps first, except that missing packages must show before ten minutes are spent.
const STEPS: [Step; 7] = [
    ("toolchain", check_toolchain),
    ("setup", setup::run),
    ("format", check_format),
    ("tidy", tidy::run),
    ("clippy", lint),
    ("documentation", check_documentation),
    ("test", || cargo_test::run(&[])),
];

pub(crate) fn run() -> Result<()> {
    let started = shell::now();
    for (number, (name, step)) in (1..).zip(STEPS) {
        println!("== {number}/{} {name}", STEPS.len());
        let step_started = shell::now();
        step().with_context(|| format!("ci stopped at step {number}, {name}"))?;
        println!("== {name}: {:.1} s", step_started.elapsed().as_secs_f32());
    }
    println!("ci passed in {:.0} s", started.elapsed().as_secs_f32());
    Ok(())
}

/// Lints and formatting change between compiler releases, so only the pinned one can judge.
fn check_toolchain() -> Result<()> {
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = shell::output(shell::command(rustc).arg("--version"))?;
    println!("{}", version.trim_end());
    if !is_release(&version, wanted) {
        bail!(
            "this tree is checked with Rust {wanted} (`rust-version` in Cargo.toml); \
             install it and run `cargo +{wanted} xtask ci`"
        );
    }
    Ok(())
}

/// Whether `rustc --version` printed release `wanted` (major.minor).
fn is_release(version: &str, wanted: &str) -> bool {
    version
        .strip_prefix("rustc ")
        .and_then(|rest| rest.strip_prefix(wanted))
        .is_some_and(|rest| rest.starts_with('.'))
}

fn check_format() -> Result<()> {
    shell::run(&mut shell::cargo(&["fmt", "--all", "--check"]))
}

fn lint() -> Result<()> {
    let arguments = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    shell::run(&mut shell::cargo(&arguments))
}

fn check_documentation() -> Result<()> {
    let arguments = [
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
        "--locked",
    ];
    shell::run(shell::cargo(&arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

#[cfg(test)]
mod tests {
    use super::is_release;

    #[test]
    fn only_the_pinned_release_counts() {
        assert!(is_release("rustc 1.95.0 (59807616e 2026-04-14)", "1.95"));
        assert!(!is_release("rustc 1.96.0 (0 2026-05-28)", "1.95"));
        assert!(!is_release("rustc 1.950.0", "1.95"));
        assert!(!is_release("clippy 1.95.0", "1.95"));
    }
}
