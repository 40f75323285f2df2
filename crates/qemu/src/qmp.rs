//! QEMU's monitor: commands with their answers, and events.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::Refusal;
use crate::lines::Lines;
use crate::{Error, Result};

/// Events that nobody took; the oldest are dropped beyond it, so a waiter must come in time.
const EVENTS_MAX: usize = 1024;

/// One connection to a monitor. QEMU serves one client at each of its monitor sockets; a second one waits.
#[derive(Debug)]
pub struct Qmp {
    lines: Lines,
    socket: PathBuf,
    pub(crate) version: Version,
    patience: Duration,
    last_id: u64,
    events: VecDeque<Event>,
}

/// QEMU's own, not the package's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub struct Version {
    pub major: u32,
    pub minor: u32,
    pub micro: u32,
}

/// Something that happened in QEMU.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// As QEMU spells it, `BLOCK_JOB_COMPLETED`.
    pub name: String,
    pub data: Value,
}

/// Whatever comes: a greeting, an event, or an answer.
#[derive(Deserialize)]
struct Message {
    #[serde(rename = "QMP")]
    greeting: Option<Greeting>,
    event: Option<String>,
    #[serde(default)]
    data: Value,
    id: Option<u64>,
    #[serde(default, rename = "return")]
    answer: Value,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Greeting {
    version: GreetedVersion,
}

#[derive(Deserialize)]
struct GreetedVersion {
    qemu: Version,
}

impl Qmp {
    /// Connects and leaves the negotiation behind; each command, like this, may take `patience`.
    pub async fn connect(socket: &Path, patience: Duration) -> Result<Self> {
        let greeted = tokio::time::timeout(patience, greet(socket)).await;
        let (lines, version) = greeted.map_err(|_| Error::Silent {
            what: "the monitor's greeting".to_owned(),
            limit: patience,
        })??;
        let mut qmp = Self {
            lines,
            socket: socket.to_owned(),
            version,
            patience,
            last_id: 0,
            events: VecDeque::new(),
        };
        qmp.command("qmp_capabilities", json!({})).await?;
        Ok(qmp)
    }

    /// The same monitor again, when this connection is no longer of use.
    pub async fn reconnect(&mut self) -> Result<()> {
        *self = Self::connect(&self.socket, self.patience).await?;
        Ok(())
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// Runs a command and reads its answer as `A`. Out of time, the command may still be carried out; QEMU does the
    /// next one after it.
    pub async fn execute<A: DeserializeOwned>(
        &mut self,
        command: &str,
        arguments: Value,
    ) -> Result<A> {
        let limit = self.patience;
        let answer = tokio::time::timeout(limit, self.converse(command, arguments)).await;
        let answer = answer.map_err(|_| Error::Silent {
            what: command.to_owned(),
            limit,
        })??;
        serde_json::from_value(answer)
            .map_err(|wrong| Error::strange(format!("{command}: {wrong}")))
    }

    /// A command whose answer says only that it was done.
    pub async fn command(&mut self, command: &str, arguments: Value) -> Result<()> {
        self.execute::<Value>(command, arguments).await.map(drop)
    }

    /// The first event that `is_it`, whether it came already or comes within the limit. Those before it stay.
    pub async fn event(
        &mut self,
        limit: Duration,
        is_it: impl Fn(&Event) -> bool,
    ) -> Result<Event> {
        let found = tokio::time::timeout(limit, async {
            loop {
                if let Some(at) = self.events.iter().position(&is_it) {
                    return Ok(self.events.remove(at).expect("it was just found"));
                }
                self.receive().await?;
            }
        });
        found.await.map_err(|_| Error::Silent {
            what: "the wait for an event".to_owned(),
            limit,
        })?
    }

    /// Returns when the next event comes, which stays for [`Self::event`], or after `limit`.
    pub(crate) async fn any_event(&mut self, limit: Duration) -> Result<()> {
        let next = tokio::time::timeout(limit, async {
            while self.receive().await?.is_some() {}
            Ok(())
        });
        next.await.unwrap_or(Ok(()))
    }

    async fn converse(&mut self, command: &str, arguments: Value) -> Result<Value> {
        self.last_id += 1;
        let id = self.last_id;
        let request = json!({"execute": command, "arguments": arguments, "id": id});
        tracing::trace!(%request, "to QEMU");
        self.lines.send(format!("{request}\n").as_bytes()).await?;
        loop {
            let Some(message) = self.receive().await? else {
                continue;
            };
            let Some(refusal) = message.error else {
                if message.id == Some(id) {
                    return Ok(message.answer);
                }
                continue; // the late answer to a command that was given up
            };
            // A refusal without id is for a request that QEMU could not even read: ours, it was the only one.
            if message.id.is_none_or(|for_id| for_id == id) {
                return Err(refusal.of(command));
            }
        }
    }

    /// Takes in one message; an event is queued, anything else returned.
    async fn receive(&mut self) -> Result<Option<Message>> {
        let mut message = parse(&self.lines.next().await?)?;
        let Some(name) = message.event.take() else {
            return Ok(Some(message));
        };
        if self.events.len() == EVENTS_MAX {
            self.events.pop_front();
        }
        let data = message.data;
        tracing::trace!(name, %data, "QEMU's event");
        self.events.push_back(Event { name, data });
        Ok(None)
    }
}

async fn greet(socket: &Path) -> Result<(Lines, Version)> {
    let mut lines = Lines::connect(socket).await?;
    let message = parse(&lines.next().await?)?;
    let greeting = message.greeting;
    let greeting = greeting.ok_or_else(|| Error::strange("no greeting of a monitor"))?;
    Ok((lines, greeting.version.qemu))
}

fn parse(line: &[u8]) -> Result<Message> {
    serde_json::from_slice(line).map_err(|wrong| Error::strange(wrong.to_string()))
}
