//! The server: exports over a socket that the caller has bound.

mod export;
mod handshake;
mod reply;
mod session;

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

pub use export::{Allocation, Export, Fault, Stretch, Writable};

use crate::Result;
use crate::stream::Stream;
use handshake::Session;

/// Exports by name; clients that name none get the one with the empty name.
pub(crate) type Exports = BTreeMap<String, Arc<dyn Export>>;

/// What all clients together, and each of them, may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Further ones are closed as they come.
    pub connections: usize,
    /// Of each connection; each has a thread.
    pub requests_at_once: usize,
    /// The longest read or write, in bytes. Twice its product with the two above bounds the memory.
    pub request_bytes: u32,
    /// A client that has not chosen an export by then is sent away.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16,
            requests_at_once: 8,
            request_bytes: 4 << 20,
            handshake: Duration::from_secs(10),
        }
    }
}

/// A socket that listens. Who may connect is decided by where it lies: the protocol knows no users.
#[derive(Debug)]
pub enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

/// Serves until it is stopped or dropped.
///
/// It ends by closing its connections, never by an error: clients that reconnect, as QEMU does with `reconnect-delay`,
/// then wait for the next server, where an error would reach their guest.
#[derive(Debug)]
pub struct Server {
    /// Closing it wakes the thread that accepts.
    wake: Option<UnixStream>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    exports: Exports,
    limits: Limits,
    open: Mutex<Open>,
}

/// The connections that are served.
#[derive(Default)]
struct Open {
    streams: HashMap<u64, Stream>,
    next: u64,
}

impl Server {
    /// Begins to serve `exports`, on threads of its own.
    pub fn start(
        listener: Listener,
        exports: impl IntoIterator<Item = (String, Arc<dyn Export>)>,
        limits: Limits,
    ) -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        match &listener {
            Listener::Unix(listener) => listener.set_nonblocking(true)?,
            Listener::Tcp(listener) => listener.set_nonblocking(true)?,
        }
        let shared = Arc::new(Shared {
            exports: exports.into_iter().collect(),
            limits,
            open: Mutex::default(),
        });
        let accepting = thread::Builder::new()
            .name("nbd-accept".to_owned())
            .spawn(move || accept_all(&listener, &woken, &shared))?;
        Ok(Self {
            wake: Some(wake),
            accepting: Some(accepting),
        })
    }

    /// Closes the socket and all connections, and waits for what their requests are doing just now.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.wake = None;
        if let Some(accepting) = self.accepting.take()
            && accepting.join().is_err()
        {
            tracing::error!("the thread that accepts NBD clients panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

/// How long to wait after a failure to accept, which mostly means that descriptors or memory are short.
const PAUSE: Duration = Duration::from_millis(200);

fn accept_all(listener: &Listener, woken: &UnixStream, shared: &Arc<Shared>) {
    let mut threads: Vec<JoinHandle<()>> = Vec::new();
    while is_ready(&[listener.as_fd()], woken, PollTimeout::NONE) {
        match listener.accept() {
            Ok(stream) => {
                threads.retain(|thread| !thread.is_finished());
                threads.extend(shared.clone().admit(stream));
            }
            Err(error) if is_of_one_client(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "an NBD client could not be accepted");
                let pause = PollTimeout::try_from(PAUSE).unwrap_or(PollTimeout::ZERO);
                is_ready(&[], woken, pause);
            }
        }
    }
    for stream in shared.open().streams.values() {
        stream.shut_down();
    }
    for thread in threads {
        // Its panic was told when it happened.
        let _ = thread.join();
    }
}

/// Errors that say nothing about the next client.
fn is_of_one_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | Interrupted | ConnectionAborted)
}

/// Waits until one of `sockets` is ready or the time is up; false as soon as the server is to end.
fn is_ready(sockets: &[BorrowedFd<'_>], woken: &UnixStream, time: PollTimeout) -> bool {
    loop {
        let mut watched = vec![PollFd::new(woken.as_fd(), PollFlags::POLLIN)];
        let sockets = sockets.iter();
        watched.extend(sockets.map(|socket| PollFd::new(*socket, PollFlags::POLLIN)));
        match poll(&mut watched, time) {
            Ok(_) => return watched[0].any() != Some(true),
            Err(Errno::EINTR) => {}
            Err(error) => {
                tracing::error!(%error, "waiting for NBD clients failed");
                return false;
            }
        }
    }
}

impl Listener {
    fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Unix(listener) => listener.accept().map(|(stream, _)| Stream::Unix(stream)),
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        // Whoever panicked did so between two whole changes of it.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves a client on a thread of its own, if there is room for one more.
    fn admit(self: Arc<Self>, stream: Stream) -> Option<JoinHandle<()>> {
        let number = {
            let mut open = self.open();
            if open.streams.len() >= self.limits.connections {
                tracing::warn!("an NBD client was turned away: too many are connected");
                return None;
            }
            let number = open.next;
            open.next += 1;
            open.streams.insert(number, stream.try_clone().ok()?);
            number
        };
        let shared = self.clone();
        let serving = thread::Builder::new()
            .name("nbd-client".to_owned())
            .spawn(move || {
                shared.serve(&stream);
                stream.shut_down();
                shared.open().streams.remove(&number);
            });
        serving
            .inspect_err(|error| {
                tracing::warn!(%error, "no thread for an NBD client");
                self.open().streams.remove(&number);
            })
            .ok()
    }

    fn serve(&self, stream: &Stream) {
        match self.converse(stream) {
            Ok(()) => {}
            Err(error) => tracing::debug!(%error, "an NBD client was not served"),
        }
    }

    fn converse(&self, stream: &Stream) -> Result<()> {
        let clone = || {
            let lost = |error| crate::Error::from_stream("serving a client", error);
            stream.try_clone().map_err(lost)
        };
        let session = self.negotiate_in_time(stream, clone()?, clone()?)?;
        if let Some(session) = session {
            session::serve(&session, &self.limits, clone()?, clone()?, || {
                stream.shut_down();
            });
        }
        Ok(())
    }

    /// A second thread closes the connection when the client takes too long, however it spreads its bytes over the time.
    fn negotiate_in_time(
        &self,
        stream: &Stream,
        reader: impl Read,
        writer: impl Write,
    ) -> Result<Option<Session>> {
        thread::scope(|scope| {
            let (is_done, waiting) = mpsc::sync_channel::<Infallible>(0);
            scope.spawn(move || {
                let outcome = waiting.recv_timeout(self.limits.handshake);
                if outcome == Err(RecvTimeoutError::Timeout) {
                    stream.shut_down();
                }
            });
            let session = handshake::negotiate(reader, writer, &self.exports, &self.limits);
            drop(is_done);
            session
        })
    }
}

/// A whole conversation over any two directions, on this thread and those of its requests.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn converse_over(
    reader: &mut (impl Read + Send),
    writer: &mut (impl Write + Send),
    exports: &Exports,
    limits: &Limits,
) {
    if let Ok(Some(session)) = handshake::negotiate(&mut *reader, &mut *writer, exports, limits) {
        session::serve(&session, limits, reader, writer, || {});
    }
}
