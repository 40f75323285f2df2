//! A pack: header, sealed frames back to back, sealed directory, clear trailer.

use bytes::Bytes;

use crate::bytes_io::{Reader, to_u32, to_usize};
use crate::frame::{Codec, FRAME_BYTES_MAX, FrameDecompressor};
use crate::header::HEADER_BYTES;
use crate::keys::HEADER_OF_THESE_KEYS;
use crate::parity::{Encoder, Layout, Record, SHAPE_LARGE, Shape};
use crate::seal::{SealKey, TAG_BYTES};
use crate::trailer::{BlockHasher, OBJECT_BYTES_MAX, Section, SectionKind, Trailer};
use crate::{ContentId, Error, Header, Keys, Result};

/// The directory is sealed under this number, which no frame has.
const DIRECTORY_NUMBER: u32 = u32::MAX;
const FRAME_ENTRY_BYTES: usize = 16;
const CHUNK_ENTRY_BYTES: usize = 36;

/// Where a sealed frame lies in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameEntry {
    pub offset: u64,
    pub sealed_length: u32,
    pub plain_length: u32,
    pub codec: Codec,
    /// The chunks of this frame are the pack's slots from here on.
    pub first_slot: u32,
}

impl FrameEntry {
    pub fn range(&self) -> std::ops::Range<u64> {
        self.offset..self.offset + u64::from(self.sealed_length)
    }
}

/// Where a chunk lies: in which frame of its pack, and where in the frame's plain bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkEntry {
    pub id: ContentId,
    pub frame: u32,
    pub start: u32,
    pub length: u32,
}

/// What a pack holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    frames: Vec<FrameEntry>,
    chunks: Vec<(ContentId, u32)>,
}

impl Directory {
    pub fn frames(&self) -> &[FrameEntry] {
        &self.frames
    }

    /// Ids and plain lengths of the chunks, by slot.
    pub fn chunks(&self) -> &[(ContentId, u32)] {
        &self.chunks
    }

    /// The chunk in `slot`, if there are so many.
    pub fn locate(&self, slot: u32) -> Option<ChunkEntry> {
        let (id, length) = *self.chunks.get(to_usize(slot))?;
        let frame = self.frame_of(slot);
        let first = to_usize(self.frames.get(frame)?.first_slot);
        let before = &self.chunks[first..to_usize(slot)];
        Some(ChunkEntry {
            id,
            frame: to_u32(frame),
            start: before.iter().map(|(_, length)| length).sum(),
            length,
        })
    }

    /// The number of the frame that holds `slot`.
    pub fn frame_of(&self, slot: u32) -> usize {
        let behind = self.frames.partition_point(|f| f.first_slot <= slot);
        behind.saturating_sub(1)
    }

    /// The chunks of a frame, each with its id and plain length.
    pub fn chunks_of(&self, frame: usize) -> &[(ContentId, u32)] {
        let first = |frame: usize| self.frames.get(frame).map(|f| to_usize(f.first_slot));
        let Some(start) = first(frame) else {
            return &[];
        };
        &self.chunks[start..first(frame + 1).unwrap_or(self.chunks.len())]
    }

    /// Memory that the decoded directory takes.
    pub fn memory_bytes(&self) -> usize {
        self.frames.len() * size_of::<FrameEntry>()
            + self.chunks.len() * size_of::<(ContentId, u32)>()
    }

