//! Exports of NBD servers as disks that are backed up and restored.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use strongroom_block::{BlockSink, BlockSource, Error, Extent, Result};
use strongroom_nbd::{
    Ahead, BASE_ALLOCATION, Client, ClientOptions, Content, ErrorCode, Piece, Reader, Selection,
    Target,
};
use strongroom_repo::PointWriter;

use crate::transfer::ChangedDisk;

/// 16 MiB ahead: requests as long as the pieces that a backup reads.
const AHEAD: Ahead = Ahead {
    requests: 16,
    request_bytes: 1 << 20,
};

/// What did not change holds bytes all the same, and is never to be taken for zeros.
const ALL_ASKED_FOR: &str = "nothing is left out of an export that is read whole";

/// Whoever asks what a disk is waits for the answer, and so does the API.
const PATIENCE: Duration = Duration::from_secs(5);

/// The size of an export, for which it is opened.
pub(crate) fn size_bytes(uri: &str) -> Result<u64> {
    let options = ClientOptions {
        silence: PATIENCE,
        ..ClientOptions::default()
    };
    Ok(connect(uri, &options)?.size_bytes())
}

fn connect(uri: &str, options: &ClientOptions) -> Result<Client> {
    let target: Target = uri.parse().map_err(|error| disk_error(uri, error))?;
    Client::connect(&target, options).map_err(|error| disk_error(uri, error))
}

/// What an error of the connection means to those who know disks.
fn disk_error(uri: &str, error: strongroom_nbd::Error) -> Error {
    use strongroom_nbd::Error as Nbd;
    let path = PathBuf::from(uri);
    match error {
        Nbd::Address { why, .. } => Error::Unsupported { path, what: why },
        Nbd::Credentials { why, .. } => Error::Unsupported {
            path,
            what: format!("its certificates are of no use: {why}"),
        },
        Nbd::Refused { message, .. } => Error::Unsupported {
            path,
            what: format!("its server says: {message}"),
        },
        Nbd::Connect { source, .. } if is_absent(&source) => Error::NotFound { path },
        Nbd::Connect { source, .. } => Error::Io { path, source },
        Nbd::Failed {
            code: ErrorCode::NO_SPACE,
            ..
        } => Error::Full,
        error => Error::Io {
            path,
            source: io::Error::other(error),
        },
    }
}

/// Whether the server finds a request invalid. Ours lie inside the disk; so it means an error that has no code in NBD, above all the EACCES with
/// which QEMU answers each read of an instant that it has given up, because it could not keep what the guest overwrites.
pub(crate) fn is_of_lost_instant(error: &Error) -> bool {
    let Error::Io { source, .. } = error else {
        return false;
    };
    let of_nbd = source
        .get_ref()
        .and_then(|error| error.downcast_ref::<strongroom_nbd::Error>());
    let code = of_nbd.and_then(|error| match error {
        strongroom_nbd::Error::Failed { code, .. } => Some(*code),
        _ => None,
    });
    code == Some(ErrorCode::INVALID)
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
    )
}

/// What lies at `offset`: zeros are told as a hole; everything is data where the server does not tell.
fn extent_at(client: &mut Client, offset: u64) -> strongroom_nbd::Result<Extent> {
    let rest = client.size_bytes().saturating_sub(offset);
    if rest == 0 || !client.info().has_context(BASE_ALLOCATION) {
        return Ok(Extent::data(rest));
    }
    let extent = client.extent_at(BASE_ALLOCATION, offset, rest)?;
    Ok(if extent.is_zero() {
        Extent::hole(extent.length)
    } else {
        Extent::data(extent.length)
    })
}

/// An export that is read, mostly from front to back: then it is asked ahead.
pub(crate) struct ExportSource {
    uri: String,
    reader: Reader,
    /// Where the reader is.
    piece: Piece,
}

impl ExportSource {
    pub(crate) fn open(uri: &str) -> Result<Self> {
        let client = connect(uri, &ClientOptions::default())?;
        let reader = Reader::new(client, &Selection::Allocated, AHEAD);
        Ok(Self {
            reader: reader.map_err(|error| disk_error(uri, error))?,
            uri: uri.to_owned(),
            piece: Piece {
                offset: 0,
                length: 0,
                content: Content::Hole,
            },
        })
    }

    /// The piece that `offset` lies in, if it is the reader's or the one behind it.
    fn piece_at(&mut self, offset: u64) -> strongroom_nbd::Result<Option<&Piece>> {
        if offset == self.piece.offset + self.piece.length
            && let Some(next) = self.reader.next_piece()?
        {
            let past = std::mem::replace(&mut self.piece, next);
            if let Content::Data(buffer) = past.content {
                self.reader.client().recycle(buffer);
            }
        }
        let Piece {
            offset: start,
            length,
            ..
        } = self.piece;
        Ok((start..start + length)
            .contains(&offset)
            .then_some(&self.piece))
    }

    fn extent(&mut self, offset: u64) -> strongroom_nbd::Result<Extent> {
        let Some(piece) = self.piece_at(offset)? else {
            return extent_at(self.reader.client(), offset);
        };
        let length = piece.offset + piece.length - offset;
        Ok(match piece.content {
            Content::Data(_) => Extent::data(length),
            Content::Hole => Extent::hole(length),
            Content::Unchanged => unreachable!("{ALL_ASKED_FOR}"),
        })
    }

    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> strongroom_nbd::Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let at = offset + done as u64;
            let rest = &mut buffer[done..];
            let Some(piece) = self.piece_at(at)? else {
                return self.reader.client().read_at(at, rest);
            };
            let start = to_usize(at - piece.offset);
            let length = to_usize(piece.length - (at - piece.offset)).min(rest.len());
            match &piece.content {
                Content::Data(data) => rest[..length].copy_from_slice(&data[start..start + length]),
                Content::Hole => rest[..length].fill(0),
                Content::Unchanged => unreachable!("{ALL_ASKED_FOR}"),
            }
            done += length;
        }
        Ok(())
    }
}

