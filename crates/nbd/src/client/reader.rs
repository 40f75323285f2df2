//! An export from front to back, with many requests in flight.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;

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

/// Of a stretch that need not be read, the part that is left out; what lies before and behind that is read.
pub type LeftOut = Box<dyn FnMut(Range<u64>) -> Range<u64> + Send>;

/// Reads an export in order; one piece follows the other without a gap until the end.
pub struct Reader {
    client: Client,
    ahead: Ahead,
    /// None: all is data.
    walk: Option<Walk>,
    skipped: Kind,
    left_out: LeftOut,
    /// The first is being cut into requests.
    stretches: VecDeque<Stretch>,
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

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = f.debug_struct("Reader");
        fields.field("client", &self.client);
        fields
            .field("planned", &self.planned)
            .finish_non_exhaustive()
    }
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
            left_out: Box::new(|stretch| stretch),
            stretches: VecDeque::new(),
            planned: 0,
            queue: VecDeque::new(),
        })
    }

    /// From here on reads more than was selected: see [`LeftOut`], which is asked about one stretch after the other.
    pub fn leave_out(&mut self, left_out: LeftOut) {
        self.left_out = left_out;
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
        if self.stretches.is_empty() {
            self.plan()?;
        }
        let Some(stretch) = self.stretches.front_mut() else {
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
            self.stretches.pop_front();
        }
        Ok(Some(Queued {
            offset,
            length,
            ticket,
        }))
    }

    /// Plans what is read next, one request of it at least where so much is read in a row, and what is left out behind it. A block
    /// that is only partly left out is read.
    fn plan(&mut self) -> Result<()> {
        let size = self.client.size_bytes();
        let most = u64::from(request_bytes(&self.client, self.ahead));
        let offset = self.planned;
        while self.planned < size && self.planned - offset < most {
            let (end, kind) = self.next_extent()?;
            if end <= self.planned {
                continue;
            }
            if kind != Kind::Data
                && let Some(left_out) = self.left_out_of(self.planned..end)
            {
                self.push(offset..left_out.start, Kind::Data);
                self.planned = left_out.end;
                self.push(left_out, kind);
                return Ok(());
            }
            let block = u64::from(self.client.info.block_sizes.minimum);
            self.planned = end.next_multiple_of(block);
        }
        self.push(offset..self.planned, Kind::Data);
        Ok(())
    }

    fn next_extent(&mut self) -> Result<(u64, Kind)> {
        let extent = match &mut self.walk {
            Some(walk) => walk.next(&mut self.client)?,
            None => None,
        };
        Ok(
            extent.map_or((self.client.size_bytes(), Kind::Data), |extent| {
                (extent.end(), self.kind_of(&extent))
            }),
        )
    }

    /// Nothing if that is less than one of the server's blocks.
    fn left_out_of(&mut self, stretch: Range<u64>) -> Option<Range<u64>> {
        let block = u64::from(self.client.info.block_sizes.minimum);
        let Range { start, end } = (self.left_out)(stretch);
        let (start, end) = (start.next_multiple_of(block), end - end % block);
        (start < end).then_some(start..end)
    }

    fn push(&mut self, range: Range<u64>, kind: Kind) {
        if !range.is_empty() {
            self.stretches.push_back(Stretch {
                offset: range.start,
                end: range.end,
                kind,
            });
        }
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
