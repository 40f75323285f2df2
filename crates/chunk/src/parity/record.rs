//! The record that stands before and behind the parity, and is found by its magic when nothing else can be read.

use super::shape::{Layout, Shape};
use crate::bytes_io::{Reader, to_u32, to_usize};
use crate::hasher::InnerHash;
use crate::header::HEADER_BYTES;
use crate::trailer::{OBJECT_BYTES_MAX, SECTIONS_MAX, Section};
use crate::{Error, Header, Result};

const MAGIC: [u8; 8] = *b"STRGHEAL";
const CHECKSUM_BYTES: usize = 32;
/// A record without its sections and hashes.
pub(super) const RECORD_FIXED_BYTES: usize = 40 + HEADER_BYTES + CHECKSUM_BYTES;
/// So many places that begin like a record are tried.
const CANDIDATES_MAX: usize = 64;

/// All that is needed to find what is lost, and to write the trailer anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(super) header: Header,
    pub(super) layout: Layout,
    /// As the trailer has them, the parity's included.
    pub(super) sections: Vec<Section>,
    /// Of the protected blocks, then of the parity blocks.
    pub(super) hashes: Vec<InnerHash>,
}

impl Record {
    pub(crate) fn new(
        header: Header,
        layout: Layout,
        sections: Vec<Section>,
        hashes: Vec<InnerHash>,
    ) -> Self {
        Self {
            header,
            layout,
            sections,
            hashes,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let shape = self.layout.shape;
        let mut bytes = Vec::with_capacity(self.layout.record_bytes());
        bytes.extend(MAGIC);
        bytes.extend(to_u32(shape.block_bytes).to_le_bytes());
        for field in [shape.columns, shape.rows, shape.parity_rows] {
            let field = u16::try_from(field).expect("shapes are small");
            bytes.extend(field.to_le_bytes());
        }
        bytes.extend([0; 2]);
        bytes.extend(to_u32(self.sections.len()).to_le_bytes());
        bytes.extend((self.layout.protected as u64).to_le_bytes());
        bytes.extend((self.layout.object_length() as u64).to_le_bytes());
        bytes.extend(self.header.encode());
        for section in &self.sections {
            section.encode(&mut bytes);
        }
        bytes.extend(self.hashes.as_flattened());
        let checksum = blake3::hash(&bytes);
        bytes.extend(checksum.as_bytes());
        bytes
    }

    /// The record in `bytes`, a whole object that may be damaged anywhere.
    pub(super) fn find(bytes: &[u8]) -> Result<Self> {
        let mut end = bytes.len();
        for _ in 0..CANDIDATES_MAX {
            let Some(place) = rfind(&bytes[..end]) else {
                break;
            };
            if let Ok(record) = Self::decode(&bytes[place..])
                && record.stands_at(place)
            {
                return Ok(record);
            }
            // A magic may overlap with the next one.
            end = place + MAGIC.len() - 1;
        }
        Err(Error::Malformed("it has no parity that could be read"))
    }

    fn stands_at(&self, place: usize) -> bool {
        place == self.layout.protected || place == self.layout.second_record()
    }

    fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        reader.take(MAGIC.len())?;
        let block_bytes = to_usize(reader.u32()?);
        let mut small = || reader.u16().map(usize::from);
        let shape = Shape {
            block_bytes,
            columns: small()?,
            rows: small()?,
            parity_rows: small()?,
        };
        reader.zeros(2)?;
        let section_count = to_usize(reader.u32()?);
        let (protected, object_length) = (reader.u64()?, reader.u64()?);
        if section_count > SECTIONS_MAX
            || protected > object_length
            || object_length > OBJECT_BYTES_MAX
        {
            return Err(Error::Malformed("a parity record of impossible lengths"));
        }
        let layout = Layout::new(shape.check()?, protected, section_count)?;
        if layout.object_length() as u64 != object_length {
            return Err(Error::Malformed("a parity record of impossible lengths"));
        }
        let length = layout.record_bytes();
        let whole = bytes.get(..length).ok_or(Error::Malformed("cut short"))?;
        let (checked, checksum) = whole.split_at(length - CHECKSUM_BYTES);
        if blake3::hash(checked).as_bytes() != checksum {
            return Err(Error::Malformed(
                "a parity record does not match its checksum",
            ));
        }
        let header = Header::decode(reader.take(HEADER_BYTES)?)?;
        let sections = (0..section_count)
            .map(|_| Section::decode(&mut reader))
            .collect::<Result<_>>()?;
        let hashes = (0..layout.hash_count())
            .map(|_| reader.array())
            .collect::<Result<_>>()?;
        Ok(Self::new(header, layout, sections, hashes))
    }
}

/// The last place where a record may begin.
fn rfind(bytes: &[u8]) -> Option<usize> {
    bytes
        .windows(MAGIC.len())
        .rposition(|window| window == MAGIC)
}
