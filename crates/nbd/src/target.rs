//! Where an export is: the addresses of <https://github.com/NetworkBlockDevice/nbd/blob/master/doc/uri.md>.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::proto::STRING_BYTES_MAX;
use crate::{Error, Result};

/// The port that IANA gave to NBD.
const DEFAULT_PORT: u16 = 10809;

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    Unix(PathBuf),
    /// A name or an IP address (without brackets), and a port.
    Tcp(String, u16),
    /// The same with TLS, in which both sides show certificates.
    Tls {
        host: String,
        port: u16,
        /// An absolute folder with the client's `ca-cert.pem`, `client-cert.pem` and `client-key.pem`. Without one there is nothing to show,
        /// and no connection.
        certificates: Option<PathBuf>,
    },
}

/// An export of a server; as text, an NBD URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub address: Address,
    /// Free text of at most 4096 bytes without NUL; the empty name is the server's default export.
    pub export: String,
}

impl Target {
    pub fn unix(socket: impl AsRef<Path>, export: impl Into<String>) -> Self {
        Self {
            address: Address::Unix(socket.as_ref().to_owned()),
            export: export.into(),
        }
    }
}

impl FromStr for Target {
    type Err = Error;

    /// Takes `nbd://HOST[:PORT]/EXPORT`, `nbds://HOST[:PORT]/EXPORT?tls-certificates=FOLDER` and
    /// `nbd+unix:///EXPORT?socket=PATH`; [`Error::Address`] for all else.
    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| Error::Address {
            text: text.to_owned(),
            why,
        })
    }
}

fn parse(text: &str) -> Result<Target, String> {
    let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
    if rest.contains('#') {
        return Err("a fragment means nothing here".to_owned());
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, export) = rest.split_once('/').unwrap_or((rest, ""));
    let address = match scheme {
        "nbd" => {
            let (host, port) = host_and_port(authority)?;
            no_parameter(query)?;
            Address::Tcp(host, port)
        }
        "nbds" => {
            let (host, port) = host_and_port(authority)?;
            let certificates = path_of("tls-certificates", query)?;
            if certificates
                .as_ref()
                .is_some_and(|folder| !folder.is_absolute())
            {
                return Err("tls-certificates must be an absolute path".to_owned());
            }
            Address::Tls {
                host,
                port,
                certificates,
            }
        }
        "nbd+unix" if authority.is_empty() => {
            let socket = path_of("socket", query)?;
            Address::Unix(socket.ok_or("socket=PATH is missing")?)
        }
        "nbd+unix" => return Err("a host and a socket exclude each other".to_owned()),
        "nbds+unix" => return Err("TLS is not spoken over sockets".to_owned()),
        _ => return Err("the scheme is none of nbd, nbds and nbd+unix".to_owned()),
    };
    let export = decode(export)?;
    if export.contains('\0') || export.len() > STRING_BYTES_MAX {
        return Err("the export's name is too long or has a NUL".to_owned());
    }
    Ok(Target { address, export })
}

/// The path that a query says under this name, if anything. It says nothing else: a parameter that is ignored might be one that
/// protects.
fn path_of(name: &str, query: &str) -> Result<Option<PathBuf>, String> {
    if query.is_empty() {
        return Ok(None);
    }
    let path = match query.split_once('=') {
        Some((told, path)) if told == name && !path.contains('&') => decode(path)?,
        _ => return Err(format!("{query:?} is not understood")),
    };
    if path.is_empty() || path.contains('\0') {
        return Err(format!("{name} has no name in the file system"));
    }
    Ok(Some(path.into()))
}

fn no_parameter(query: &str) -> Result<(), String> {
    if query.is_empty() {
        return Ok(());
    }
    Err(format!("{query:?} is not understood"))
}

fn host_and_port(authority: &str) -> Result<(String, u16), String> {
    if authority.contains('@') {
        return Err("a user means nothing here".to_owned());
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or("a bracket is not closed")?;
            match rest.strip_prefix(':') {
                None if !rest.is_empty() => return Err("text follows the address".to_owned()),
                port => (host, port),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let host = decode(host)?;
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    let port = match port {
        None | Some("") => DEFAULT_PORT,
        Some(port) => port.parse().map_err(|_| "the port is no number")?,
    };
    Ok((host, port))
}

/// Resolves `%41` to `A`.
fn decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte == b'%' {
            let digits = behind
                .get(..2)
                .and_then(|two| std::str::from_utf8(two).ok());
            let digits = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
            let value = digits.and_then(|two| u8::from_str_radix(two, 16).ok());
            bytes.push(value.ok_or("% is not followed by two hex digits")?);
            rest = &behind[2..];
        } else {
            bytes.push(byte);
            rest = behind;
        }
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())
}

/// Text inside a URI; escapes all but what is free of meaning in every part of one.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// A name, or an address in the brackets that keep it from its port.
struct Host<'a>(&'a str);

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(':') {
            write!(f, "[{}]", self.0)
        } else {
            f.write_str(self.0)
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let export = Encoded(&self.export);
        match &self.address {
            Address::Unix(path) => {
                let path = path.to_string_lossy();
                write!(f, "nbd+unix:///{export}?socket={}", Encoded(&path))
            }
            Address::Tcp(host, port) => write!(f, "nbd://{}:{port}/{export}", Host(host)),
            Address::Tls {
                host,
                port,
                certificates,
            } => {
                write!(f, "nbds://{}:{port}/{export}", Host(host))?;
                let folder = certificates.as_ref().map(|folder| folder.to_string_lossy());
                folder.map_or(Ok(()), |folder| {
                    write!(f, "?tls-certificates={}", Encoded(&folder))
                })
            }
        }
    }
}
