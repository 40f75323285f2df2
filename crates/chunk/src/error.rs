/// Why bytes could not be decoded. The caller knows which object they came from and says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes are not what this format allows: damaged, cut short, or another kind of object.
    #[error("{0}")]
    Malformed(&'static str),
    /// Written by a newer Strongroom; nothing is wrong with the object.
    #[error("format version {0} is newer than this program understands")]
    NewerVersion(u16),
    /// Sealed under a root key of a later generation than this process knows; nothing is wrong with the object.
    #[error("sealed under generation {0} of the keys, which is not known here")]
    NewerKeys(u16),
    /// Decryption refused the bytes: they or what they are bound to were changed, or the key is wrong.
    #[error("decryption failed: changed bytes or another key")]
    Unauthentic,
}

pub type Result<T> = std::result::Result<T, Error>;
