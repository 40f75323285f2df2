//! The server: exports over a socket that the caller has bound.

mod client;
mod export;
mod handshake;
mod reply;
mod session;
mod table;

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

pub use export::{Allocation, Export, Fault, Stretch, Writable};

use crate::Credentials;
use crate::stream::Stream;
use client::Shared;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use client::{converse_before_tls, converse_over};
pub(crate) use table::{Names, Table};

/// What all clients together, and each of them, may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Further ones are closed as they come.
    pub connections: usize,
    /// So many of them may not have chosen an export yet, nor shown who they are. The oldest of them makes room for one more.
    pub haggling: usize,
    /// Of one export.
    pub clients_of_one: usize,
    /// Of each connection, which has as many threads.
    pub requests_at_once: usize,
    /// The longest read or write, in bytes. Twice its product with `connections` and `requests_at_once` bounds the memory.
    pub request_bytes: u32,
    /// A client that has not chosen an export by then is sent away.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16,
            haggling: 16,
            clients_of_one: 16,
            requests_at_once: 8,
            request_bytes: 4 << 20,
            handshake: Duration::from_secs(10),
        }
    }
}

/// A socket that listens, and so who may connect.
#[derive(Debug)]
pub enum Listener {
    /// Whom the file system lets.
    Unix(UnixListener),
    /// Who shows a certificate that the credentials' authorities have signed. There is no way without TLS.
    Tls(TcpListener, Credentials),
}

/// Serves until it is stopped or dropped; dropping it waits for nothing.
///
/// It ends by closing its connections, never by an error: clients that reconnect, as QEMU does with `reconnect-delay`,
/// then wait for the next server, where an error would reach their guest.
#[derive(Debug)]
pub struct Server {
    /// Closing it wakes the thread that accepts.
    wake: Option<UnixStream>,
    accepting: Option<JoinHandle<()>>,
    table: Arc<Table>,
}

/// An export that was added to a server. Dropping it closes the connections to it, and waits for nothing.
#[derive(Debug)]
pub struct Offer {
    table: Arc<Table>,
    name: String,
}

impl Offer {
    /// Closes the connections to it, and waits for what their requests are doing just now.
    pub fn withdraw(self) {
        let (table, name) = (Arc::clone(&self.table), self.name.clone());
        // Once: the name may be another's as soon as it is free.
        drop(self);
        table.wait_for_clients_of(&name);
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.table.withdraw(&self.name);
    }
}

impl Server {
    /// Begins to serve `exports`, on threads of its own. With TLS their names are told to nobody.
    pub fn start(
        listener: Listener,
        exports: impl IntoIterator<Item = (String, Arc<dyn Export>)>,
        limits: Limits,
    ) -> io::Result<Self> {
        let (wake, woken) = UnixStream::pair()?;
        let (names, credentials) = match &listener {
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                (Names::Listed, None)
            }
            Listener::Tls(listener, credentials) => {
                listener.set_nonblocking(true)?;
                (Names::Secret, Some(credentials.clone()))
            }
        };
        let table = Arc::new(Table::new(names));
        for (name, export) in exports {
            table.offer(&name, export);
        }
        let shared = Arc::new(Shared {
            table: Arc::clone(&table),
            limits,
            credentials,
        });
        let accepting = thread::Builder::new()
            .name("nbd-accept".to_owned())
            .spawn(move || accept_all(&listener, &woken, &shared))?;
        Ok(Self {
            wake: Some(wake),
            accepting: Some(accepting),
            table,
        })
    }

    /// One more export, until the offer is dropped; [`io::ErrorKind::AddrInUse`] if another has this name.
    pub fn offer(&self, name: &str, export: Arc<dyn Export>) -> io::Result<Offer> {
        if !self.table.offer(name, export) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(Offer {
            table: Arc::clone(&self.table),
            name: name.to_owned(),
        })
    }

    /// Closes the socket and all connections, and waits for what their requests are doing just now.
    pub fn stop(mut self) {
        self.wake = None;
        if let Some(accepting) = self.accepting.take()
            && accepting.join().is_err()
        {
            tracing::error!("the thread that accepts NBD clients panicked");
        }
    }
}

/// A peer that does not answer for so long, so many times, has gone.
const KEEP_ALIVE_SECONDS: u32 = 30;
const KEEP_ALIVE_COUNT: u32 = 4;
/// The same for one that has not said that it received what was sent: it is not asked then whether it is alive.
const UNHEARD_MILLIS: u32 = 150_000;

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
    shared.table.shut_down();
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
            Self::Tls(listener, _) => {
                let (stream, _) = listener.accept()?;
                stream.set_nodelay(true)?;
                keep_alive(&stream)?;
                Ok(Stream::Tcp(stream))
            }
        }
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tls(listener, _) => listener.as_fd(),
        }
    }
}

/// A client whose host has gone does not say so, and would keep its place.
fn keep_alive(stream: &TcpStream) -> io::Result<()> {
    setsockopt(stream, sockopt::KeepAlive, &true)?;
    setsockopt(stream, sockopt::TcpKeepIdle, &KEEP_ALIVE_SECONDS)?;
    setsockopt(stream, sockopt::TcpKeepInterval, &KEEP_ALIVE_SECONDS)?;
    setsockopt(stream, sockopt::TcpKeepCount, &KEEP_ALIVE_COUNT)?;
    setsockopt(stream, sockopt::TcpUserTimeout, &UNHEARD_MILLIS)?;
    Ok(())
}
