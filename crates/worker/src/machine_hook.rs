//! The administrator's program that stops and starts machines: whoever runs them, knows how.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use strongroom_service::rows::Server;
use tokio::process::Command;

/// Called with `stop` or `start`, the server's id and its name; it has done it when it ends with 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineHook {
    program: PathBuf,
    time_limit: Duration,
}

/// Why a machine is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HookError {
    #[error("the hook for machines cannot be run")]
    Run(#[source] std::io::Error),
    /// The service's standard error has its words.
    #[error("the hook for machines did not {what} the server: {status}")]
    Refused {
        what: &'static str,
        status: ExitStatus,
    },
    #[error("the hook for machines did not {what} the server in time")]
    TimeOver { what: &'static str },
    #[error("the server still runs after the hook for machines has stopped it")]
    StillRunning,
}

impl MachineHook {
    /// The program is killed when it takes longer than `time_limit`.
    pub fn new(program: PathBuf, time_limit: Duration) -> Self {
        Self {
            program,
            time_limit,
        }
    }

    pub(crate) async fn stop(&self, server: &Server) -> Result<(), HookError> {
        self.run("stop", server).await
    }

    pub(crate) async fn start(&self, server: &Server) -> Result<(), HookError> {
        self.run("start", server).await
    }

    async fn run(&self, what: &'static str, server: &Server) -> Result<(), HookError> {
        tracing::info!(what, server = %server.id, "the hook for machines runs");
        let mut command = Command::new(&self.program);
        command
            .args([what, server.id.as_str(), &server.name])
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        // Its standard error is ours: a pipe would be held open by whatever it has started.
        let running = tokio::time::timeout(self.time_limit, command.status());
        let ended = running.await.map_err(|_| HookError::TimeOver { what })?;
        let status = ended.map_err(HookError::Run)?;
        if status.success() {
            return Ok(());
        }
        Err(HookError::Refused { what, status })
    }
}