    fn push(&mut self, entry: FrameEntry, chunks: &[(ContentId, u32)]) {
        self.frames.push(entry);
        self.chunks.extend_from_slice(chunks);
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.encoded_length() + TAG_BYTES);
        bytes.extend(to_u32(self.frames.len()).to_le_bytes());
        bytes.extend(to_u32(self.chunks.len()).to_le_bytes());
        for (number, frame) in self.frames.iter().enumerate() {
            bytes.extend(frame.sealed_length.to_le_bytes());
            bytes.extend(frame.plain_length.to_le_bytes());
            bytes.extend(to_u32(self.chunks_of(number).len()).to_le_bytes());
            bytes.extend([frame.codec.to_u8(), 0, 0, 0]);
        }
        for (id, length) in &self.chunks {
            bytes.extend(id.0);
            bytes.extend(length.to_le_bytes());
        }
        bytes
    }

    fn encoded_length(&self) -> usize {
        8 + self.frames.len() * FRAME_ENTRY_BYTES + self.chunks.len() * CHUNK_ENTRY_BYTES
    }

    /// Reads a decrypted directory; `frames_end` is where the frames end and the directory begins.
    fn decode(bytes: &[u8], frames_end: u64) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let frame_count = reader.count(FRAME_ENTRY_BYTES)?;
        let chunk_count = reader.count(CHUNK_ENTRY_BYTES)?;
        let mut frames = Vec::with_capacity(frame_count);
        let mut offset = HEADER_BYTES as u64;
        let mut first_slot = 0u32;
        for _ in 0..frame_count {
            let (sealed_length, plain_length) = (reader.u32()?, reader.u32()?);
            let chunks_here = reader.u32()?;
            let codec = Codec::from_u8(reader.array::<1>()?[0])?;
            reader.zeros(3)?;
            if to_usize(plain_length) > FRAME_BYTES_MAX || chunks_here == 0 {
                return Err(Error::Malformed("a frame of impossible size"));
            }
            frames.push(FrameEntry {
                offset,
                sealed_length,
                plain_length,
                codec,
                first_slot,
            });
            offset += u64::from(sealed_length);
            first_slot = first_slot
                .checked_add(chunks_here)
                .ok_or(Error::Malformed("too many chunks"))?;
        }
        if offset != frames_end || to_usize(first_slot) != chunk_count {
            return Err(Error::Malformed("a directory that contradicts itself"));
        }
        let chunks = (0..chunk_count)
            .map(|_| Ok((ContentId(reader.array()?), reader.u32()?)))
            .collect::<Result<_>>()?;
        reader.end()?;
        let directory = Self { frames, chunks };
        directory.check_lengths()?;
        Ok(directory)
    }

    fn check_lengths(&self) -> Result<()> {
        for (number, frame) in self.frames.iter().enumerate() {
            let chunks = self.chunks_of(number);
            let sum: u64 = chunks.iter().map(|(_, length)| u64::from(*length)).sum();
            if sum != u64::from(frame.plain_length) {
                return Err(Error::Malformed("chunks that do not fill their frame"));
            }
        }
        Ok(())
    }
}

/// Reads the directory out of the last bytes of a pack, `tail`, which reach back to it at least.
pub fn open_directory(keys: &Keys, trailer: &Trailer, tail: &[u8]) -> Result<Directory> {
    let section = trailer.section(SectionKind::Directory)?;
    let start = trailer.object_length - tail.len() as u64;
    let sealed = section
        .offset
        .checked_sub(start)
        .and_then(|from| usize::try_from(from).ok())
        .zip(usize::try_from(section.length).ok())
        .and_then(|(from, length)| tail.get(from..from + length))
        .ok_or(Error::Malformed("cut short"))?;
    open_directory_section(keys, trailer, sealed)
}

/// Reads the directory from the bytes of its section.
pub fn open_directory_section(keys: &Keys, trailer: &Trailer, sealed: &[u8]) -> Result<Directory> {
    let section = trailer.section(SectionKind::Directory)?;
    let mut plain = sealed.to_vec();
    let length = plain.len().saturating_sub(TAG_BYTES);
    let length = u32::try_from(length).map_err(|_| Error::Malformed("too large"))?;
    keys.seal_key(&trailer.header)?
        .open(DIRECTORY_NUMBER, length, 0, &mut plain)?;
    Directory::decode(&plain, section.offset)
}

/// Decrypts a frame and leaves it compressed, so that it can move to another pack.
pub fn unseal_frame(
    key: &SealKey,
    number: u32,
    entry: &FrameEntry,
    mut sealed: Vec<u8>,
) -> Result<Vec<u8>> {
    key.open(number, entry.plain_length, entry.codec.to_u8(), &mut sealed)?;
    Ok(sealed)
}

/// Decrypts and decompresses a frame as it lies in the pack, into `plain`, which has `entry.plain_length`
/// bytes. The ids of its chunks are not checked; behind an error `plain` holds anything.
pub fn open_frame(
    key: &SealKey,
    number: u32,
    entry: &FrameEntry,
    sealed: &[u8],
    decompressor: &mut FrameDecompressor,
    plain: &mut [u8],
) -> Result<()> {
    if plain.len() != to_usize(entry.plain_length) {
        return Err(Error::Malformed("a frame has another length than stated"));
    }
    decompressor.open(key, number, entry.codec, sealed, plain)
}

/// Builds a pack frame by frame.
#[derive(Debug)]
pub struct PackBuilder {
    header: Header,
    key: SealKey,
    directory: Directory,
    pieces: Vec<Bytes>,
    hasher: BlockHasher,
    parity: Option<Encoder>,
    length: u64,
}

