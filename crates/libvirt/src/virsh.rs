//! libvirt's own client as a child process. A process takes a fiftieth of a second or so, most of it to begin; questions that belong
//! together share one.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::{Error, Result};

/// libvirt itself waits half a minute for another client to let go of a domain.
const PATIENCE: Duration = Duration::from_secs(40);
/// Ends what one of several commands prints, on both streams. XML cannot contain it.
const END: char = '\u{1e}';

/// A domain at a libvirt.
#[derive(Debug, Clone)]
pub struct Virsh {
    uri: String,
    domain: String,
    patience: Duration,
}

impl Virsh {
    /// `uri` as libvirt writes it, `qemu:///system`; `domain` is a name or a UUID.
    pub fn new(uri: impl Into<String>, domain: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            domain: domain.into(),
            patience: PATIENCE,
        }
    }

    /// The same, for questions that are worth waiting so long at most.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs a command about the domain and returns what it prints.
    pub(crate) async fn run(&self, command: &str, options: &[&str]) -> Result<String> {
        let mut arguments = vec!["--domain", &self.domain];
        arguments.extend(options);
        run(&self.uri, self.patience, command, &arguments).await
    }

    /// Runs several commands about the domain, each with its options behind it, whatever becomes of those before.
    pub(crate) async fn run_each(&self, commands: &[&[&str]]) -> Result<Answers> {
        let lines = commands.iter().map(|words| self.line(words));
        let lines: Vec<String> = lines.collect();
        let names: Vec<&str> = commands.iter().map(|words| words[0]).collect();
        let name = names.join(" and ");
        let output = output(&self.uri, self.patience, &name, &[&lines.join("; ")]).await?;
        let printed = text(&name, output.stdout)?;
        let said = String::from_utf8_lossy(&output.stderr);
        let answers = answers(&names, &printed, &said);
        answers.ok_or_else(|| refusal(&name, &said))
    }

    /// A command as virsh reads it, and what marks its end.
    fn line(&self, words: &[&str]) -> String {
        let (command, options) = words.split_at(1);
        let words = [command, &["--domain", &self.domain], options].concat();
        let words: Vec<String> = words.into_iter().map(quoted).collect();
        format!("{}; echo '{END}'; echo --err '{END}'", words.join(" "))
    }
}

/// What each of the commands printed and said; none if virsh ran none of them to its end.
pub(crate) fn answers(names: &[&str], printed: &str, said: &str) -> Option<Answers> {
    let printed: Vec<&str> = printed.split_terminator(END).collect();
    if printed.len() < names.len() {
        return None;
    }
    let answers = names.iter().zip(printed).zip(said.split(END));
    let answers = answers.map(|((name, printed), said)| {
        // The mark itself comes as an error: without words, once it is cut off. Other lines are no complaints.
        let is_refused = said.lines().any(|line| {
            let reason = line.strip_prefix("error:");
            reason.is_some_and(|reason| !reason.trim().is_empty())
        });
        if is_refused {
            Err(refusal(name, said))
        } else {
            Ok(printed.trim().to_owned())
        }
    });
    Some(Answers(answers.collect::<Vec<_>>().into_iter()))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// What several commands printed, in their order, or why they were refused.
#[derive(Debug)]
pub(crate) struct Answers(std::vec::IntoIter<Result<String>>);

impl Answers {
    /// That of the next command.
    pub(crate) fn take(&mut self) -> Result<String> {
        let next = self.0.next();
        next.unwrap_or_else(|| Err(Error::strange("a question without an answer")))
    }
}

/// Makes the domain known that the file describes, without starting it. A domain of this name and UUID is made like it; one that has the
/// name alone is left as it is, and the new one is refused.
pub async fn define(uri: &str, file: &Path) -> Result<()> {
    let file = file.to_string_lossy();
    run(uri, PATIENCE, "define", &["--file", &file])
        .await
        .map(drop)
}

async fn run(uri: &str, patience: Duration, command: &str, arguments: &[&str]) -> Result<String> {
    let arguments = [&[command], arguments].concat();
    let output = output(uri, patience, command, &arguments).await?;
    if output.status.success() {
        return text(command, output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refusal(command, &said))
}

async fn output(
    uri: &str,
    patience: Duration,
    command: &str,
    arguments: &[&str],
) -> Result<Output> {
    let running = Command::new("virsh")
        // Its words are looked at.
        .env("LC_ALL", "C")
        .args(["--connect", uri])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(patience, running).await;
    let output = ended.map_err(|_| Error::Silent {
        command: command.to_owned(),
        limit: patience,
    })?;
    output.map_err(Error::NoClient)
}

fn text(command: &str, printed: Vec<u8>) -> Result<String> {
    String::from_utf8(printed).map_err(|_| Error::strange(format!("{command}: no UTF-8")))
}

/// What virsh complains of.
fn reasons(said: &str) -> String {
    let lines = said
        .lines()
        .map(|line| line.strip_prefix("error:").unwrap_or(line).trim());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.join("; ")
}

fn refusal(command: &str, said: &str) -> Error {
    let message = reasons(said);
    if message.starts_with("failed to connect") {
        return Error::Unreachable { message };
    }
    if message.starts_with("failed to get domain") {
        return Error::NoDomain;
    }
    Error::Refused {
        command: command.to_owned(),
        message,
    }
}
