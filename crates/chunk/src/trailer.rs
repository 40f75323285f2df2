//! The clear end of every object: where its sections lie and BLAKE3 hashes of every byte before it,
//! so that a scrub finds damage without any key.

use crate::bytes_io::{Reader, to_u32};
pub(crate) use crate::hasher::BlockHasher;
use crate::header::HEADER_BYTES;
use crate::{Error, Header, Result};

/// Bytes that one hash of the trailer covers.
pub const HASH_BLOCK_BYTES: usize = 1 << 20;
pub const FOOTER_BYTES: usize = 192;
/// No object is larger; what claims to be is refused before memory is asked for.
pub(crate) const OBJECT_BYTES_MAX: u64 = 16 << 30;
pub(crate) const SECTION_BYTES: usize = 24;
pub(crate) const SECTIONS_MAX: usize = 64;
const MAGIC: [u8; 8] = *b"STRGTAIL";

/// What a section holds. Kinds that this version does not know are skipped unless marked required.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SectionKind {
    /// Sealed frames, back to back.
    Frames,
    /// Sealed list of a pack's frames and chunks.
    Directory,
    /// The packs that an index segment speaks of.
    PackTable,
    /// The sorted entries of an index segment.
    Entries,
    /// Keyed hash over the clear sections before it.
    Mac,
    /// One sealed text, the whole content of a small object.
    Body,
    /// What is not in an index segment, told quickly.
    Filter,
    /// Keyed hash over the hashes of an index segment's blocks.
    BlockMac,
    /// What heals a pack: see [`crate::heal`].
    Parity,
}

impl SectionKind {
    fn to_u16(self) -> u16 {
        match self {
            Self::Frames => 1,
            Self::Directory => 2,
            Self::PackTable => 3,
            Self::Entries => 4,
            Self::Mac => 5,
            Self::Body => 6,
            Self::Filter => 7,
            Self::BlockMac => 8,
            Self::Parity => 9,
        }
    }
}

/// A stretch of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    kind: u16,
    flags: u16,
    pub offset: u64,
    pub length: u64,
}

/// A reader that does not know this section's kind must refuse the object.
const FLAG_REQUIRED: u16 = 1;

impl Section {
    pub fn new(kind: SectionKind, offset: u64, length: u64) -> Self {
        Self {
            kind: kind.to_u16(),
            flags: FLAG_REQUIRED,
            offset,
            length,
        }
    }

    /// A section that readers may skip.
    pub(crate) fn optional(kind: SectionKind, offset: u64, length: u64) -> Self {
        Self {
            flags: 0,
            ..Self::new(kind, offset, length)
        }
    }

