//! The tools that are compared, and the command of each for each step.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::corpus::Corpus;
use crate::shell;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Full,
    Unchanged,
    Changed,
    Restore,
    Verify,
}

impl Step {
    pub(super) const ALL: [Self; 5] = [
        Self::Full,
        Self::Unchanged,
        Self::Changed,
        Self::Restore,
        Self::Verify,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unchanged => "unchanged",
            Self::Changed => "changed",
            Self::Restore => "restore",
            Self::Verify => "verify",
        }
    }
}

/// The folders of one tool's run.
pub(super) struct Work {
    day1: PathBuf,
    day2: PathBuf,
    pub(super) repository: PathBuf,
    restored: PathBuf,
    folder: PathBuf,
}

impl Work {
    pub(super) fn new(folder: &Path, corpus: &Corpus) -> Self {
        Self {
            day1: corpus.day1.clone(),
            day2: corpus.day2.clone(),
            repository: folder.join("repository"),
            restored: folder.join("restored"),
            folder: folder.to_owned(),
        }
    }

    /// The image that the step reads, or must bring back.
    pub(super) fn image(&self, step: Step) -> &Path {
        match step {
            Step::Full | Step::Unchanged => &self.day1,
            Step::Changed | Step::Restore | Step::Verify => &self.day2,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Strongroom,
    Restic,
    Borg { compression: &'static str },
    QemuImg,
}

pub(super) struct Tool {
    pub(super) name: &'static str,
    kind: Kind,
}

/// Ours first: ratios are taken against it.
pub(super) const TOOLS: [Tool; 5] = [
    Tool {
        name: "strongroom",
        kind: Kind::Strongroom,
    },
    Tool {
        name: "restic",
        kind: Kind::Restic,
    },
    Tool {
        name: "borg lz4",
        kind: Kind::Borg { compression: "lz4" },
    },
    Tool {
        name: "borg zstd,1",
        kind: Kind::Borg {
            compression: "zstd,1",
        },
    },
    Tool {
        name: "qemu-img -c zstd",
        kind: Kind::QemuImg,
    },
];

impl Tool {
    fn program(&self) -> PathBuf {
        match self.kind {
            Kind::Strongroom => shell::root().join("target/release/strongroom"),
            Kind::Restic => "restic".into(),
            Kind::Borg { .. } => "borg".into(),
            Kind::QemuImg => "qemu-img".into(),
        }
    }

    pub(super) fn is_installed(&self) -> bool {
        self.kind == Kind::Strongroom
            || shell::find_program(&self.program().to_string_lossy()).is_some()
    }

    /// The first line of what the tool says about its version.
    pub(super) fn version(&self) -> Result<String> {
        let argument = if self.kind == Kind::Restic {
            "version"
        } else {
            "--version"
        };
        let text = shell::output(shell::command(self.program()).arg(argument))?;
        Ok(text.lines().next().unwrap_or_default().to_owned())
    }

    /// The tool with everything that all its commands need, and all its caches in the run's folder.
    fn base(&self, work: &Work) -> Command {
        let mut command = Command::new(self.program());
        command
            .current_dir(&work.folder)
            .env("RESTIC_PASSWORD", "benchmark")
            .env("RESTIC_CACHE_DIR", work.folder.join("cache"))
            .env("BORG_PASSPHRASE", "benchmark")
            .env("BORG_BASE_DIR", work.folder.join("cache"))
            .env("STRONGROOM_KEY_FILE", work.folder.join("key"));
        if self.kind == Kind::Restic {
            command.arg("--quiet").arg("--repo").arg(&work.repository);
        }
        command
    }

    /// Makes an empty, encrypted repository where the tool has such a thing; not measured.
    pub(super) fn prepare(&self, work: &Work) -> Result<()> {
        let mut init = self.base(work);
        match self.kind {
            Kind::Strongroom => init.args(["repo", "init"]).arg(&work.repository),
            Kind::Restic => init.arg("init"),
            Kind::Borg { .. } => init
                .args(["init", "--encryption", "repokey-blake2"])
                .arg(&work.repository),
            Kind::QemuImg => return Ok(()),
        };
        shell::output(&mut init)?;
        Ok(())
    }

    /// None where the tool cannot do the step.
    pub(super) fn command(&self, step: Step, work: &Work) -> Result<Option<Command>> {
        let mut command = self.base(work);
        let image = work.image(step);
        match self.kind {
            Kind::Strongroom => self.strongroom(&mut command, step, work)?,
            Kind::Restic => restic(&mut command, step, work, image),
            Kind::Borg { compression } => borg(&mut command, step, work, image, compression)?,
            Kind::QemuImg => match step {
                Step::Full => {
                    let options = [
                        "convert",
                        "-f",
                        "raw",
                        "-c",
                        "-O",
                        "qcow2",
                        "-o",
                        "compression_type=zstd",
                        "-W",
                    ];
                    // It keeps one state only, so what it restores must be the last.
                    command.args(options).arg(&work.day2).arg(&work.repository);
                }
                Step::Restore => {
                    command.args(["convert", "-f", "qcow2", "-O", "raw", "-W"]);
                    command.arg(&work.repository).arg(&work.restored);
                }
                Step::Unchanged | Step::Changed | Step::Verify => return Ok(None),
            },
        }
        Ok(Some(command))
    }

    fn strongroom(&self, command: &mut Command, step: Step, work: &Work) -> Result<()> {
        match step {
            Step::Full | Step::Unchanged | Step::Changed => {
                command.args(["repo", "backup"]).arg(&work.repository);
                command.args(["--lineage", "vm"]).arg(work.image(step));
            }
            Step::Restore => {
                command.args(["repo", "restore"]).arg(&work.repository);
                command
                    .arg(self.newest_point(work)?)
                    .arg("--to")
                    .arg(&work.restored);
            }
            Step::Verify => {
                command
                    .args(["repo", "verify"])
                    .arg(&work.repository)
                    .arg("--read-data");
            }
        }
        Ok(())
    }

    fn newest_point(&self, work: &Work) -> Result<String> {
        let mut list = self.base(work);
        let text = shell::output(
            list.args(["repo", "list"])
                .arg(&work.repository)
                .args(["-o", "json"]),
        )?;
        let listed: serde_json::Value =
            serde_json::from_str(&text).context("repo list -o json prints JSON")?;
        let points = listed["points"]
            .as_array()
            .context("repo list has points")?;
        let newest = points.last().context("the repository has points")?;
        Ok(newest["id"]
            .as_str()
            .context("a point has an id")?
            .to_owned())
    }

    /// Where the restored image lies.
    pub(super) fn restored(&self, work: &Work) -> PathBuf {
        match self.kind {
            Kind::Strongroom | Kind::QemuImg => work.restored.clone(),
            Kind::Borg { .. } => work.restored.join("vm.img"),
            // It restores the whole path.
            Kind::Restic => {
                let path = work.day2.strip_prefix("/").unwrap_or(&work.day2);
                work.restored.join(path)
            }
        }
    }
}

fn restic(command: &mut Command, step: Step, work: &Work, image: &Path) {
    match step {
        // --force: an image that a machine writes to must be read, whatever its times say.
        Step::Full | Step::Unchanged | Step::Changed => {
            command.args(["backup", "--force"]).arg(image)
        }
        Step::Restore => command
            .args(["restore", "latest", "--target"])
            .arg(&work.restored),
        Step::Verify => command.args(["check", "--read-data"]),
    };
}

fn borg(
    command: &mut Command,
    step: Step,
    work: &Work,
    image: &Path,
    compression: &str,
) -> Result<()> {
    let archive = |name: &str| format!("{}::{name}", work.repository.display());
    match step {
        Step::Full | Step::Unchanged | Step::Changed => {
            command.current_dir(image.parent().context("an image lies in a folder")?);
            command.args([
                "create",
                "--files-cache=disabled",
                "--compression",
                compression,
            ]);
            command.arg(archive(step.name())).arg("vm.img");
        }
        Step::Restore => {
            std::fs::create_dir_all(&work.restored).context("cannot create a folder")?;
            command.current_dir(&work.restored);
            command.arg("extract").arg(archive(Step::Changed.name()));
        }
        Step::Verify => {
            command
                .args(["check", "--verify-data"])
                .arg(&work.repository);
        }
    }
    Ok(())
}