/// A pack ready to be stored: its bytes in order, and what it holds.
#[derive(Debug)]
pub struct FinishedPack {
    pub header: Header,
    pub pieces: Vec<Bytes>,
    pub length: u64,
    pub directory: Directory,
}

impl PackBuilder {
    /// `header` must come from the same `keys`.
    pub fn new(header: Header, keys: &Keys) -> Self {
        let mut pack = Self {
            header,
            key: keys.seal_key(&header).expect(HEADER_OF_THESE_KEYS),
            directory: Directory::default(),
            pieces: Vec::new(),
            hasher: BlockHasher::default(),
            parity: None,
            length: 0,
        };
        pack.append(header.encode().to_vec());
        pack
    }

    /// A pack that heals: see [`crate::heal`].
    pub fn with_parity(header: Header, keys: &Keys) -> Self {
        let mut pack = Self::new(header, keys);
        let mut encoder = Encoder::new(SHAPE_LARGE);
        encoder.update(&header.encode());
        pack.parity = Some(encoder);
        pack
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes so far, without directory and trailer.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The slot that the next chunk gets.
    pub fn next_slot(&self) -> u32 {
        to_u32(self.directory.chunks.len())
    }

    /// Seals a compressed frame that holds `chunks`, each given by id and plain length. Returns the
    /// slot of the first.
    pub fn push(&mut self, codec: Codec, mut bytes: Vec<u8>, chunks: &[(ContentId, u32)]) -> u32 {
        let first_slot = self.next_slot();
        let number = to_u32(self.directory.frames.len());
        let plain_length = chunks.iter().map(|(_, length)| length).sum();
        self.key
            .seal(number, plain_length, codec.to_u8(), &mut bytes);
        let entry = FrameEntry {
            offset: self.length,
            sealed_length: to_u32(bytes.len()),
            plain_length,
            codec,
            first_slot,
        };
        self.directory.push(entry, chunks);
        self.append(bytes);
        assert!(
            self.length < OBJECT_BYTES_MAX / 2,
            "packs are closed long before"
        );
        first_slot
    }

    pub fn finish(mut self) -> FinishedPack {
        let frames_end = self.length;
        let mut directory = self.directory.encode();
        let plain_length = to_u32(directory.len());
        self.key
            .seal(DIRECTORY_NUMBER, plain_length, 0, &mut directory);
        self.append(directory);
        let head = HEADER_BYTES as u64;
        let mut sections = vec![
            Section::new(SectionKind::Frames, head, frames_end - head),
            Section::new(SectionKind::Directory, frames_end, self.length - frames_end),
        ];
        if let Some(encoder) = self.parity.take() {
            self.append_parity(encoder, &mut sections);
        }
        let hashes = self.hasher.finish();
        let trailer = Trailer::encode(&self.header, self.length, &sections, &hashes);
        self.length += trailer.len() as u64;
        self.pieces.push(trailer.into());
        FinishedPack {
            header: self.header,
            pieces: self.pieces,
            length: self.length,
            directory: self.directory,
        }
    }

    /// Two records, and the parity of all that is there between them. `encoder` has seen it as a large pack.
    fn append_parity(&mut self, encoder: Encoder, sections: &mut Vec<Section>) {
        let protected = self.length;
        let shape = Shape::of(protected);
        let layout =
            Layout::new(shape, protected, sections.len() + 1).expect("packs are built in memory");
        let (parity, mut hashes) = if shape == SHAPE_LARGE {
            (encoder.finish(), self.hasher.inner_hashes())
        } else {
            let bytes = self.pieces.concat();
            (layout.encode(&bytes), layout.block_hashes(&bytes))
        };
        hashes.extend(layout.parity_hashes(&parity));
        let length = layout.body_length() as u64 - protected;
        sections.push(Section::optional(SectionKind::Parity, protected, length));
        let record = Record::new(self.header, layout, sections.clone(), hashes).encode();
        let mut first = record.clone();
        first.resize(layout.first_part_bytes(), 0);
        for bytes in [first, parity, record] {
            self.append(bytes);
        }
    }

    fn append(&mut self, bytes: Vec<u8>) {
        self.hasher.update(&bytes);
        if let Some(encoder) = &mut self.parity {
            encoder.update(&bytes);
        }
        self.length += bytes.len() as u64;
        self.pieces.push(bytes.into());
    }
}

#[cfg(test)]
pub(crate) fn decode_directory(plain: &[u8], frames_end: u64) -> Result<Directory> {
    Directory::decode(plain, frames_end)
}
