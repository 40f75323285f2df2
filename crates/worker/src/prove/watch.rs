//! Looks at a machine until it has shown how it is, or its time is over.

use std::path::Path;
use std::time::Duration;

use strongroom_types::IdSource;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::emulator::Emulator;
use super::signs::{self, Sign};
use super::{ProveError, ProveOptions};
use crate::guests;

/// So much is kept of what a machine says.
const TAIL_BYTES: usize = 64 << 10;
/// An agent that is not there yet says nothing.
const AGENT_PATIENCE: Duration = Duration::from_secs(2);
const AGENT_PAUSE: Duration = Duration::from_millis(500);
/// A sign is rarely the last word: what comes with it explains it to people, on the screen as well.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// How a machine was when it was last looked at.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) end: End,
    /// The end of what it said on its serial port.
    pub(super) console: String,
}

#[derive(Debug)]
pub(super) enum End {
    Sign(Sign),
    TimeOver,
}

pub(super) async fn run(
    emulator: &mut Emulator,
    options: &ProveOptions,
    ids: &dyn IdSource,
) -> Result<Seen, ProveError> {
    let mut console = Tail::default();
    let agent = emulator.agent_socket();
    let looking = look(emulator, &mut console, options, &agent, ids);
    let end = match tokio::time::timeout(options.time_limit, looking).await {
        Ok(sign) => End::Sign(sign?),
        Err(_) => End::TimeOver,
    };
    let listening = async {
        loop {
            console.read(&mut emulator.console).await;
        }
    };
    // It ends by the clock alone.
    let _ = tokio::time::timeout(AFTERWARDS, listening).await;
    Ok(Seen {
        end,
        console: console.text(),
    })
}

async fn look(
    emulator: &mut Emulator,
    console: &mut Tail,
    options: &ProveOptions,
    agent: &Path,
    ids: &dyn IdSource,
) -> Result<Sign, ProveError> {
    let mut firmware = Tail::default();
    let answered = until_agent_answers(agent, ids);
    tokio::pin!(answered);
    loop {
        let sign = tokio::select! {
            ended = &mut emulator.process.ended => {
                let words = ended.unwrap_or_default();
                return Err(ProveError::Ended(words));
            }
            () = &mut answered => Some(Sign::Agent),
            () = console.read(&mut emulator.console) => signs::of_console(console, &options.console_sign),
            () = firmware.read(&mut emulator.firmware) => signs::of_firmware(&firmware),
            event = emulator.qmp.event(options.time_limit, |event| signs::of_event(&event.name).is_some()) => {
                signs::of_event(&event?.name)
            }
        };
        if let Some(sign) = sign {
            return Ok(sign);
        }
    }
}

async fn until_agent_answers(socket: &Path, ids: &dyn IdSource) {
    while guests::connect(socket, ids, AGENT_PATIENCE).await.is_err() {
        tokio::time::sleep(AGENT_PAUSE).await;
    }
}

/// The end of what was said.
#[derive(Debug, Default)]
pub(super) struct Tail(Vec<u8>);

impl Tail {
    /// Takes in what comes next. Never returns once the other side has hung up: others tell why.
    async fn read(&mut self, stream: &mut UnixStream) {
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => self.push(&buffer[..read]),
            _ => std::future::pending().await,
        }
    }

    pub(super) fn push(&mut self, said: &[u8]) {
        self.0.extend_from_slice(said);
        let surplus = self.0.len().saturating_sub(TAIL_BYTES);
        self.0.drain(..surplus);
    }

    pub(super) fn holds(&self, text: &str) -> bool {
        let text = text.as_bytes();
        !text.is_empty() && self.0.windows(text.len()).any(|window| window == text)
    }

    /// As text that every database takes.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).replace('\0', "")
    }
}
