//! The client: one connection to one export.

mod extents;
mod handshake;
mod pending;
mod reader;
mod requests;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

pub use extents::{Extents, StatusExtent};
pub use reader::{Ahead, Content, LeftOut, Piece, Reader, Selection};

use self::handshake::Haggling;
use self::pending::Pending;
use crate::proto::{
    BASE_ALLOCATION, BlockSizes, Command, Listed, REQUEST_BYTES_DEFAULT, Request, TransmissionFlags,
};
use crate::stream::{Duplex, Stream};
use crate::{Address, Credentials, Error, Result, Target};

#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// A server that neither sends nor takes a byte for so long has gone.
    pub silence: Duration,
    /// The contexts to ask for: [`BASE_ALLOCATION`], `qemu:dirty-bitmap:NAME`.
    pub contexts: Vec<String>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            silence: Duration::from_mins(1),
            contexts: vec![BASE_ALLOCATION.to_owned()],
        }
    }
}

/// What the server told about the export.
#[derive(Debug, Clone)]
pub struct ExportInfo {
    pub size_bytes: u64,
    pub flags: TransmissionFlags,
    pub block_sizes: BlockSizes,
    contexts: Vec<Context>,
}

#[derive(Debug, Clone)]
struct Context {
    id: u32,
    name: String,
}

impl ExportInfo {
    /// Does the server know this context of the export? Only contexts that were asked for are known here.
    pub fn has_context(&self, name: &str) -> bool {
        self.contexts.iter().any(|context| context.name == name)
    }

    /// The longest read or write that suits the server, and us.
    fn request_bytes_max(&self) -> u32 {
        let most = self.block_sizes.maximum.min(REQUEST_BYTES_DEFAULT);
        most - most % self.block_sizes.minimum
    }
}

/// A connection to an export.
///
/// Requests that were started are in flight until they are finished; replies may come in any order. After an error
/// that ends the connection (all but [`Error::Failed`] and [`Error::Request`]) every call fails.
pub struct Client {
    stream: Box<dyn Duplex>,
    info: ExportInfo,
    is_structured: bool,
    pending: VecDeque<Pending>,
    next_cookie: u64,
    /// Buffers of finished reads.
    spare: Vec<Vec<u8>>,
    is_broken: bool,
}

/// A request in flight, to be finished by the client that started it.
#[derive(Debug)]
#[must_use = "what was started must be finished"]
pub struct Ticket(u64);

impl Client {
    /// Connects and chooses the export. Contexts that the server does not have are left out:
    /// see [`ExportInfo::has_context`].
    pub fn connect(target: &Target, options: &ClientOptions) -> Result<Self> {
        let stream = connect(target, options)?;
        Self::begin(stream, &target.export, options)
    }

    /// Over a stream that nothing was said on yet.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn open(
        mut stream: Box<dyn Duplex>,
        export: &str,
        options: &ClientOptions,
    ) -> Result<Self> {
        handshake::greet(stream.as_mut())?;
        Self::begin(stream, export, options)
    }

    fn begin(mut stream: Box<dyn Duplex>, export: &str, options: &ClientOptions) -> Result<Self> {
        let agreement = Haggling::over(stream.as_mut()).choose(export, options)?;
        Ok(Self {
            stream,
            info: agreement.info,
            is_structured: agreement.is_structured,
            pending: VecDeque::new(),
            next_cookie: 1,
            spare: Vec::new(),
            is_broken: false,
        })
    }

    pub fn info(&self) -> &ExportInfo {
        &self.info
    }

    pub fn size_bytes(&self) -> u64 {
        self.info.size_bytes
    }

    fn context_id(&self, name: &str) -> Result<u32> {
        let mut contexts = self.info.contexts.iter();
        let found = contexts.find(|context| context.name == name);
        found
            .map(|context| context.id)
            .ok_or_else(|| Error::Request(format!("the export has no context {name:?}")))
    }
}

/// The exports that the server of `target` names, whichever `target` names.
pub fn list(target: &Target, options: &ClientOptions) -> Result<Vec<Listed>> {
    let mut stream = connect(target, options)?;
    Haggling::over(stream.as_mut()).list()
}

/// A stream on which options can be haggled over, under TLS where the target says so.
fn connect(target: &Target, options: &ClientOptions) -> Result<Box<dyn Duplex>> {
    let Address::Tls {
        host, certificates, ..
    } = &target.address
    else {
        return Ok(Box::new(connect_plainly(target, options)?));
    };
    let certificates = certificates.as_ref();
    let certificates = certificates.ok_or_else(|| Error::Address {
        text: target.to_string(),
        why: "tls-certificates=FOLDER is missing".to_owned(),
    })?;
    let credentials = Credentials::of_client_in(certificates);
    let mut stream = connect_plainly(target, options)?;
    Haggling::over(&mut stream).ask_for_tls()?;
    credentials.connect(host, stream)
}

fn connect_plainly(target: &Target, options: &ClientOptions) -> Result<Stream> {
    let stream = Stream::connect(&target.address, options.silence);
    let mut stream = stream.map_err(|source| Error::Connect {
        place: target.to_string(),
        source,
    })?;
    handshake::greet(&mut stream)?;
    Ok(stream)
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("info", &self.info)
            .field("in_flight", &self.pending.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if !self.is_broken {
            let goodbye = Request {
                flags: 0,
                command: Command::Disconnect,
                cookie: 0,
                offset: 0,
                length: 0,
            };
            // A politeness: a server that has gone does not miss it.
            let _ = self.stream.write_all(&goodbye.encode());
        }
    }
}
