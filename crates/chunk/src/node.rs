//! Nodes of the copy-on-write Merkle tree that says which chunks make up an image.
//!
//! A node has two parts. The canonical part depends on the image alone and gives the node its id; the
//! hints say where the chunks or children lie now and may be stale after packs were rewritten.

use std::collections::HashMap;

use crate::bytes_io::{Reader, to_u32, to_usize};
use crate::{BLOCK_BYTES, ContentId, Error, Keys, ObjectId, Place, Result};

/// A leaf lists the chunks that start in one span of so many bytes.
pub const SPAN_BYTES: u64 = 4 << 20;
/// Children of an inner node.
pub const FAN_OUT: u64 = 256;
/// Enough levels for any size in u64.
const LEVEL_MAX: u8 = 6;
/// Upper bound of every profile.
const CHUNK_BYTES_MAX: u32 = 1 << 20;

/// A chunk of an image; what no chunk covers is a hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafEntry {
    pub id: ContentId,
    /// From the begin of the leaf's span.
    pub offset: u32,
    pub length: u32,
    /// Hint.
    pub place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Child {
    /// Which of the children, below [`FAN_OUT`]. Children that are one hole are left out.
    pub position: u8,
    pub id: ContentId,
    /// Hint.
    pub place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Leaf(Vec<LeafEntry>),
    /// `level` counts from the leaves, which are 0.
    Inner {
        level: u8,
        children: Vec<Child>,
    },
}

/// Level of the root of an image's tree; 0 if one leaf is enough.
pub fn root_level(size_bytes: u64) -> u8 {
    let mut level = 0;
    while size_bytes > node_bytes(level) {
        level += 1;
    }
    level
}

/// Bytes of the image under one node of this level, saturating.
pub fn node_bytes(level: u8) -> u64 {
    SPAN_BYTES.saturating_mul(FAN_OUT.saturating_pow(u32::from(level)))
}

impl Node {
    /// The node's id and its encoding, hints included.
    pub fn encode(&self, keys: &Keys) -> (ContentId, Vec<u8>) {
        let canonical = self.canonical();
        let id = keys.node_id(&canonical);
        let mut bytes = to_u32(canonical.len()).to_le_bytes().to_vec();
        bytes.extend(canonical);
        self.write_hints(&mut bytes);
        (id, bytes)
    }

    /// Reads a node and checks that it is the one called `id`.
    pub fn decode(bytes: &[u8], id: ContentId, keys: &Keys) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        let length = reader.count(1)?;
        let canonical = reader.take(length)?;
        if keys.node_id(canonical) != id {
            return Err(Error::Malformed("a node does not hash to its id"));
        }
        Self::decode_parts(canonical, reader)
    }

    fn canonical(&self) -> Vec<u8> {
        match self {
            Self::Leaf(entries) => {
                let mut bytes = vec![0; 4];
                bytes.extend(to_u32(entries.len()).to_le_bytes());
                for entry in entries {
                    bytes.extend(entry.id.0);
                    bytes.extend(entry.offset.to_le_bytes());
                    bytes.extend(entry.length.to_le_bytes());
                }
                bytes
            }
            Self::Inner { level, children } => {
                let mut bytes = vec![*level, 0, 0, 0];
                let mut present = [0u8; 32];
                for child in children {
                    present[usize::from(child.position / 8)] |= 1 << (child.position % 8);
                }
                bytes.extend(present);
                for child in children {
                    bytes.extend(child.id.0);
                }
                bytes
            }
        }
    }

    fn places(&self) -> Vec<Place> {
        match self {
            Self::Leaf(entries) => entries.iter().map(|entry| entry.place).collect(),
            Self::Inner { children, .. } => children.iter().map(|child| child.place).collect(),
        }
    }

    /// Table of packs in order of first use, then (index in the table, slot) for each place.
    fn write_hints(&self, bytes: &mut Vec<u8>) {
        let places = self.places();
        let mut numbers = HashMap::new();
        let mut packs = Vec::new();
        for place in &places {
            numbers.entry(place.pack).or_insert_with(|| {
                packs.push(place.pack);
                to_u32(packs.len() - 1)
            });
        }
        bytes.extend(to_u32(packs.len()).to_le_bytes());
        for pack in &packs {
            bytes.extend(pack.0);
        }
        for place in &places {
            bytes.extend(numbers[&place.pack].to_le_bytes());
            bytes.extend(place.slot.to_le_bytes());
        }
    }

    fn decode_parts(canonical: &[u8], mut hints: Reader<'_>) -> Result<Self> {
        let mut reader = Reader::new(canonical);
        let level = reader.array::<1>()?[0];
        reader.zeros(3)?;
        let pack_count = hints.count(16)?;
        let packs = (0..pack_count)
            .map(|_| hints.array().map(ObjectId))
            .collect::<Result<Vec<_>>>()?;
        let mut place = || {
            let (number, slot) = (hints.u32()?, hints.u32()?);
            let pack = packs.get(to_usize(number)).copied();
            let pack = pack.ok_or(Error::Malformed("a hint names no pack"))?;
            Ok(Place { pack, slot })
        };
        let node = if level == 0 {
            Self::Leaf(decode_entries(&mut reader, &mut place)?)
        } else if level <= LEVEL_MAX {
            let children = decode_children(&mut reader, &mut place)?;
            Self::Inner { level, children }
        } else {
            return Err(Error::Malformed("a tree too high for any image"));
        };
        reader.end()?;
        hints.end()?;
        Ok(node)
    }
}

fn decode_entries(
    reader: &mut Reader<'_>,
    place: &mut impl FnMut() -> Result<Place>,
) -> Result<Vec<LeafEntry>> {
    let count = reader.count(40)?;
    let mut entries = Vec::with_capacity(count);
    let mut end = 0u32;
    for _ in 0..count {
        let entry = LeafEntry {
            id: ContentId(reader.array()?),
            offset: reader.u32()?,
            length: reader.u32()?,
            place: place()?,
        };
        let aligned = to_usize(entry.offset).is_multiple_of(BLOCK_BYTES);
        let inside = u64::from(entry.offset) < SPAN_BYTES && entry.offset >= end;
        if !aligned || !inside || entry.length == 0 || entry.length > CHUNK_BYTES_MAX {
            return Err(Error::Malformed("a leaf with an impossible chunk"));
        }
        end = entry.offset + entry.length;
        entries.push(entry);
    }
    if entries.is_empty() {
        return Err(Error::Malformed("an empty leaf"));
    }
    Ok(entries)
}

fn decode_children(
    reader: &mut Reader<'_>,
    place: &mut impl FnMut() -> Result<Place>,
) -> Result<Vec<Child>> {
    let present: [u8; 32] = reader.array()?;
    let children = (0..=u8::MAX)
        .filter(|position| present[usize::from(position / 8)] >> (position % 8) & 1 == 1)
        .map(|position| {
            Ok(Child {
                position,
                id: ContentId(reader.array()?),
                place: place()?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    if children.is_empty() {
        return Err(Error::Malformed("an inner node without children"));
    }
    Ok(children)
}
