//! Installs the tools that are compared, into `target/bench-tools` where Debian's stable packages are too old.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{setup, shell};

const FOLDER: &str = "target/bench-tools";
const BORG_VERSION: &str = "1.4.5";
const RUSTIC_VERSION: &str = "0.11.4";
/// Where a newer restic is looked for than the running release has.
const NEWER_SUITES: [&str; 2] = ["sid", "trixie"];

/// What is compared, by its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    Strongroom,
    Restic,
    Rustic,
    Borg,
    QemuImg,
    Zstd,
    Cp,
}

/// The program's file; installs it first where it is missing.
pub(super) fn install(program: Program) -> Result<PathBuf> {
    match program {
        Program::Strongroom => strongroom(),
        Program::Restic => restic(),
        Program::Rustic => rustic(),
        Program::Borg => borg(),
        Program::QemuImg => packaged("qemu-img", "qemu-utils"),
        Program::Zstd => packaged("zstd", "zstd"),
        Program::Cp => packaged("cp", "coreutils"),
    }
}

/// What the corpus and the measuring need.
pub(super) fn install_helpers() -> Result<()> {
    packaged("mke2fs", "e2fsprogs")?;
    packaged("debugfs", "e2fsprogs")?;
    packaged("cmp", "diffutils")?;
    packaged("time", "time")?;
    Ok(())
}

fn strongroom() -> Result<PathBuf> {
    let arguments = ["build", "--release", "--locked", "--bin", "strongroom"];
    shell::run(&mut shell::cargo(&arguments))?;
    Ok(shell::root().join("target/release/strongroom"))
}

/// Of this Debian release.
pub(super) fn packaged(program: &str, package: &'static str) -> Result<PathBuf> {
    if let Some(found) = shell::find_program(program) {
        return Ok(found);
    }
    setup::install_packages(&[package])?;
    shell::find_program(program)
        .with_context(|| format!("the package {package} brought no {program}"))
}

/// The newest restic that a Debian suite offers: it is a static program, so it runs on older releases.
fn restic() -> Result<PathBuf> {
    let folder = shell::root().join(FOLDER).join("restic");
    let program = folder.join("usr/bin/restic");
    if program.is_file() {
        return Ok(program);
    }
    for suite in NEWER_SUITES {
        match restic_of(suite, &folder) {
            Ok(()) if program.is_file() => return Ok(program),
            Ok(()) => println!("Debian's restic of {suite} has no program"),
            Err(error) => println!("no restic from Debian {suite}: {error:#}"),
        }
    }
    println!("taking the restic of this Debian release");
    packaged("restic", "restic")
}

fn restic_of(suite: &str, folder: &Path) -> Result<()> {
    println!("fetching restic from Debian {suite}");
    let state = shell::root().join(FOLDER).join("apt").join(suite);
    fs::create_dir_all(state.join("lists/partial")).context("cannot create a folder")?;
    fs::create_dir_all(state.join("cache/archives/partial")).context("cannot create a folder")?;
    let sources = state.join("sources.list");
    fs::write(&sources, format!("deb {} {suite} main\n", debian_mirror()?))
        .context("cannot write a list of sources")?;
    let apt = |arguments: &[&str]| {
        let mut apt = shell::command("apt-get");
        for (option, path) in [
            ("Dir::Etc::SourceList", sources.clone()),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::State::Lists", state.join("lists")),
            ("Dir::Cache", state.join("cache")),
        ] {
            apt.arg("-o").arg(format!("{option}={}", path.display()));
        }
        // The package itself is checked against the signed list all the same.
        apt.args(["-q", "-o", "APT::Sandbox::User=root"])
            .args(arguments);
        apt.current_dir(&state);
        apt
    };
    shell::output(&mut apt(&["update"]))?;
    shell::output(&mut apt(&["download", "restic"]))?;
    let package = fs::read_dir(&state)
        .context("cannot list a folder")?
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|suffix| suffix == "deb"))
        .context("apt-get downloaded nothing")?;
    let mut unpack = shell::command("dpkg-deb");
    shell::output(unpack.arg("-x").arg(&package).arg(folder))?;
    Ok(())
}

/// Where this machine takes Debian's own packages from.
fn debian_mirror() -> Result<String> {
    let mut targets = shell::command("apt-get");
    targets.args([
        "indextargets",
        "--format",
        "$(ORIGIN) $(COMPONENT) $(REPO_URI)",
    ]);
    let listed = shell::output(&mut targets)?;
    listed
        .lines()
        .filter_map(|line| line.strip_prefix("Debian main "))
        .find(|address| !address.contains("security"))
        .map(str::to_owned)
        .context("this machine takes no packages from Debian")
}

/// Compiled by pip, which needs the headers of what borg is linked to.
fn borg() -> Result<PathBuf> {
    let environment = shell::root()
        .join(FOLDER)
        .join(format!("borg-{BORG_VERSION}"));
    let program = environment.join("bin/borg");
    if shell::succeeds(shell::command(&program).arg("--version")) {
        return Ok(program);
    }
    if let Err(error) = compile_borg(&environment) {
        println!("no borg {BORG_VERSION}: {error:#}\ntaking Debian's");
        return packaged("borg", "borgbackup");
    }
    Ok(program)
}

fn compile_borg(environment: &Path) -> Result<()> {
    const HEADERS: [&str; 8] = [
        "build-essential",
        "libacl1-dev",
        "liblz4-dev",
        "libssl-dev",
        "libxxhash-dev",
        "libzstd-dev",
        "pkg-config",
        "python3-dev",
    ];
    let is_missing = |package: &&str| {
        let mut query = shell::command("dpkg-query");
        query.args(["--show", "--showformat", "${db:Status-Abbrev}", package]);
        !shell::output(&mut query).is_ok_and(|status| status.starts_with("ii"))
    };
    let missing: Vec<&str> = HEADERS.into_iter().filter(is_missing).collect();
    setup::install_packages(&missing)?;
    println!("compiling borg {BORG_VERSION}, about two minutes");
    let mut make = shell::command(setup::system_python());
    shell::output(make.args(["-m", "venv", "--clear"]).arg(environment))?;
    let mut pip = shell::command(environment.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet"]);
    pip.arg("--disable-pip-version-check");
    shell::output(pip.arg(format!("borgbackup=={BORG_VERSION}")))?;
    Ok(())
}

fn rustic() -> Result<PathBuf> {
    let root = shell::root().join(FOLDER);
    let program = root.join("bin/rustic");
    let is_wanted = |printed: String| printed.contains(RUSTIC_VERSION);
    if shell::output(shell::command(&program).arg("--version")).is_ok_and(is_wanted) {
        return Ok(program);
    }
    println!("compiling rustic {RUSTIC_VERSION}, about ten minutes");
    let mut install = shell::cargo(&["install", "rustic-rs", "--locked"]);
    install
        .args(["--version", RUSTIC_VERSION, "--root"])
        .arg(&root);
    if shell::run(&mut install).is_err() {
        bail!("rustic cannot be installed; `--tools` with the others leaves it out");
    }
    Ok(program)
}