    pub(crate) fn encode(&self, bytes: &mut Vec<u8>) {
        bytes.extend(self.kind.to_le_bytes());
        bytes.extend(self.flags.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.offset.to_le_bytes());
        bytes.extend(self.length.to_le_bytes());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self> {
        let (kind, flags) = (reader.u16()?, reader.u16()?);
        reader.zeros(4)?;
        Ok(Self {
            kind,
            flags,
            offset: reader.u64()?,
            length: reader.u64()?,
        })
    }

    /// Where the section lies, as indices.
    pub fn range(&self) -> std::ops::Range<usize> {
        let index = |value: u64| usize::try_from(value).expect("objects fit the address space");
        index(self.offset)..index(self.offset + self.length)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    pub header: Header,
    /// Bytes before the trailer, header included.
    pub body_length: u64,
    pub object_length: u64,
    pub block_hashes: Vec<[u8; 32]>,
    sections: Vec<Section>,
}

impl Trailer {
    /// The trailer that follows a body of `body_length` bytes with these hashes.
    pub fn encode(
        header: &Header,
        body_length: u64,
        sections: &[Section],
        block_hashes: &[[u8; 32]],
    ) -> Vec<u8> {
        let mut bytes = block_hashes.concat();
        let root = blake3::hash(&bytes);
        let table = bytes.len();
        for section in sections {
            section.encode(&mut bytes);
        }
        let trailer_length = bytes.len() + FOOTER_BYTES;
        bytes.extend(header.encode());
        bytes.extend(body_length.to_le_bytes());
        bytes.extend((body_length + u64::from(to_u32(trailer_length))).to_le_bytes());
        bytes.extend(to_u32(sections.len()).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(root.as_bytes());
        let checksum = blake3::hash(&bytes[table..]);
        bytes.extend(checksum.as_bytes());
        bytes.extend(MAGIC);
        bytes
    }

    /// Bytes of a trailer behind a body of `body_length` bytes.
    pub(crate) fn length_for(body_length: u64, sections: usize) -> usize {
        let hashes = usize::try_from(body_length.div_ceil(HASH_BLOCK_BYTES as u64))
            .expect("objects fit the address space");
        hashes * 32 + sections * SECTION_BYTES + FOOTER_BYTES
    }

    /// How many of the object's last bytes the trailer takes. `tail` ends where the object ends and
    /// has at least [`FOOTER_BYTES`].
    pub fn length(tail: &[u8], object_length: u64) -> Result<usize> {
        Footer::decode(tail, object_length).map(|footer| footer.trailer_length)
    }

    /// Reads the trailer from `tail`, the last bytes of an object of `object_length` bytes; see
    /// [`Trailer::length`] for how many are needed.
    pub fn decode(tail: &[u8], object_length: u64) -> Result<Self> {
        let footer = Footer::decode(tail, object_length)?;
        let start = tail
            .len()
            .checked_sub(footer.trailer_length)
            .ok_or(Error::Malformed("cut short"))?;
        let (hashes, rest) = tail[start..].split_at(footer.hash_count * 32);
        let checked = &rest[..rest.len() - 40];
        if blake3::hash(checked).as_bytes() != &footer.checksum {
            return Err(Error::Malformed("the trailer does not match its checksum"));
        }
        if blake3::hash(hashes).as_bytes() != &footer.root {
            return Err(Error::Malformed("the block hashes do not match their root"));
        }
        let mut reader = Reader::new(rest);
        let sections = (0..footer.section_count)
            .map(|_| read_section(&mut reader, footer.body_length))
            .collect::<Result<_>>()?;
        let block_hashes = hashes
            .chunks_exact(32)
            .map(|hash| hash.try_into().expect("chunks of 32 bytes"))
            .collect();
        Ok(Self {
            header: footer.header,
            body_length: footer.body_length,
            object_length,
            block_hashes,
            sections,
        })
    }

    pub fn section(&self, kind: SectionKind) -> Result<Section> {
        let found = self.sections.iter().find(|s| s.kind == kind.to_u16());
        found
            .copied()
            .ok_or(Error::Malformed("a section is missing"))
    }

    /// Can damage to this object be healed?
    pub fn has_parity(&self) -> bool {
        self.section(SectionKind::Parity).is_ok()
    }

    /// Does the body's block with this number hash to what was written?
    pub fn block_matches(&self, number: usize, bytes: &[u8]) -> bool {
        self.block_hashes
            .get(number)
            .is_some_and(|hash| blake3::hash(bytes).as_bytes() == hash)
    }
}

struct Footer {
    header: Header,
    body_length: u64,
    section_count: usize,
    hash_count: usize,
    trailer_length: usize,
    root: [u8; 32],
    checksum: [u8; 32],
}

impl Footer {
    fn decode(tail: &[u8], object_length: u64) -> Result<Self> {
        let start = tail
            .len()
            .checked_sub(FOOTER_BYTES)
            .ok_or(Error::Malformed("cut short"))?;
        let bytes = &tail[start..];
        if bytes[FOOTER_BYTES - 8..] != MAGIC {
            return Err(Error::Malformed("no trailer at the end"));
        }
        let header = Header::decode(bytes)?;
        let mut reader = Reader::new(&bytes[HEADER_BYTES..]);
        let body_length = reader.u64()?;
        if reader.u64()? != object_length || object_length > OBJECT_BYTES_MAX {
            return Err(Error::Malformed(
                "the object has another length than stated",
            ));
        }
        let section_count = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        reader.zeros(4)?;
        let (root, checksum) = (reader.array()?, reader.array()?);
        if section_count > SECTIONS_MAX || body_length > object_length {
            return Err(Error::Malformed(
                "the trailer's lengths contradict each other",
            ));
        }
        let hash_count = usize::try_from(body_length.div_ceil(HASH_BLOCK_BYTES as u64))
            .map_err(|_| Error::Malformed("too large"))?;
        let trailer_length = hash_count * 32 + section_count * SECTION_BYTES + FOOTER_BYTES;
        if body_length + trailer_length as u64 != object_length {
            return Err(Error::Malformed(
                "the trailer's lengths contradict each other",
            ));
        }
        Ok(Self {
            header,
            body_length,
            section_count,
            hash_count,
            trailer_length,
            root,
            checksum,
        })
    }
}

fn read_section(reader: &mut Reader<'_>, body_length: u64) -> Result<Section> {
    let section = Section::decode(reader)?;
    let inside = section
        .offset
        .checked_add(section.length)
        .is_some_and(|end| end <= body_length);
    if !inside || section.offset < HEADER_BYTES as u64 {
        return Err(Error::Malformed("a section lies outside the body"));
    }
    if !matches!(section.kind, 1..=9) && section.flags & FLAG_REQUIRED != 0 {
        return Err(Error::Malformed(
            "a required section is of a kind unknown here",
        ));
    }
    Ok(section)
}
