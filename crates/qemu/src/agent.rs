//! The QEMU guest agent: asks a guest to hold its file systems still.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Refusal;
use crate::lines::Lines;
use crate::{Error, Result};

/// Makes the agent forget half a command, and marks where its answer to `guest-sync-delimited` begins.
const DELIMITER: u8 = 0xff;

/// A conversation with an agent. Nobody else may hold one at the same time: the port has no notion of clients.
#[derive(Debug)]
pub struct Agent {
    lines: Lines,
    token: u32,
    patience: Duration,
    /// An answer that we gave up waiting for may still come.
    is_owed: bool,
}

/// What an agent says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct AgentInfo {
    pub version: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "return")]
    value: Value,
    error: Option<Refusal>,
}

impl Agent {
    /// Connects and makes sure that the agent answers us: `token` must be one that no earlier client used, and each
    /// command, like this, may take `patience`. A port without an agent behind it is silent.
    pub async fn connect(socket: &Path, token: u32, patience: Duration) -> Result<Self> {
        let connected = tokio::time::timeout(patience, async {
            let mut lines = Lines::connect(socket).await?;
            synchronize(&mut lines, token).await?;
            Ok(lines)
        });
        let lines = connected.await.map_err(|_| Error::Silent {
            what: "the guest agent".to_owned(),
            limit: patience,
        })??;
        Ok(Self {
            lines,
            token,
            patience,
            is_owed: false,
        })
    }

    pub async fn info(&mut self) -> Result<AgentInfo> {
        self.execute("guest-info").await
    }

    /// Whether file systems of the guest are held still, by whomever.
    pub async fn is_frozen(&mut self) -> Result<bool> {
        let status: String = self.execute("guest-fsfreeze-status").await?;
        match status.as_str() {
            "frozen" => Ok(true),
            "thawed" => Ok(false),
            other => Err(Error::strange(format!("the status {other}"))),
        }
    }

    /// Holds the guest's file systems still; returns how many. They stay so until a thaw, also when we vanish.
    pub async fn freeze(&mut self) -> Result<u64> {
        self.execute("guest-fsfreeze-freeze").await
    }

    /// Ends the standstill; returns how many file systems go on. Without a standstill none do, and nothing happens.
    pub async fn thaw(&mut self) -> Result<u64> {
        self.execute("guest-fsfreeze-thaw").await
    }

    /// The same, but leaves a guest alone that does not stand still: a thaw runs its hooks in any case.
    pub async fn thaw_if_frozen(&mut self) -> Result<u64> {
        if self.is_frozen().await? {
            self.thaw().await
        } else {
            Ok(0)
        }
    }

    async fn execute<A: DeserializeOwned>(&mut self, command: &str) -> Result<A> {
        let request = format!("{}\n", json!({"execute": command}));
        let conversed = tokio::time::timeout(self.patience, async {
            if self.is_owed {
                self.token = self.token.wrapping_add(1);
                synchronize(&mut self.lines, self.token).await?;
            }
            self.is_owed = true;
            self.lines.send(request.as_bytes()).await?;
            self.lines.next().await
        });
        let line = conversed.await.map_err(|_| Error::Silent {
            what: command.to_owned(),
            limit: self.patience,
        })??;
        self.is_owed = false;
        let answer = parse(&line)?;
        if let Some(refusal) = answer.error {
            return Err(refusal.of(command));
        }
        serde_json::from_value(answer.value)
            .map_err(|wrong| Error::strange(format!("{command}: {wrong}")))
    }
}

/// The port may hold answers to whoever asked before us and hung up; ours is the one behind a delimiter, with our token.
async fn synchronize(lines: &mut Lines, token: u32) -> Result<()> {
    let sync = json!({"execute": "guest-sync-delimited", "arguments": {"id": token}});
    let mut request = vec![DELIMITER];
    request.extend_from_slice(format!("{sync}\n").as_bytes());
    lines.send(&request).await?;
    loop {
        let line = lines.next().await?;
        let Some(start) = line.iter().rposition(|byte| *byte == DELIMITER) else {
            continue;
        };
        let answer = parse(&line[start + 1..])?;
        if answer.value.as_u64() == Some(token.into()) {
            return Ok(());
        }
    }
}

fn parse(line: &[u8]) -> Result<Answer> {
    serde_json::from_slice(line).map_err(|wrong| Error::strange(wrong.to_string()))
}
