//! What the tests need beside Rust: Debian packages, and the official clients in private Python environments.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::{guest, postgres, qemu, shell};

/// A private Python environment.
struct Environment {
    folder: &'static str,
    content: &'static str,
    /// Requirements files, and how pip reads each.
    requirements: &'static [(&'static str, &'static [&'static str])],
}

/// The clients that judge compatibility, pinned with everything they pull in; what the reader that was written from the
/// format pages needs, and the S3 server, both with hashes.
const CLIENTS: Environment = Environment {
    folder: "target/clients-venv",
    content: "the official Python clients and SeaweedFS",
    requirements: &[
        ("crates/strongroom/tests/clients/requirements.txt", &[]),
        (
            "docs/formats/reader/requirements.txt",
            &["--require-hashes"],
        ),
        (
            "crates/strongroom/tests/clients/seaweedfs.txt",
            &["--require-hashes"],
        ),
    ],
};

/// Its pins contradict those of the other clients. Two of its packages have no wheel: they are built apart, not by the
/// way that pip announces to drop.
const CUSTODIAN: Environment = Environment {
    folder: "target/custodian-venv",
    content: "Cloud Custodian",
    requirements: &[(
        "crates/strongroom/tests/clients/custodian.txt",
        &["--use-pep517"],
    )],
};

/// Read by Debian's PostgreSQL packages: without it, installing them starts a server that nobody asked for.
const CLUSTER_POLICY: &str = "/etc/postgresql-common/createcluster.conf";

/// A Debian package and how to see that what we want from it is here, however it came.
struct Need {
    package: &'static str,
    is_here: fn() -> bool,
}

const NEEDS: [Need; 20] = [
    Need {
        package: "postgresql",
        is_here: || postgres::programs().is_some(),
    },
    Need {
        package: "mariadb-server-core",
        is_here: || has_program("mariadbd") && has_program("mariadb-install-db"),
    },
    Need {
        package: "mariadb-client-core",
        is_here: || has_program("mariadb"),
    },
    Need {
        package: "qemu-utils",
        is_here: || {
            ["qemu-img", "qemu-nbd", "qemu-io"]
                .into_iter()
                .all(has_program)
        },
    },
    Need {
        package: "nbdkit",
        is_here: || has_program("nbdkit"),
    },
    Need {
        package: "libnbd-bin",
        is_here: || has_program("nbdinfo") && has_program("nbdcopy"),
    },
    Need {
        package: qemu::PACKAGE,
        is_here: || has_program("qemu-system-x86_64"),
    },
    Need {
        package: "libvirt-clients",
        is_here: || has_program("virsh"),
    },
    Need {
        package: "libvirt-daemon",
        is_here: || has_program("libvirtd"),
    },
    Need {
        package: "libvirt-daemon-driver-qemu",
        is_here: || has_library("libvirt/connection-driver/libvirt_driver_qemu.so"),
    },
    Need {
        package: "qemu-guest-agent",
        is_here: || has_program("qemu-ga"),
    },
    Need {
        package: "fuse3",
        is_here: || has_program("fusermount3"),
    },
    Need {
        package: "e2fsprogs",
        is_here: || has_program("mke2fs") && has_program("debugfs"),
    },
    Need {
        package: "grub-common",
        is_here: || has_program("grub-mkimage"),
    },
    Need {
        package: "grub-pc-bin",
        is_here: || Path::new(guest::BOOT_LOADER).join("boot.img").exists(),
    },
    Need {
        package: "grub-efi-amd64-bin",
        is_here: || {
            Path::new(guest::EFI_BOOT_LOADER)
                .join("kernel.img")
                .exists()
        },
    },
    Need {
        package: "fdisk",
        is_here: || has_program("sfdisk"),
    },
    Need {
        package: "ovmf",
        is_here: || Path::new("/usr/share/OVMF/OVMF_CODE_4M.fd").exists(),
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
    guest::run()?;
    CLIENTS.install()?;
    CUSTODIAN.install()
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
        "--no-remove",
        "-o",
        "Dpkg::Options::=--force-confold",
    ];
    // A libvirt older than QEMU does not know what that no longer has.
    let is_in_step = |package: &&str| *package == qemu::PACKAGE || package.starts_with("libvirt-");
    let in_step: Vec<&str> = packages.iter().copied().filter(is_in_step).collect();
    if !in_step.is_empty()
        && let Some(suite) = qemu::suite()?
    {
        shell::output(&mut apt(&["update", "-q"]))?;
        let mut apt = apt(&options);
        apt.args(["--target-release", &suite, qemu::TOOLS]);
        shell::output(apt.args(in_step))?;
    }
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
    CLIENTS.program("python")
}

/// The interpreter that has Cloud Custodian.
pub(crate) fn custodian_python() -> PathBuf {
    CUSTODIAN.program("python")
}

/// SeaweedFS' program, for tests that need an S3 server.
pub(crate) fn s3_server() -> PathBuf {
    CLIENTS.program("weed")
}

impl Environment {
    fn path(&self) -> PathBuf {
        shell::root().join(self.folder)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.path().join("bin").join(name)
    }

    /// Makes the environment anew unless it was made, to the end, from the same requirements.
    fn install(&self) -> Result<()> {
        let wanted = self.wanted()?;
        let stamp = self.path().join("made-from.txt");
        let is_current = fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted);
        if is_current && shell::succeeds(shell::command(self.program("python")).arg("--version")) {
            return Ok(());
        }
        println!("installing {} into {}", self.content, self.folder);
        if self.path().exists() {
            fs::remove_dir_all(self.path())
                .with_context(|| format!("cannot remove the old {}", self.folder))?;
        }
        shell::output(
            shell::command(system_python())
                .args(["-m", "venv"])
                .arg(self.path()),
        )?;
        for (requirements, options) in self.requirements {
            self.pip_install(requirements, options)?;
        }
        fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
    }

    /// All that the environment is made from, in one text.
    fn wanted(&self) -> Result<String> {
        let mut wanted = String::new();
        for (file, _) in self.requirements {
            let text = fs::read_to_string(shell::root().join(file));
            wanted += &text.with_context(|| format!("cannot read {file}"))?;
        }
        Ok(wanted)
    }

    fn pip_install(&self, requirements: &str, options: &[&str]) -> Result<()> {
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ];
        let mut command = shell::command(self.program("python"));
        command.args(pip).args(options).arg("--requirement");
        shell::output(command.arg(shell::root().join(requirements)))?;
        Ok(())
    }
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

/// Where Debian keeps the libraries of this machine's kind.
fn has_library(name: &str) -> bool {
    let kinds = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut places = kinds.map(|kind| kind.path().join(name));
    places.any(|place| place.exists()) || Path::new("/usr/lib").join(name).exists()
}

fn has_program(name: &str) -> bool {
    shell::find_program(name).is_some()
}
