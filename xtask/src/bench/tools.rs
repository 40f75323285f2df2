//! The tools that are compared, the steps they take, and the commands for these.

mod borg;
mod plain;
mod restic;
mod rustic;
mod strongroom;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::corpus::Corpus;
use super::peers::Program;
use crate::shell;

/// In the order in which they are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Full,
    Unchanged,
    Day2,
    Day3,
    Restore,
    Verify,
    Second,
}

impl Step {
    pub(super) const ALL: [Self; 7] = [
        Self::Full,
        Self::Unchanged,
        Self::Day2,
        Self::Day3,
        Self::Restore,
        Self::Verify,
        Self::Second,
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Unchanged => "unchanged",
            Self::Day2 => "day 2",
            Self::Day3 => "day 3",
            Self::Restore => "restore",
            Self::Verify => "verify",
            Self::Second => "second",
        }
    }
}

/// Why a tool is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Ours,
    /// What people use today: goals are stated against the best of these.
    Peer,
    /// What the machine can do at all, without encryption, deduplication or history.
    Floor,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Tool {
    pub(super) name: &'static str,
    pub(super) program: Program,
    pub(super) role: Role,
    /// Arguments that tell several entries of one program apart.
    options: &'static [&'static str],
}

pub(super) const OURS: &str = "strongroom";
pub(super) const RESTIC: &str = "restic";
pub(super) const ZSTD: &str = "zstd -1 -T2";

const fn peer(name: &'static str, program: Program, options: &'static [&'static str]) -> Tool {
    Tool {
        name,
        program,
        role: Role::Peer,
        options,
    }
}

/// Ours first: ratios are taken against it.
pub(super) const TOOLS: [Tool; 9] = [
    Tool {
        role: Role::Ours,
        ..peer(OURS, Program::Strongroom, &[])
    },
    peer(RESTIC, Program::Restic, &[]),
    peer("rustic", Program::Rustic, &[]),
    peer("borg lz4", Program::Borg, &[]),
    peer("borg zstd,1", Program::Borg, &["--compression", "zstd,1"]),
    peer(
        "borg fixed 4 MiB",
        Program::Borg,
        &["--chunker-params", "fixed,4194304"],
    ),
    peer("qemu-img -c zstd", Program::QemuImg, &[]),
    Tool {
        role: Role::Floor,
        ..peer(ZSTD, Program::Zstd, &[])
    },
    Tool {
        role: Role::Floor,
        ..peer("cp", Program::Cp, &[])
    },
];

/// One tool's run: its program, its folders and the images.
pub(super) struct Work<'a> {
    pub(super) program: PathBuf,
    pub(super) corpus: &'a Corpus,
    pub(super) folder: PathBuf,
    /// What the tool makes: a folder or a file.
    pub(super) repository: PathBuf,
    restored: PathBuf,
    /// The disk as the tool knows it: always at the same path.
    image: PathBuf,
}

impl<'a> Work<'a> {
    pub(super) fn new(program: PathBuf, corpus: &'a Corpus, folder: &Path) -> Result<Self> {
        let input = folder.join("disk");
        fs::create_dir_all(&input).with_context(|| format!("cannot create {}", input.display()))?;
        Ok(Self {
            program,
            corpus,
            repository: folder.join("repository"),
            restored: folder.join("restored"),
            image: input.join("vm.img"),
            folder: folder.to_owned(),
        })
    }

    /// Puts the image that `step` backs up in its place.
    pub(super) fn provide(&self, step: Step) -> Result<()> {
        let [day1, day2, day3] = &self.corpus.days;
        let image = match step {
            Step::Full | Step::Unchanged => day1,
            Step::Day2 => day2,
            Step::Day3 => day3,
            Step::Second => &self.corpus.second,
            Step::Restore | Step::Verify => return Ok(()),
        };
        if self.image.exists() {
            fs::remove_file(&self.image).context("cannot remove the link to an image")?;
        }
        fs::hard_link(image, &self.image).context("cannot link an image")?;
        super::corpus::read_once(&self.image)
    }

    /// The program with what all its commands need: no terminal, no user's settings, caches in the run's folder.
    fn base(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.folder)
            .env("HOME", &self.folder)
            .env("XDG_CACHE_HOME", self.folder.join("cache"));
        command
    }
}

impl Tool {
    /// The first line of what the tool says about its version.
    pub(super) fn version(&self, program: &Path) -> Result<String> {
        let argument = match self.program {
            Program::Restic => "version",
            _ => "--version",
        };
        let text = shell::output(shell::command(program).arg(argument))?;
        let first = text.lines().next().unwrap_or_default();
        Ok(first.trim_matches('*').trim().to_owned())
    }

    /// Makes an empty, encrypted repository where the tool has such a thing; not measured.
    pub(super) fn prepare(&self, work: &Work) -> Result<()> {
        let init = match self.program {
            Program::Strongroom => strongroom::init(work),
            Program::Restic => restic::init(work),
            Program::Rustic => rustic::init(work),
            Program::Borg => borg::init(work),
            Program::QemuImg | Program::Zstd | Program::Cp => return Ok(()),
        };
        let mut init = init;
        shell::output(&mut init)?;
        Ok(())
    }

    /// None where the tool cannot do the step.
    pub(super) fn command(&self, step: Step, work: &Work) -> Result<Option<Command>> {
        match self.program {
            Program::Strongroom => strongroom::command(step, work).map(Some),
            Program::Restic => Ok(Some(restic::command(step, work))),
            Program::Rustic => Ok(Some(rustic::command(step, work))),
            Program::Borg => borg::command(step, work, self.options).map(Some),
            Program::QemuImg => Ok(plain::qemu_img(step, work)),
            Program::Zstd => Ok(plain::zstd(step, work)),
            Program::Cp => Ok(plain::cp(step, work)),
        }
    }

    /// What the restore must bring back: the last day, of tools that keep more than one.
    pub(super) fn expected<'a>(&self, work: &'a Work) -> &'a Path {
        let [first, .., last] = &work.corpus.days;
        match self.program {
            Program::QemuImg | Program::Zstd | Program::Cp => first,
            _ => last,
        }
    }
}

/// The one restored file, wherever below the target the tool has put it.
pub(super) fn restored(work: &Work) -> Result<PathBuf> {
    let mut path = work.restored.clone();
    while path.is_dir() {
        let mut entries = fs::read_dir(&path).context("cannot list what was restored")?;
        let entry = entries.next().context("nothing was restored")?;
        path = entry.context("cannot list what was restored")?.path();
    }
    Ok(path)
}