fn to_usize(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

impl BlockSource for ExportSource {
    fn size_bytes(&self) -> u64 {
        self.reader.size_bytes()
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        let extent = self.extent(offset);
        extent.map_err(|error| disk_error(&self.uri, error))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = self.read(offset, buffer);
        read.map_err(|error| disk_error(&self.uri, error))
    }
}

/// An export whose server knows what was written since some instant.
pub(crate) struct ExportChanges {
    uri: String,
    reader: Reader,
}

/// The same export once more, to read in any order.
pub(crate) struct ExportAgain {
    uri: String,
    client: Client,
}

impl ExportChanges {
    /// `bitmap` is the name of QEMU's dirty bitmap.
    pub(crate) fn open(uri: &str, bitmap: &str) -> Result<Self> {
        let options = ClientOptions {
            contexts: vec![format!("qemu:dirty-bitmap:{bitmap}")],
            ..ClientOptions::default()
        };
        let selection = Selection::Dirty(bitmap.to_owned());
        let reader = Reader::new(connect(uri, &options)?, &selection, AHEAD);
        Ok(Self {
            reader: reader.map_err(|error| disk_error(uri, error))?,
            uri: uri.to_owned(),
        })
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.reader.size_bytes()
    }
}

impl ChangedDisk for ExportChanges {
    fn next_piece(&mut self) -> Result<Option<Piece>> {
        let next = self.reader.next_piece();
        next.map_err(|error| disk_error(&self.uri, error))
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = self.reader.client().read_at(offset, buffer);
        read.map_err(|error| disk_error(&self.uri, error))
    }

    fn prepare(&mut self, writer: &mut PointWriter) {
        if let Some(mut carriable) = writer.take_carriable() {
            let left_out = move |stretch| carriable.part_of(stretch);
            self.reader.leave_out(Box::new(left_out));
        }
    }
}

impl ExportAgain {
    pub(crate) fn open(uri: &str) -> Result<Self> {
        Ok(Self {
            client: connect(uri, &ClientOptions::default())?,
            uri: uri.to_owned(),
        })
    }

    pub(crate) fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = self.client.read_at(offset, buffer);
        read.map_err(|error| disk_error(&self.uri, error))
    }
}

/// An export that is written.
pub(crate) struct ExportSink {
    uri: String,
    client: Client,
}

impl ExportSink {
    /// Refuses an export that cannot be written, and one whose server cannot say that something is durable.
    pub(crate) fn open(uri: &str) -> Result<Self> {
        let client = connect(uri, &ClientOptions::default())?;
        let refused = |what: &str| {
            Err(Error::Unsupported {
                path: uri.into(),
                what: what.to_owned(),
            })
        };
        if client.info().flags.is_read_only() {
            return refused("its server serves it read-only");
        }
        if !client.info().flags.can_flush() {
            return refused("its server cannot flush");
        }
        Ok(Self {
            uri: uri.to_owned(),
            client,
        })
    }

    /// Writes also where the server's blocks are larger than what is written: what lies around it is read first.
    fn write(&mut self, offset: u64, data: &[u8]) -> strongroom_nbd::Result<()> {
        let block = u64::from(self.client.info().block_sizes.minimum);
        let end = offset + data.len() as u64;
        let (start, stop) = (offset - offset % block, end.next_multiple_of(block));
        if (start, stop) == (offset, end) {
            return self.client.write_at(offset, data);
        }
        let mut blocks = vec![0; to_usize(stop - start)];
        self.client.read_at(start, &mut blocks)?;
        let at = to_usize(offset - start);
        blocks[at..at + data.len()].copy_from_slice(data);
        self.client.write_at(start, &blocks)
    }

    fn zero(&mut self, offset: u64, length: u64) -> strongroom_nbd::Result<()> {
        let block = u64::from(self.client.info().block_sizes.minimum);
        let end = offset + length;
        let (first, last) = (offset.next_multiple_of(block), end - end % block);
        if first >= last {
            return self.write(offset, &vec![0; to_usize(length)]);
        }
        self.write(offset, &vec![0; to_usize(first - offset)])?;
        self.client.zero(first, last - first)?;
        self.write(last, &vec![0; to_usize(end - last)])
    }

    fn check<T>(&self, outcome: strongroom_nbd::Result<T>) -> Result<T> {
        outcome.map_err(|error| disk_error(&self.uri, error))
    }
}

impl BlockSink for ExportSink {
    fn size_bytes(&self) -> u64 {
        self.client.size_bytes()
    }

    fn next_extent(&mut self, offset: u64) -> Result<Extent> {
        let extent = extent_at(&mut self.client, offset);
        self.check(extent)
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = self.client.read_at(offset, buffer);
        self.check(read)
    }

    fn write_at(&mut self, offset: u64, data: &[u8]) -> Result<()> {
        let written = self.write(offset, data);
        self.check(written)
    }

    fn zero_range(&mut self, offset: u64, length: u64) -> Result<()> {
        let zeroed = self.zero(offset, length);
        self.check(zeroed)
    }

    fn flush(&mut self) -> Result<()> {
        let flushed = self.client.flush();
        self.check(flushed)
    }
}
