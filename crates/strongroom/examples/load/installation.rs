//! The measured server: a process of the real program in a folder of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) program: PathBuf,
    pub(crate) data_dir: PathBuf,
    /// None: SQLite in the data directory.
    pub(crate) database: Option<String>,
}

/// Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) endpoint: String,
    pub(crate) credentials: Value,
}

impl Installation {
    /// Limits that no measurement reaches, all else as it comes.
    pub(crate) fn start(&self) -> Result<Server> {
        let mut command = Command::new(&self.program);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&self.data_dir);
        for limit in ["REQUESTS_PER_SECOND", "BURST", "REQUESTS_AT_ONCE"] {
            command.env(format!("STRONGROOM__LIMITS__{limit}"), "1000000");
        }
        command.env("STRONGROOM__LOG__FILTER", "warn");
        if let Some(address) = &self.database {
            command.env("STRONGROOM__DATABASE__ADDRESS", address);
        }
        let mut server = start(&mut command)?;
        let path = self.data_dir.join("credentials.json");
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        server.credentials = serde_json::from_slice(&text).context("credentials.json is JSON")?;
        Ok(server)
    }

    pub(crate) fn database_address(&self) -> String {
        match &self.database {
            Some(address) => address.clone(),
            None => format!("sqlite:{}", self.data_dir.join("strongroom.db").display()),
        }
    }

    pub(crate) fn credentials(&self) -> Result<Value> {
        let text = fs::read(self.data_dir.join("credentials.json"))?;
        serde_json::from_slice(&text).context("credentials.json is JSON")
    }
}

/// Starts what prints `ready URL` once it can be asked.
pub(crate) fn start(command: &mut Command) -> Result<Server> {
    let mut process = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    let mut line = String::new();
    let printed = process.stdout.take().context("stdout is piped")?;
    BufReader::new(printed).read_line(&mut line)?;
    let Some(endpoint) = line.trim().strip_prefix("ready ") else {
        bail!("the server is not ready: {line:?}");
    };
    Ok(Server {
        endpoint: endpoint.to_owned(),
        process,
        credentials: Value::Null,
    })
}

impl Server {
    pub(crate) fn peak_mib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(kib.context("a process has a VmHWM")? >> 10)
    }

    /// As an operator would: it finishes what it does.
    pub(crate) fn stop(mut self) -> Result<()> {
        let id = i32::try_from(self.process.id()).context("a process id fits its own type")?;
        kill(Pid::from_raw(id), Signal::SIGTERM).context("cannot stop the server")?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the server ended with {status}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where it has ended already, nothing is left to kill.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
