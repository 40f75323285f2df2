//! An export from front to back, with many requests in flight.

use std::collections::VecDeque;

use super::extents::Walk;
use super::{Client, StatusExtent, Ticket};
use crate::Result;
use crate::proto::BASE_ALLOCATION;

/// Which parts of an export are read; the others are told, not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// All but what `base:allocation` says reads as zeros; everything if the server does not know that context.
    Allocated,
    /// What the dirty bitmap of this name says was written. The client must have been asked for its context.
    Dirty(String),
}

/// How much is asked for ahead. Their product bounds the memory that waits.
#[derive(Debug, Clone, Copy)]
pub struct Ahead {
    pub requests: usize,
    /// Of one request, in bytes; less where the server takes less.
    pub request_bytes: u32,
}

impl Default for Ahead {
    /// 16 requests of 512 KiB, about where more brings nothing with QEMU's server.
    fn default() -> Self {
        Self {
            requests: 16,
            request_bytes: 512 << 10,
        }
    }
}

/// The next stretch of the export.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// In bytes, from the export's beginning.
    pub offset: u64,
    /// In bytes.
    pub length: u64,
    pub content: Content,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    /// As many bytes as the piece is long. Give the buffer back to [`Client::recycle`].
    Data(Vec<u8>),
    /// Reads as zeros.
    Hole,
    /// Not written since the bitmap began to record.
    Unchanged,
}

/// Reads an export in order; one piece follows the other without a gap until the end.
#[derive(Debug)]
pub struct Reader {
    client: Client,
    ahead: Ahead,
    /// None: all is data.
    walk: Option<Walk>,
    skipped: Kind,
    /// The stretch that is being cut into requests.
    stretch: Option<Stretch>,
    /// How far the export is planned.
    planned: u64,
    queue: VecDeque<Queued>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Data,
    Hole,
    Unchanged,
}

#[derive(Debug)]
struct Stretch {
    offset: u64,
    end: u64,
    kind: Kind,
}

#[derive(Debug)]
struct Queued {
    offset: u64,
    length: u64,
    /// None: need not be read.
    ticket: Option<Ticket>,
}

impl Reader {
    pub fn new(client: Client, selection: &Selection, ahead: Ahead) -> Result<Self> {
        let whole = 0..client.size_bytes();
        let (walk, skipped) = match selection {
            Selection::Allocated => {
                let context = client.context_id(BASE_ALLOCATION).ok();
                (context.map(|id| Walk::new(id, whole)), Kind::Hole)
            }
            Selection::Dirty(bitmap) => {
                let id = client.context_id(&format!("qemu:dirty-bitmap:{bitmap}"))?;
                (Some(Walk::new(id, whole)), Kind::Unchanged)
            }
        };
        Ok(Self {
            client,
            ahead,
            walk,
            skipped,
            stretch: None,
            planned: 0,
            queue: VecDeque::new(),
        })
    }

    /// The connection, for requests between the pieces.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub fn size_bytes(&self) -> u64 {
        self.client.size_bytes()
    }

    /// The next piece in order; none at the end. After an error the reader is of no use.
    pub fn next_piece(&mut self) -> Result<Option<Piece>> {
        while self.queue.len() < self.ahead.requests.max(1) {
            let Some(queued) = self.ask()? else { break };
            self.queue.push_back(queued);
        }
        let Some(queued) = self.queue.pop_front() else {
            return Ok(None);
        };
        let content = match (&queued.ticket, self.skipped) {
            (Some(ticket), _) => Content::Data(self.client.finish_read(ticket)?),
            (None, Kind::Unchanged) => Content::Unchanged,
            (None, _) => Content::Hole,
        };
        Ok(Some(Piece {
            offset: queued.offset,
            length: queued.length,
            content,
        }))
    }

    /// Sends the next request, or passes a stretch that needs none.
    fn ask(&mut self) -> Result<Option<Queued>> {
        if self.stretch.is_none() {
            self.stretch = self.plan()?;
        }
        let Some(stretch) = &mut self.stretch else {
            return Ok(None);
        };
        let (offset, remaining) = (stretch.offset, stretch.end - stretch.offset);
        let (length, ticket) = if stretch.kind == Kind::Data {
            let most = request_bytes(&self.client, self.ahead);
            let length = u32::try_from(remaining).unwrap_or(u32::MAX).min(most);
            let ticket = self.client.start_read(offset, length)?;
            (u64::from(length), Some(ticket))
        } else {
            (remaining, None)
        };
        stretch.offset += length;
        if stretch.offset == stretch.end {
            self.stretch = None;
        }
        Ok(Some(Queued {
            offset,
            length,
            ticket,
        }))
    }

    /// The next stretch, on the grid of the server's blocks. A block that is only partly skipped is read.
    fn plan(&mut self) -> Result<Option<Stretch>> {
        let size = self.client.size_bytes();
        let block = u64::from(self.client.info.block_sizes.minimum);
        let offset = self.planned;
        while self.planned < size {
            let (end, kind) = match &mut self.walk {
                None => (size, Kind::Data),
                Some(walk) => match walk.next(&mut self.client)? {
                    None => (size, Kind::Data),
                    Some(extent) => (extent.end(), self.kind_of(&extent)),
                },
            };
            if end <= offset {
                continue;
            }
            let skippable = end - end % block;
            let (end, kind) = if kind == Kind::Data || skippable <= offset {
                (end.next_multiple_of(block), Kind::Data)
            } else {
                (skippable, kind)
            };
            self.planned = end;
            return Ok(Some(Stretch { offset, end, kind }));
        }
        Ok(None)
    }

    fn kind_of(&self, extent: &StatusExtent) -> Kind {
        let is_skipped = match self.skipped {
            Kind::Hole => extent.is_zero(),
            Kind::Unchanged => !extent.is_dirty(),
            Kind::Data => false,
        };
        if is_skipped { self.skipped } else { Kind::Data }
    }
}

/// A request that suits the server's blocks.
fn request_bytes(client: &Client, ahead: Ahead) -> u32 {
    let minimum = client.info.block_sizes.minimum;
    let most = ahead.request_bytes.min(client.info.request_bytes_max());
    (most - most % minimum).max(minimum)
}
