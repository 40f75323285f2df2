//! Merging segments: a window of a MiB of each in memory, and the filter of the one that is being written.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use strongroom_chunk::{Header, IndexEntry, IndexedPack, Keys, ObjectId, SegmentEncoder};

use crate::{Error, OpenSegment, Result};

/// Bytes are handed over in parts of at least this size.
const PART_BYTES: usize = 8 << 20;

/// What a merge makes, in order: segments, each in parts.
#[derive(Debug)]
pub enum Part {
    Begin(ObjectId),
    Bytes(Vec<u8>),
    End,
}

/// Writes what the inputs say, once, without what they say of packs that are gone. `header` makes a new one for each
/// segment; another one begins where the ids' first `split_bits` bits change. Nothing is made of nothing.
pub fn merge(
    inputs: &[Arc<OpenSegment>],
    is_gone: &dyn Fn(ObjectId) -> bool,
    split_bits: u32,
    keys: &Keys,
    header: &mut dyn FnMut() -> Header,
    sink: &mut dyn FnMut(Part) -> Result<()>,
) -> Result<()> {
    let (packs, numbers) = number_packs(inputs, is_gone)?;
    if packs.is_empty() {
        return Ok(());
    }
    let mut entries = Merged::new(inputs, numbers)?;
    let mut output = Output::begin(header(), keys, &packs, sink)?;
    let range = |entry: &IndexEntry| entry.prefix.0[0].checked_shr(64 - split_bits).unwrap_or(0);
    let mut current = None;
    while let Some(equal) = entries.next()? {
        for entry in equal {
            let before = current.replace(range(entry));
            if before.is_some_and(|before| Some(before) != current) {
                output.end(sink)?;
                output = Output::begin(header(), keys, &packs, sink)?;
            }
            output.push(*entry, sink)?;
        }
    }
    output.end(sink)
}

/// By its number in an input, a pack's number in the merged table; none if it is gone.
pub(crate) type Numbers = Vec<Option<u32>>;

/// All packs that are not gone, and for each input their numbers among these.
fn number_packs(
    inputs: &[Arc<OpenSegment>],
    is_gone: &dyn Fn(ObjectId) -> bool,
) -> Result<(Vec<IndexedPack>, Vec<Numbers>)> {
    let mut packs: Vec<IndexedPack> = Vec::new();
    let mut known: HashMap<ObjectId, u32> = HashMap::new();
    let mut numbers = Vec::with_capacity(inputs.len());
    for input in inputs {
        let listed = input.packs().map_err(|error| of_input(input, error))?;
        let number = |pack: IndexedPack| {
            (!is_gone(pack.id)).then(|| {
                *known.entry(pack.id).or_insert_with(|| {
                    packs.push(pack);
                    u32::try_from(packs.len() - 1).expect("fewer than 2^32 packs")
                })
            })
        };
        numbers.push(listed.into_iter().map(number).collect());
    }
    Ok((packs, numbers))
}

fn of_input(input: &OpenSegment, error: Error) -> Error {
    Error::Input {
        id: input.id(),
        error: Box::new(error),
    }
}

/// The entries of all inputs in order, those of one prefix together.
struct Merged<'a> {
    cursors: Vec<Cursor<'a>>,
    /// The next entry of each input that has one.
    heap: BinaryHeap<Reverse<(IndexEntry, usize)>>,
    equal: Vec<IndexEntry>,
}

impl<'a> Merged<'a> {
    fn new(inputs: &'a [Arc<OpenSegment>], numbers: Vec<Numbers>) -> Result<Self> {
        let cursors = inputs.iter().zip(numbers);
        let mut merged = Self {
            cursors: cursors
                .map(|(input, numbers)| Cursor::new(input, numbers))
                .collect(),
            heap: BinaryHeap::with_capacity(inputs.len()),
            equal: Vec::new(),
        };
        for number in 0..merged.cursors.len() {
            merged.advance(number)?;
        }
        Ok(merged)
    }

