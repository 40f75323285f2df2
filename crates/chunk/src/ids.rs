use std::fmt;

/// Names a chunk or a tree node by a keyed hash of what it holds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentId(pub [u8; 32]);

impl ContentId {
    /// Stands for "nothing here": the root of an image that is one hole.
    pub const ZERO: Self = Self([0; 32]);

    /// The part that index segments keep.
    pub fn prefix(&self) -> Prefix {
        let half = |range: std::ops::Range<usize>| {
            u64::from_be_bytes(self.0[range].try_into().expect("the range has eight bytes"))
        };
        Prefix([half(0..8), half(8..16)])
    }

    pub fn from_hex(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

/// The first 16 bytes of a [`ContentId`], as two big-endian numbers: sorts as the bytes do.
///
/// Ids are keyed, so nobody can search for two chunks that share a prefix; by chance two of 2^34
/// chunks do with a probability of 2^-61.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Prefix(pub [u64; 2]);

impl std::hash::Hash for Prefix {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        state.write_u64(self.0[0]);
    }
}

impl Prefix {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0[0].to_be_bytes());
        bytes[8..].copy_from_slice(&self.0[1].to_be_bytes());
        bytes
    }

    #[inline]
    pub fn from_bytes(bytes: &[u8; 16]) -> Self {
        let (high, low) = bytes.split_first_chunk().expect("16 bytes");
        let (low, _) = low.split_first_chunk().expect("8 bytes");
        Self([u64::from_be_bytes(*high), u64::from_be_bytes(*low)])
    }
}

/// Names an object (a pack, an index segment, a point) inside its repository; random but for points.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectId(pub [u8; 16]);

impl ObjectId {
    pub fn from_hex(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

/// Where a chunk or node lies: in which pack, and there the how-manieth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    pub pack: ObjectId,
    pub slot: u32,
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// Lower case only: an object must not have two names.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! hex_text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

hex_text!(ContentId);
hex_text!(ObjectId);
