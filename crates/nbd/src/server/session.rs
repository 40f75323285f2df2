//! The transmission phase: several threads take requests from one connection and answer them in any order.

use std::io::{self, Read, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::Limits;
use super::handshake::Session;
use super::reply;
use crate::proto::{Command, REQUEST_BYTES, Request};

/// What comes from the client, one request at a time.
struct Incoming<R> {
    reader: R,
    has_ended: bool,
}

/// What a thread works with, kept from one request to the next: fresh memory costs more than copying into it.
#[derive(Default)]
pub(super) struct Buffers {
    /// What a write carries.
    pub(super) received: Vec<u8>,
    /// What a read yields, at the front; what lies behind is of earlier ones.
    pub(super) content: Vec<u8>,
}

/// Answers requests until the client leaves or the connection breaks. If a reply cannot be sent, calls `end`, after
/// which nothing can be received either.
///
/// The threads take turns at reading, and answer what they have read. So never more than `limits.requests_at_once`
/// requests are in memory, and a client that sends more waits.
pub(super) fn serve(
    session: &Session,
    limits: &Limits,
    reader: impl Read + Send,
    writer: impl Write + Send,
    end: impl Fn() + Sync,
) {
    let incoming = Mutex::new(Incoming {
        reader,
        has_ended: false,
    });
    let writer = Mutex::new(writer);
    let answer = || {
        let mut buffers = Buffers::default();
        while let Some(request) = next_request(&incoming, limits, &mut buffers) {
            let reply = reply::answer(session, limits, &request, &mut buffers);
            let content = &buffers.content[..reply.content_bytes];
            let mut writer = lock(&writer);
            let sent = writer.write_all(&reply.head);
            if sent.and_then(|()| writer.write_all(content)).is_err() {
                // The others may wait for requests that nobody could answer.
                end();
            }
        }
    };
    thread::scope(|scope| {
        // This thread is one of them, so that a lack of threads makes it slow and no more.
        for _ in 1..limits.requests_at_once {
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, answer) {
                tracing::warn!(%error, "an NBD client has fewer threads than it may");
                break;
            }
        }
        answer();
    });
}

fn next_request<R: Read>(
    incoming: &Mutex<Incoming<R>>,
    limits: &Limits,
    buffers: &mut Buffers,
) -> Option<Request> {
    let mut incoming = lock(incoming);
    if incoming.has_ended {
        return None;
    }
    match read_request(&mut incoming.reader, limits, buffers) {
        Ok(Some(request)) => Some(request),
        Ok(None) => {
            incoming.has_ended = true;
            None
        }
        Err(error) => {
            tracing::debug!(%error, "a client of an NBD export has gone");
            incoming.has_ended = true;
            None
        }
    }
}

/// The next request; none if the client takes its leave.
fn read_request(
    mut reader: impl Read,
    limits: &Limits,
    buffers: &mut Buffers,
) -> io::Result<Option<Request>> {
    let mut head = [0; REQUEST_BYTES];
    reader.read_exact(&mut head)?;
    let request = Request::decode(&head).map_err(io::Error::other)?;
    match request.command {
        Command::Disconnect => return Ok(None),
        Command::Write if request.length <= limits.request_bytes => {
            let length = usize::try_from(request.length).expect("it is bounded");
            buffers.received.resize(length, 0);
            reader.read_exact(&mut buffers.received)?;
        }
        // It is refused later, and thrown away here.
        Command::Write => {
            let mut refused = reader.take(u64::from(request.length));
            io::copy(&mut refused, &mut io::sink())?;
        }
        _ => {}
    }
    Ok(Some(request))
}

/// Nobody panics while holding one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
