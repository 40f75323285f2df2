//! A unix socket with one message a line, both ways: what the monitor and the guest agent have in common.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::{Error, Result};

/// The longest line that is taken. A machine with a hundred disks describes them in less.
const LINE_BYTES_MAX: usize = 16 << 20;
const READ_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Lines {
    stream: UnixStream,
    received: Vec<u8>,
    /// So many bytes of `received` hold no line's end.
    searched: usize,
    /// A message went out in part only.
    is_cut: bool,
}

impl Lines {
    pub(crate) async fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket).await;
        let stream = stream.map_err(|source| Error::Unreachable {
            socket: socket.to_owned(),
            source,
        })?;
        Ok(Self {
            stream,
            received: Vec::new(),
            searched: 0,
            is_cut: false,
        })
    }

    /// Writes the message as it is. Given up half-way, it spoils the connection, and all that follow fail.
    pub(crate) async fn send(&mut self, message: &[u8]) -> Result<()> {
        if self.is_cut {
            return Err(Error::Gone);
        }
        self.is_cut = true;
        let sent = self.stream.write_all(message).await;
        sent.map_err(|_| Error::Gone)?;
        self.is_cut = false;
        Ok(())
    }

    /// The next line without its end. Given up, it loses nothing.
    pub(crate) async fn next(&mut self) -> Result<Vec<u8>> {
        loop {
            let fresh = &self.received[self.searched..];
            if let Some(end) = fresh.iter().position(|byte| *byte == b'\n') {
                let rest = self.received.split_off(self.searched + end + 1);
                let mut line = std::mem::replace(&mut self.received, rest);
                line.pop();
                self.searched = 0;
                return Ok(line);
            }
            self.searched = self.received.len();
            if self.searched > LINE_BYTES_MAX {
                return Err(Error::strange("a line without an end"));
            }
            self.received.reserve(READ_BYTES);
            let read = self.stream.read_buf(&mut self.received).await;
            if read.map_err(|_| Error::Gone)? == 0 {
                return Err(Error::Gone);
            }
        }
    }
}
