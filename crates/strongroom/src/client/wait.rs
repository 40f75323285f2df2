//! Waiting for work that the server does in the background, by asking until it is done.

use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Connection;

/// Between two questions: the server's work takes milliseconds to hours.
const SHORTEST: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// Pauses of a twentieth of what was waited before.
struct Pauses {
    waited: Duration,
}

impl Pauses {
    const fn new() -> Self {
        Self {
            waited: Duration::ZERO,
        }
    }

    async fn next(&mut self) {
        let pause = (self.waited / 20).clamp(SHORTEST, LONGEST);
        tokio::time::sleep(pause).await;
        self.waited += pause;
    }
}

pub(super) async fn wait_until_gone(connection: &Connection, path: &str) -> anyhow::Result<()> {
    let mut pauses = Pauses::new();
    while connection.find(path).await?.is_some() {
        pauses.next().await;
    }
    Ok(())
}

/// Asks for an object until its answer satisfies `done`.
pub(super) async fn wait_until(
    connection: &Connection,
    path: &str,
    done: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    let mut pauses = Pauses::new();
    while !done(&connection.get(path).await?) {
        pauses.next().await;
    }
    Ok(())
}

/// Waits for a checkpoint; one that failed is an error that says why.
pub(crate) async fn wait_for_checkpoint(
    connection: &Connection,
    id: &str,
) -> anyhow::Result<Value> {
    let mut pauses = Pauses::new();
    loop {
        let answer = connection.get(&format!("/checkpoints/{id}")).await?;
        match answer.pointer("/checkpoint/status").and_then(Value::as_str) {
            Some("protecting") => pauses.next().await,
            Some("available") => return Ok(answer),
            Some(status) => bail!(
                "the checkpoint is {status}: {}",
                failures(connection, id).await?
            ),
            None => bail!("the answer has no checkpoint status"),
        }
    }
}

/// What the checkpoint's tasks say went wrong.
async fn failures(connection: &Connection, checkpoint: &str) -> anyhow::Result<String> {
    let logs = connection
        .get("/operation-logs?operation_type=backup&status=failed")
        .await?;
    let of_checkpoint = |log: &&Value| log["checkpoint_id"].as_str() == Some(checkpoint);
    let reasons: Vec<String> = logs["operation_logs"]
        .as_array()
        .context("the answer has no operation logs")?
        .iter()
        .filter(of_checkpoint)
        .map(|log| {
            let word = |pointer: &str| {
                log.pointer(pointer)
                    .and_then(Value::as_str)
                    .unwrap_or_default()
                    .to_owned()
            };
            format!(
                "{}: {} ({})",
                word("/extra_info/resource/name"),
                word("/error_info/message"),
                word("/error_info/code")
            )
        })
        .collect();
    Ok(reasons.join("; "))
}

/// Waits for a task to end and returns it; one that failed is an error that says why.
pub(crate) async fn wait_for_task(connection: &Connection, id: &str) -> anyhow::Result<Value> {
    let mut pauses = Pauses::new();
    loop {
        let answer = connection.get(&format!("/operation-logs/{id}")).await?;
        let log = &answer["operation_log"];
        match log["status"].as_str() {
            Some("waiting" | "running") => pauses.next().await,
            Some("success") => return Ok(answer),
            _ => {
                let word = |pointer: &str| {
                    log.pointer(pointer)
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                };
                bail!(
                    "the task failed: {} ({})",
                    word("/error_info/message"),
                    word("/error_info/code")
                );
            }
        }
    }
}
