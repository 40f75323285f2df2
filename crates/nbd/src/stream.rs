//! Sockets of both kinds, as one.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use nix::sys::socket::{self, AddressFamily, SockFlag, SockType, UnixAddr};

use crate::Address;

/// Both directions of a connection; what the protocol is spoken over.
pub(crate) trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// The two directions of a connection, which different threads use.
pub(crate) type Halves = (Box<dyn Read + Send>, Box<dyn Write + Send>);

#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    /// `silence` bounds the way to the server, and each read and write from then on.
    pub(crate) fn connect(address: &Address, silence: Duration) -> io::Result<Self> {
        let stream = match address {
            Address::Unix(path) => Self::Unix(connect_unix(path, silence)?),
            Address::Tcp(host, port) | Address::Tls { host, port, .. } => {
                Self::Tcp(connect_tcp(host, *port, silence)?)
            }
        };
        match &stream {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(silence))?;
                stream.set_write_timeout(Some(silence))?;
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(silence))?;
                stream.set_write_timeout(Some(silence))?;
                stream.set_nodelay(true)?;
            }
        }
        Ok(stream)
    }

    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    pub(crate) fn halves(&self) -> io::Result<Halves> {
        Ok((Box::new(self.try_clone()?), Box::new(self.try_clone()?)))
    }

    /// Who is at the other end, for logs.
    pub(crate) fn peer(&self) -> String {
        match self {
            Self::Unix(_) => "of this host".to_owned(),
            Self::Tcp(stream) => match stream.peer_addr() {
                Ok(address) => address.to_string(),
                Err(_) => "one that has gone".to_owned(),
            },
        }
    }

    /// Ends both directions, for all clones: whoever waits on one of them wakes up.
    pub(crate) fn shut_down(&self) {
        // It fails where the peer was faster, which is as good.
        let _ = match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        };
    }
}

/// A server with as many clients as it wants accepts no more, and from some number on the next would wait without end.
fn connect_unix(path: &Path, silence: Duration) -> io::Result<UnixStream> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket::socket(AddressFamily::Unix, SockType::Stream, flags, None)?;
    let stream = UnixStream::from(socket);
    // Linux takes the time for writing as that for connecting.
    stream.set_write_timeout(Some(silence))?;
    socket::connect(stream.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(stream)
}

/// Tries each address of the name in turn.
fn connect_tcp(host: &str, port: u16, silence: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, silence) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write_vectored(slices),
            Self::Tcp(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
