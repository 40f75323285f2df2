//! Where the secret of a repository comes from: a file, the environment or the terminal, never the command line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};
use strongroom_repo::{Secret, generate_key_file, looks_like_key_file};
use strongroom_types::SystemIds;
use zeroize::Zeroizing;

use crate::data_dir::write_private;

const PASSPHRASE: &str = "STRONGROOM_PASSPHRASE";

/// What unlocks a repository.
#[derive(Debug, Args)]
pub(crate) struct SecretPlace {
    /// The file that holds the repository's key. Without this and without a passphrase file, the passphrase comes from
    /// the environment variable STRONGROOM_PASSPHRASE or is asked for on the terminal.
    #[arg(long, value_name = "FILE", env = "STRONGROOM_KEY_FILE")]
    pub(super) key_file: Option<PathBuf>,
    /// A file whose first line is the repository's passphrase.
    #[arg(
        long,
        value_name = "FILE",
        env = "STRONGROOM_PASSPHRASE_FILE",
        conflicts_with = "key_file"
    )]
    passphrase_file: Option<PathBuf>,
}

/// What unlocks it from now on.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields are called as the flags are"
)]
pub(crate) struct NewSecret {
    /// The new key file; made unless it exists.
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// A file whose first line is the new passphrase.
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Ask for a new passphrase on the terminal.
    #[arg(long)]
    new_passphrase: bool,
}

impl SecretPlace {
    pub(super) fn read(&self) -> anyhow::Result<Secret> {
        if let Some(file) = &self.key_file {
            return key_file(file);
        }
        self.passphrase(&["passphrase of the repository"])
    }

    /// As [`SecretPlace::read`], for a repository that is about to be made: a mistyped passphrase would lock it.
    pub(super) fn read_for_new(&self) -> anyhow::Result<Secret> {
        if let Some(file) = &self.key_file {
            return key_file(file);
        }
        self.passphrase(&TWICE)
    }

    fn passphrase(&self, prompts: &[&str]) -> anyhow::Result<Secret> {
        if let Some(file) = &self.passphrase_file {
            return passphrase_file(file);
        }
        match std::env::var(PASSPHRASE) {
            Ok(text) if !text.is_empty() => Ok(Secret::Passphrase(text)),
            Err(std::env::VarError::NotUnicode(_)) => bail!("{PASSPHRASE} is not text"),
            _ => ask(prompts),
        }
    }
}

impl NewSecret {
    /// Nothing if none was named.
    pub(super) fn read(&self) -> anyhow::Result<Option<Secret>> {
        if let Some(file) = &self.new_key_file {
            if !file.exists() {
                make_key_file(file)?;
            }
            return key_file(file).map(Some);
        }
        if let Some(file) = &self.new_passphrase_file {
            return passphrase_file(file).map(Some);
        }
        if self.new_passphrase {
            return ask(&TWICE).map(Some);
        }
        Ok(None)
    }
}

const TWICE: [&str; 2] = ["new passphrase", "the same again"];

/// A new key in a file that only its owner reads.
pub(super) fn make_key_file(file: &Path) -> anyhow::Result<()> {
    let content = Zeroizing::new(generate_key_file(&SystemIds));
    write_private(&std::path::absolute(file)?, content.as_bytes())
}

fn key_file(file: &Path) -> anyhow::Result<Secret> {
    read(file).map(Secret::KeyFile)
}

fn passphrase_file(file: &Path) -> anyhow::Result<Secret> {
    let content = Zeroizing::new(read(file)?);
    let text =
        std::str::from_utf8(&content).with_context(|| format!("{} is not text", file.display()))?;
    let passphrase = text.lines().next().unwrap_or_default();
    if passphrase.is_empty() {
        bail!("the first line of {} is empty", file.display());
    }
    if looks_like_key_file(&content) {
        bail!(
            "{} is a key file and holds no passphrase; name it as a key file",
            file.display()
        );
    }
    Ok(Secret::Passphrase(passphrase.to_owned()))
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// Asks on the terminal, whatever the standard streams are; all answers must be the same.
fn ask(prompts: &[&str]) -> anyhow::Result<Secret> {
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    let terminal = terminal.with_context(|| {
        format!("no key was given: name a --key-file or a --passphrase-file, or set {PASSPHRASE}")
    })?;
    let mut given: Option<Zeroizing<String>> = None;
    for prompt in prompts {
        let answer = ask_once(&terminal, prompt)?;
        if answer.is_empty() {
            bail!("a passphrase cannot be empty");
        }
        if given.as_ref().is_some_and(|given| *given != answer) {
            bail!("the two passphrases are not the same");
        }
        given = Some(answer);
    }
    let given = given.expect("there is at least one prompt");
    Ok(Secret::Passphrase(given.as_str().to_owned()))
}

fn ask_once(mut terminal: &File, prompt: &str) -> anyhow::Result<Zeroizing<String>> {
    write!(terminal, "{prompt}: ")?;
    terminal.flush()?;
    let before = tcgetattr(terminal)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(terminal, SetArg::TCSAFLUSH, &silent)?;
    // Large enough that it does not grow, which would leave copies behind.
    let mut line = Zeroizing::new(String::with_capacity(4096));
    let result = BufReader::with_capacity(1, terminal).read_line(&mut line);
    tcsetattr(terminal, SetArg::TCSAFLUSH, &before)?;
    writeln!(terminal)?;
    result.context("the terminal cannot be read")?;
    Ok(Zeroizing::new(
        line.trim_end_matches(['\r', '\n']).to_owned(),
    ))
}
