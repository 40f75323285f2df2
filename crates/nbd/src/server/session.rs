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

/// A request with the data that a write carries.
pub(super) struct Job {
    pub(super) request: Request,
    /// Empty if it was longer than the server takes; then it is thrown away.
    pub(super) data: Vec<u8>,
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
    thread::scope(|scope| {
        for _ in 0..limits.requests_at_once.max(1) {
            scope.spawn(|| {
                while let Some(job) = next_job(&incoming, limits) {
                    let reply = reply::answer(session, limits, &job);
                    if lock(&writer).write_all(&reply).is_err() {
                        // The others may wait for requests that nobody could answer.
                        end();
                    }
                }
            });
        }
    });
}

fn next_job<R: Read>(incoming: &Mutex<Incoming<R>>, limits: &Limits) -> Option<Job> {
    let mut incoming = lock(incoming);
    if incoming.has_ended {
        return None;
    }
    let job = read_job(&mut incoming.reader, limits);
    match job {
        Ok(Some(job)) => Some(job),
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
fn read_job(mut reader: impl Read, limits: &Limits) -> io::Result<Option<Job>> {
    let mut head = [0; REQUEST_BYTES];
    reader.read_exact(&mut head)?;
    let request = Request::decode(&head).map_err(io::Error::other)?;
    let mut data = Vec::new();
    match request.command {
        Command::Disconnect => return Ok(None),
        Command::Write if request.length <= limits.request_bytes => {
            data.resize(usize::try_from(request.length).expect("it is bounded"), 0);
            reader.read_exact(&mut data)?;
        }
        Command::Write => {
            let mut refused = reader.take(u64::from(request.length));
            io::copy(&mut refused, &mut io::sink())?;
        }
        _ => {}
    }
    Ok(Some(Job { request, data }))
}

/// Nobody panics while holding one of these.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
