use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const START_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_mins(1);

/// A server of this very program on a free port; killed if it is not stopped.
#[derive(Debug)]
pub(super) struct Server {
    process: Child,
    pub(super) endpoint: String,
    pub(super) credentials: PathBuf,
}

impl Server {
    pub(super) async fn start(folder: &Path) -> anyhow::Result<Self> {
        let data_dir = folder.join("data");
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
            .arg(&data_dir)
            .env("STRONGROOM__LOG__FILTER", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the server cannot be started")?;
        let output = process.stdout.take().context("its output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let line = tokio::time::timeout(START_TIMEOUT, lines.next_line())
            .await
            .context("the server does not get ready")??;
        match line.as_deref().and_then(|line| line.strip_prefix("ready ")) {
            Some(endpoint) => Ok(Self {
                process,
                endpoint: endpoint.to_owned(),
                credentials: data_dir.join("credentials.json"),
            }),
            None => bail!("the server ended before it was ready"),
        }
    }

    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.process.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?;
        }
        let status = tokio::time::timeout(STOP_TIMEOUT, self.process.wait())
            .await
            .context("the server does not stop")??;
        anyhow::ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}
