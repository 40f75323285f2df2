use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use strongroom_chunk::{
    Error as Malformed, HASH_BLOCK_BYTES, Header, IndexEntry, IndexedPack, Keys, Lookup, ObjectId,
    Outline, Place, Prefix, Probe, Segment,
};

use crate::Result;
use crate::content::{Content, indices};

/// Below this a segment is held in memory: opening reads about so much anyway.
const SMALL_BYTES: u64 = HASH_BLOCK_BYTES as u64;
const FIRST_TAIL_BYTES: u64 = 64 << 10;

/// A segment that can be asked. Its blocks are checked when they are first touched; a changed one is an error, and
/// no answer.
#[derive(Debug)]
pub struct OpenSegment {
    content: Content,
    outline: Outline,
    lookup: Lookup,
    /// A bit for each block that was found sound.
    sound: Vec<AtomicU64>,
    /// The partitions whose filters were found sound.
    filters: Vec<AtomicBool>,
}

impl OpenSegment {
    /// Whether a segment of this length is better held in memory.
    pub fn is_small(length: u64) -> bool {
        length <= SMALL_BYTES
    }

    /// A segment that lies in a file of its own.
    pub fn open_file(path: &Path, keys: &Keys) -> Result<Self> {
        let file = File::open(path)?;
        if Self::is_small(file.metadata()?.len()) {
            return Self::open_bytes(std::fs::read(path)?.into(), keys);
        }
        Self::open(Content::map(file)?, keys)
    }

    pub fn open_bytes(bytes: Bytes, keys: &Keys) -> Result<Self> {
        Self::open(Content::Memory(bytes), keys)
    }

    fn open(content: Content, keys: &Keys) -> Result<Self> {
        let length = content.length();
        let mut buffer = Vec::new();
        let tail = length.saturating_sub(FIRST_TAIL_BYTES)..length;
        let needed = Outline::tail_bytes(content.read(&tail, &mut buffer)?, length)?;
        let tail = length.saturating_sub(needed)..length;
        let outline = Outline::decode(content.read(&tail, &mut buffer)?, length, keys)?;
        let Some(outline) = outline else {
            return Self::open(Content::Memory(in_new_form(&content, keys)?), keys);
        };
        let blocks = outline.block_count();
        let mut segment = Self {
            lookup: Lookup::default(),
            sound: (0..blocks.div_ceil(64))
                .map(|_| AtomicU64::new(0))
                .collect(),
            filters: Vec::new(),
            content,
            outline,
        };
        segment.lookup = segment.read_lookup()?;
        let partitions = segment.lookup.partition_count();
        segment.filters = (0..partitions).map(|_| AtomicBool::new(false)).collect();
        Ok(segment)
    }

    fn read_lookup(&self) -> Result<Lookup> {
        let filter = self.outline.filter();
        let start = filter.start..filter.end.min(filter.start + Lookup::START_BYTES);
        let bytes = Lookup::head_bytes(self.checked(&start)?)? as u64;
        if bytes > filter.end - filter.start {
            return Err(Malformed::Malformed("a count exceeds the object").into());
        }
        let head = self.checked(&(filter.start..filter.start + bytes))?;
        Ok(Lookup::new(&self.outline, head)?)
    }

    /// The id that it was written with.
    pub fn id(&self) -> ObjectId {
        self.outline.object()
    }

    /// Of the object, in bytes.
    pub fn length(&self) -> u64 {
        self.outline.length()
    }

    pub fn entry_count(&self) -> u64 {
        self.outline.entry_count()
    }

    pub fn pack_count(&self) -> u64 {
        self.outline.pack_count()
    }

    /// The first and the last prefix; nothing in an empty segment.
    pub fn span(&self) -> Option<(Prefix, Prefix)> {
        self.lookup.span()
    }

    /// The packs that it speaks of.
    pub fn packs(&self) -> Result<Vec<IndexedPack>> {
        Ok(self
            .outline
            .decode_packs(self.checked(&self.outline.packs())?)?)
    }

    /// The partition in which the prefix is, if it is in the segment. Its filter is sound from then on.
    #[inline]
    pub(crate) fn partition(&self, prefix: Prefix) -> Result<Option<usize>> {
        let Some(partition) = self.lookup.partition(prefix) else {
            return Ok(None);
        };
        if !self.filters[partition].load(Ordering::Acquire) {
            self.check(&self.lookup.fingerprints(partition))?;
            self.filters[partition].store(true, Ordering::Release);
        }
        Ok(Some(partition))
    }

