use strongroom_types::IdSource;

use crate::bytes_io::Reader;
use crate::{Error, Keys, ObjectId, Result};

pub const HEADER_BYTES: usize = 96;
pub(crate) const VERSION: u16 = 1;
const MAGIC: [u8; 8] = *b"STRGROOM";

/// What an object holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    DataPack,
    NodePack,
    IndexSegment,
    Point,
    /// Who is at work.
    Session,
    /// How a session ended.
    SessionEnd,
    /// Packs that a collection removes.
    Condemned,
}

impl Kind {
    pub(crate) fn to_u16(self) -> u16 {
        match self {
            Self::DataPack => 1,
            Self::NodePack => 2,
            Self::IndexSegment => 3,
            Self::Point => 4,
            Self::Session => 5,
            Self::SessionEnd => 6,
            Self::Condemned => 7,
        }
    }

    pub(crate) fn from_u16(value: u16) -> Result<Self> {
        match value {
            1 => Ok(Self::DataPack),
            2 => Ok(Self::NodePack),
            3 => Ok(Self::IndexSegment),
            4 => Ok(Self::Point),
            5 => Ok(Self::Session),
            6 => Ok(Self::SessionEnd),
            7 => Ok(Self::Condemned),
            _ => Err(Error::Malformed("unknown kind of object")),
        }
    }
}

/// The first bytes of every object but `config`, repeated in its footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: Kind,
    /// Which of the repository's root keys the object's key comes from; 0 is the first.
    pub generation: u16,
    pub repository: ObjectId,
    pub object: ObjectId,
    /// Random; the object's key is derived from it.
    pub salt: [u8; 32],
}

impl Header {
    /// For an object that is about to be written, under the newest generation of `keys`.
    pub fn new(kind: Kind, keys: &Keys, object: ObjectId, ids: &dyn IdSource) -> Self {
        let mut salt = [0; 32];
        ids.fill(&mut salt);
        Self {
            kind,
            generation: keys.newest_generation(),
            repository: keys.repository(),
            object,
            salt,
        }
    }

    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
        bytes[10..12].copy_from_slice(&self.kind.to_u16().to_le_bytes());
        bytes[12..14].copy_from_slice(&self.generation.to_le_bytes());
        bytes[16..32].copy_from_slice(&self.repository.0);
        bytes[32..48].copy_from_slice(&self.object.0);
        bytes[48..80].copy_from_slice(&self.salt);
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut reader = Reader::new(bytes);
        if reader.array()? != MAGIC {
            return Err(Error::Malformed("no header of a repository object"));
        }
        let version = reader.u16()?;
        if version > VERSION {
            return Err(Error::NewerVersion(version));
        }
        if version == 0 {
            return Err(Error::Malformed("there is no format version 0"));
        }
        let kind = Kind::from_u16(reader.u16()?)?;
        let generation = reader.u16()?;
        reader.zeros(2)?;
        let header = Self {
            kind,
            generation,
            repository: ObjectId(reader.array()?),
            object: ObjectId(reader.array()?),
            salt: reader.array()?,
        };
        reader.zeros(16)?;
        Ok(header)
    }
}
