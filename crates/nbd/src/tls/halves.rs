//! A connection under TLS, of which one thread reads while another writes.
//!
//! What is sealed and opened is so under a lock that nobody holds while he waits for the peer: a server that could not read while it
//! writes would wait for a client that does the same.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConnection;

use crate::stream::{Halves, Stream};

/// Several of TLS's records, which have 16 KiB.
const RECEIVED_BYTES: usize = 128 << 10;

struct TlsReader {
    connection: Arc<Mutex<ServerConnection>>,
    stream: Stream,
    received: Box<[u8]>,
    /// Of `received`: what was not opened yet.
    begin: usize,
    end: usize,
}

/// The only one that writes, so that records are sent in the order in which they were sealed.
struct TlsWriter {
    connection: Arc<Mutex<ServerConnection>>,
    stream: Stream,
    sealed: Vec<u8>,
}

/// Of a connection whose handshake is over.
pub(super) fn split(connection: ServerConnection, stream: &Stream) -> io::Result<Halves> {
    let connection = Arc::new(Mutex::new(connection));
    let reader = TlsReader {
        connection: Arc::clone(&connection),
        stream: stream.try_clone()?,
        received: vec![0; RECEIVED_BYTES].into(),
        begin: 0,
        end: 0,
    };
    let writer = TlsWriter {
        connection,
        stream: stream.try_clone()?,
        sealed: Vec::new(),
    };
    Ok((Box::new(reader), Box::new(writer)))
}

impl Read for TlsReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(length) = self.open(buffer)? {
                return Ok(length);
            }
            self.begin = 0;
            self.end = self.stream.read(&mut self.received)?;
            if self.end == 0 {
                // Cut or closed is the same here: requests say how long they are.
                return Ok(0);
            }
        }
    }
}

impl TlsReader {
    /// Opens what was received, until some of it can be given out; none if more has to be received first.
    fn open(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut connection = lock(&self.connection);
        loop {
            match connection.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                given => return given.map(Some),
            }
            if self.begin == self.end {
                return Ok(None);
            }
            let mut rest = &self.received[self.begin..self.end];
            connection.read_tls(&mut rest)?;
            self.begin = self.end - rest.len();
            // What TLS itself has to answer is sent with what is written next.
            let opened = connection.process_new_packets();
            opened.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
    }
}

impl Write for TlsWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sealed.clear();
        let mut connection = lock(&self.connection);
        // No more than its buffers take.
        let length = connection.writer().write(bytes)?;
        while connection.wants_write() {
            connection.write_tls(&mut self.sealed)?;
        }
        drop(connection);
        self.stream.write_all(&self.sealed)?;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whoever panicked did so in TLS's own code, which fails from then on.
fn lock(connection: &Mutex<ServerConnection>) -> MutexGuard<'_, ServerConnection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}
