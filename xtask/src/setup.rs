//! What the tests need beside Rust: Debian packages, and the official clients in a private Python environment.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{postgres, shell};

/// The clients that judge compatibility, pinned with everything they pull in.
const REQUIREMENTS: &str = "crates/strongroom/tests/clients/requirements.txt";
/// What the reader that was written from the format pages needs, with hashes.
const READER: &str = "docs/formats/reader/requirements.txt";
/// The S3 server, whose hashes are pinned as well.
const S3_SERVER: &str = "crates/strongroom/tests/clients/seaweedfs.txt";
const ENVIRONMENT: &str = "target/clients-venv";
/// Read by Debian's PostgreSQL packages: without it, installing them starts a server that nobody asked for.
const CLUSTER_POLICY: &str = "/etc/postgresql-common/createcluster.conf";

/// A Debian package and how to see that what we want from it is here, however it came.
struct Need {
    package: &'static str,
    is_here: fn() -> bool,
}

const NEEDS: [Need; 5] = [
    Need {
        package: "postgresql",
        is_here: || postgres::programs().is_some(),
    },
    Need {
        package: "qemu-utils",
        is_here: || has_program("qemu-img") && has_program("qemu-nbd"),
    },
    Need {
        package: "e2fsprogs",
        is_here: || has_program("mke2fs") && has_program("debugfs"),
    },
    Need {
        package: "python3-venv",
        is_here: || {
            shell::succeeds(shell::command(system_python()).args(["-c", "import ensurepip, venv"]))
        },
    },
    Need {
        package: "curl",
        is_here: || has_program("curl"),
    },
];

pub(crate) fn run() -> Result<()> {
    let missing: Vec<&str> = NEEDS
        .iter()
        .filter(|need| !(need.is_here)())
        .map(|need| need.package)
        .collect();
    install_packages(&missing)?;
    install_clients()
}

/// Installs Debian packages; none means nothing to do, not even a look at the package lists.
pub(crate) fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if !nix::unistd::geteuid().is_root() || !has_program("apt-get") {
        bail!("the tests need programs that are not here; as root: apt-get install {list}");
    }
    println!("installing {list}");
    if packages.contains(&"postgresql") {
        forbid_system_cluster()?;
    }
    let apt = |arguments: &[&str]| {
        let mut apt = shell::command("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    shell::output(&mut apt(&["update", "-q"]))?;
    let options = [
        "install",
        "-q",
        "-y",
        "--no-install-recommends",
        "-o",
        "Dpkg::Options::=--force-confold",
    ];
    shell::output(apt(&options).args(packages))?;
    Ok(())
}

fn forbid_system_cluster() -> Result<()> {
    let policy = Path::new(CLUSTER_POLICY);
    if policy.exists() {
        return Ok(());
    }
    let folder = policy.parent().expect("an absolute path of a file");
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    fs::write(policy, "create_main_cluster = false\n")
        .with_context(|| format!("cannot write {CLUSTER_POLICY}"))
}

/// The interpreter of the private environment, for tests that drive official clients.
pub(crate) fn clients_python() -> PathBuf {
    shell::root().join(ENVIRONMENT).join("bin/python")
}

/// SeaweedFS' program, for tests that need an S3 server.
pub(crate) fn s3_server() -> PathBuf {
    shell::root().join(ENVIRONMENT).join("bin/weed")
}

/// Makes the environment anew unless it was made, to the end, from the same requirements.
fn install_clients() -> Result<()> {
    let read = |file: &str| {
        fs::read_to_string(shell::root().join(file)).with_context(|| format!("cannot read {file}"))
    };
    let wanted = read(REQUIREMENTS)? + &read(READER)? + &read(S3_SERVER)?;
    let environment = shell::root().join(ENVIRONMENT);
    let stamp = environment.join("made-from.txt");
    let is_current = fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted);
    if is_current && shell::succeeds(shell::command(clients_python()).arg("--version")) {
        return Ok(());
    }
    println!("installing the official Python clients and SeaweedFS into {ENVIRONMENT}");
    if environment.exists() {
        fs::remove_dir_all(&environment)
            .with_context(|| format!("cannot remove the old {ENVIRONMENT}"))?;
    }
    shell::output(
        shell::command(system_python())
            .args(["-m", "venv"])
            .arg(&environment),
    )?;
    pip_install(REQUIREMENTS, &[])?;
    pip_install(READER, &["--require-hashes"])?;
    pip_install(S3_SERVER, &["--require-hashes"])?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn pip_install(requirements: &str, options: &[&str]) -> Result<()> {
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ];
    let mut command = shell::command(clients_python());
    command.args(pip).args(options).arg("--requirement");
    shell::output(command.arg(shell::root().join(requirements)))?;
    Ok(())
}

/// Debian's own interpreter where there is one: a version manager's shim may change under our feet.
pub(crate) fn system_python() -> &'static str {
    const DEBIAN: &str = "/usr/bin/python3";
    if Path::new(DEBIAN).exists() {
        DEBIAN
    } else {
        "python3"
    }
}

fn has_program(name: &str) -> bool {
    shell::find_program(name).is_some()
}