    /// What to ask [`Self::bytes`] about a prefix whose [`Self::partition`] this is.
    #[inline]
    pub(crate) fn probe(&self, partition: usize, prefix: Prefix) -> Probe {
        self.lookup.probe(partition, prefix)
    }

    /// All of it, sound or not.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.content.in_place()
    }

    /// Where the chunk or node lies, in a pack that `usable` accepts.
    #[inline]
    pub fn find(
        &self,
        prefix: Prefix,
        usable: &mut dyn FnMut(ObjectId) -> bool,
    ) -> Result<Option<Place>> {
        let Some(partition) = self.partition(prefix)? else {
            return Ok(None);
        };
        if !self.probe(partition, prefix).matches(self.bytes()) {
            return Ok(None);
        }
        let read = |offset| self.entry(offset).map(|entry| entry.prefix);
        let numbers = self.lookup.search(partition, prefix, read)?;
        self.choose(numbers, prefix, usable)
    }

    pub(crate) fn lookup(&self) -> &Lookup {
        &self.lookup
    }

    /// The first of these entries that is the prefix's and in a pack that `usable` accepts.
    #[inline]
    pub(crate) fn choose(
        &self,
        numbers: Range<u64>,
        prefix: Prefix,
        usable: &mut dyn FnMut(ObjectId) -> bool,
    ) -> Result<Option<Place>> {
        for number in numbers {
            let entry = self.entry(self.lookup.entry_offset(number))?;
            if entry.prefix != prefix {
                break;
            }
            let pack = self.pack(entry.pack)?;
            if usable(pack) {
                let slot = entry.slot;
                return Ok(Some(Place { pack, slot }));
            }
        }
        Ok(None)
    }

    /// Reads every block.
    pub fn check_all(&self) -> Result<()> {
        let mut buffer = Vec::new();
        (0..self.outline.block_count()).try_for_each(|block| {
            self.block(block, &mut buffer)?;
            Ok(())
        })
    }

    #[inline]
    pub(crate) fn entry(&self, offset: u64) -> Result<IndexEntry> {
        let bytes = self.checked(&(offset..offset + IndexEntry::BYTES as u64))?;
        Ok(IndexEntry::from_bytes(bytes.try_into().expect("24 bytes")))
    }

    fn pack(&self, number: u32) -> Result<ObjectId> {
        let from = self.pack_offset(number);
        if from >= self.outline.packs().end {
            return Err(Malformed::Malformed("an index entry names no pack").into());
        }
        let id = self.checked(&(from..from + 16))?;
        Ok(ObjectId(id.try_into().expect("16 bytes")))
    }

    /// Where the pack with this number is told of, if there is one.
    #[inline]
    pub(crate) fn pack_offset(&self, number: u32) -> u64 {
        self.outline.packs().start + u64::from(number) * IndexedPack::BYTES as u64
    }

    /// Bytes in place, once their blocks are known to be sound.
    #[inline]
    fn checked(&self, range: &Range<u64>) -> Result<&[u8]> {
        self.check(range)?;
        Ok(&self.content.in_place()[indices(range)])
    }

    #[inline]
    fn check(&self, range: &Range<u64>) -> Result<()> {
        for block in self.outline.blocks_of(range) {
            let (word, bit) = (block / 64, 1 << (block % 64));
            let known = self.sound.get(word);
            if known.is_some_and(|known| known.load(Ordering::Acquire) & bit == 0) {
                self.block(block, &mut Vec::new())?;
                self.sound[word].fetch_or(bit, Ordering::AcqRel);
            }
        }
        Ok(())
    }

    /// A block as it is now, checked whatever was known before.
    #[cold]
    pub(crate) fn block<'a>(&'a self, number: usize, buffer: &'a mut Vec<u8>) -> Result<&'a [u8]> {
        let bytes = self.content.read(&self.outline.block(number), buffer)?;
        if self.outline.block_matches(number, bytes) {
            Ok(bytes)
        } else {
            Err(Malformed::Malformed("a block does not match its hash").into())
        }
    }

    pub(crate) fn outline(&self) -> &Outline {
        &self.outline
    }
}

/// The first segments were made without filters. They are small, and rewritten in memory.
fn in_new_form(content: &Content, keys: &Keys) -> Result<Bytes> {
    let mut buffer = Vec::new();
    let bytes = content.read(&(0..content.length()), &mut buffer)?;
    let header = Header::decode(bytes)?;
    let mut segment = Segment::decode(bytes, keys)?;
    Ok(segment.encode(&header, keys).into())
}
