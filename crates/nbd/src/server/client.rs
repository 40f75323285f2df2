//! A client, from its connection to its end.

use std::convert::Infallible;
use std::error::Error as _;
#[cfg(any(test, feature = "fuzzing"))]
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};

use super::handshake::{self, Session};
use super::table::Table;
use super::{Limits, session};
use crate::stream::{Halves, Stream};
use crate::{Credentials, Error, Result};

/// What all threads of a server know.
pub(super) struct Shared {
    pub(super) table: Arc<Table>,
    pub(super) limits: Limits,
    /// With them nobody is served without TLS.
    pub(super) credentials: Option<Credentials>,
}

/// Given back whatever becomes of the thread that has it.
struct Place {
    shared: Arc<Shared>,
    number: u64,
    stream: Stream,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stream.shut_down();
        self.shared.table.leave(self.number);
    }
}

impl Shared {
    /// Serves a client on a thread of its own, if there is room for one more.
    pub(super) fn admit(self: Arc<Self>, stream: Stream) -> Option<JoinHandle<()>> {
        let number = self.table.admit(&stream, &self.limits)?;
        let shared = self.clone();
        let serving = thread::Builder::new()
            .name("nbd-client".to_owned())
            .spawn(move || {
                let place = Place {
                    shared,
                    number,
                    stream,
                };
                place.shared.serve(number, &place.stream);
            });
        serving
            .inspect_err(|error| {
                tracing::warn!(%error, "no thread for an NBD client");
                self.table.leave(number);
            })
            .ok()
    }

    fn serve(&self, number: u64, stream: &Stream) {
        match self.converse(number, stream) {
            Ok(()) => {}
            // Nobody can connect until its owner has seen to it.
            Err(error @ Error::Credentials { .. }) => {
                tracing::error!(%error, "an NBD client was not served");
            }
            Err(error) => {
                tracing::debug!(error = %error, source = error.source(), "an NBD client was not served");
            }
        }
    }

    fn converse(&self, number: u64, stream: &Stream) -> Result<()> {
        let Some((session, (reader, writer))) = self.agree_in_time(stream)? else {
            return Ok(());
        };
        if self.table.settle(number, &session.name, &self.limits) {
            session::serve(&session, &self.limits, reader, writer, || {
                stream.shut_down();
            });
        }
        Ok(())
    }

    /// A second thread closes the connection when the client takes too long, however it spreads its bytes over the time.
    fn agree_in_time(&self, stream: &Stream) -> Result<Option<(Session, Halves)>> {
        thread::scope(|scope| {
            let (is_done, waiting) = mpsc::sync_channel::<Infallible>(0);
            let watching = thread::Builder::new().spawn_scoped(scope, move || {
                let outcome = waiting.recv_timeout(self.limits.handshake);
                if outcome == Err(RecvTimeoutError::Timeout) {
                    stream.shut_down();
                }
            });
            watching.map_err(|error| Error::from_stream("watching a client", error))?;
            let agreed = self.agree(stream);
            drop(is_done);
            agreed
        })
    }

    /// The session, and what it is held over; none if the client leaves politely.
    fn agree(&self, stream: &Stream) -> Result<Option<(Session, Halves)>> {
        let halves = stream.halves();
        let (mut reader, mut writer) =
            halves.map_err(|error| Error::from_stream("serving a client", error))?;
        let greeted = handshake::greet(&mut reader, &mut writer)?;
        if let Some(credentials) = &self.credentials {
            if !handshake::wait_for_tls(&mut reader, &mut writer)? {
                return Ok(None);
            }
            let agreed = credentials.accept(stream);
            (reader, writer) = agreed.inspect_err(|error| tell(stream, error))?;
        }
        let (table, limits) = (&self.table, &self.limits);
        let session = handshake::choose(&mut reader, &mut writer, greeted, table, limits)?;
        Ok(session.map(|session| (session, (reader, writer))))
    }
}

/// Why somebody is not believed: he himself often sees no more than a connection that ends.
fn tell(stream: &Stream, error: &Error) {
    if let Error::Lost { source, .. } = error {
        tracing::info!(peer = %stream.peer(), error = %source, "an NBD client is not served over TLS");
    }
}

/// A whole conversation over any two directions, on this thread and those of its requests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn converse_over(
    reader: &mut (impl Read + Send),
    writer: &mut (impl Write + Send),
    table: &Table,
    limits: &Limits,
) {
    let session = handshake::greet(reader, writer)
        .and_then(|greeted| handshake::choose(reader, writer, greeted, table, limits));
    if let Ok(Some(session)) = session {
        session::serve(&session, limits, reader, writer, || {});
    }
}

/// The beginning of one where TLS comes first, up to where it would.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn converse_before_tls(reader: &mut impl Read, writer: &mut impl Write) -> Result<bool> {
    handshake::greet(reader, writer)?;
    handshake::wait_for_tls(reader, writer)
}