    fn advance(&mut self, number: usize) -> Result<()> {
        if let Some(entry) = self.cursors[number].next()? {
            self.heap.push(Reverse((entry, number)));
        }
        Ok(())
    }

    /// The entries of the next prefix, sorted and without repetitions.
    fn next(&mut self) -> Result<Option<&[IndexEntry]>> {
        self.equal.clear();
        while let Some(Reverse((entry, number))) = self.heap.peek().copied() {
            if self
                .equal
                .first()
                .is_some_and(|first| first.prefix != entry.prefix)
            {
                break;
            }
            self.equal.push(entry);
            self.heap.pop();
            self.advance(number)?;
        }
        self.equal.sort_unstable();
        self.equal.dedup();
        Ok((!self.equal.is_empty()).then_some(&self.equal))
    }
}

/// Walks the entries of one input.
pub(crate) struct Cursor<'a> {
    segment: &'a OpenSegment,
    numbers: Numbers,
    /// The next block to be read, and the one behind the last.
    blocks: std::ops::Range<usize>,
    /// Bytes of entries that were read; the last entry may go on in the next block.
    window: Vec<u8>,
    used: usize,
    buffer: Vec<u8>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(segment: &'a OpenSegment, numbers: Numbers) -> Self {
        let outline = segment.outline();
        let entries = outline.entries(0..outline.entry_count());
        Self {
            segment,
            numbers,
            blocks: outline.blocks_of(&entries),
            window: Vec::new(),
            used: 0,
            buffer: Vec::new(),
        }
    }

    /// The next entry of a pack that is not gone, with that pack's number in the merged table.
    pub(crate) fn next(&mut self) -> Result<Option<IndexEntry>> {
        loop {
            let rest = &self.window[self.used..];
            let Some(bytes) = rest.first_chunk::<{ IndexEntry::BYTES }>().copied() else {
                if self.blocks.is_empty() {
                    return Ok(None);
                }
                self.fill().map_err(|error| of_input(self.segment, error))?;
                continue;
            };
            let mut entry = IndexEntry::from_bytes(&bytes);
            self.used += IndexEntry::BYTES;
            let number = usize::try_from(entry.pack).expect("u32 fits");
            let Some(number) = self.numbers.get(number) else {
                let error = strongroom_chunk::Error::Malformed("an index entry names no pack");
                return Err(of_input(self.segment, error.into()));
            };
            if let Some(number) = number {
                entry.pack = *number;
                return Ok(Some(entry));
            }
        }
    }

    fn fill(&mut self) -> Result<()> {
        let Some(number) = self.blocks.next() else {
            return Ok(());
        };
        self.window.drain(..self.used);
        self.used = 0;
        let outline = self.segment.outline();
        let entries = outline.entries(0..outline.entry_count());
        let block = outline.block(number);
        let from = entries.start.max(block.start) - block.start;
        let to = entries.end.min(block.end) - block.start;
        let bytes = self.segment.block(number, &mut self.buffer)?;
        self.window
            .extend_from_slice(&bytes[crate::content::indices(&(from..to))]);
        Ok(())
    }
}

struct Output(SegmentEncoder);

impl Output {
    fn begin(
        header: Header,
        keys: &Keys,
        packs: &[IndexedPack],
        sink: &mut dyn FnMut(Part) -> Result<()>,
    ) -> Result<Self> {
        sink(Part::Begin(header.object))?;
        Ok(Self(SegmentEncoder::new(header, keys, packs)))
    }

    fn push(&mut self, entry: IndexEntry, sink: &mut dyn FnMut(Part) -> Result<()>) -> Result<()> {
        self.0.push(entry);
        match self.0.take(PART_BYTES) {
            Some(bytes) => sink(Part::Bytes(bytes)),
            None => Ok(()),
        }
    }

    fn end(self, sink: &mut dyn FnMut(Part) -> Result<()>) -> Result<()> {
        sink(Part::Bytes(self.0.finish()))?;
        sink(Part::End)
    }
}
