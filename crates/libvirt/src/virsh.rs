//! libvirt's own client as a child process: one process for each question.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::{Error, Result};

/// libvirt itself waits half a minute for another client to let go of a domain.
const PATIENCE: Duration = Duration::from_secs(40);

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
    let running = Command::new("virsh")
        // Its words are looked at.
        .env("LC_ALL", "C")
        .args(["--connect", uri, command])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(patience, running).await;
    let output = ended.map_err(|_| Error::Silent {
        command: command.to_owned(),
        limit: patience,
    })?;
    let output = output.map_err(Error::NoClient)?;
    if output.status.success() {
        return String::from_utf8(output.stdout)
            .map_err(|_| Error::strange(format!("{command}: no UTF-8")));
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(refusal(command, &said))
}

fn refusal(command: &str, said: &str) -> Error {
    let lines = said
        .lines()
        .map(|line| line.strip_prefix("error: ").unwrap_or(line).trim());
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let message = lines.join("; ");
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
