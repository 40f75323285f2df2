use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use strongroom_chunk::Key;
use strongroom_types::IdSource;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{Error, Result};

/// What unlocks a repository. `Debug` does not show it; it is wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub enum Secret {
    /// The content of a key file, as [`generate_key_file`] made it.
    KeyFile(Vec<u8>),
    Passphrase(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyFile(_) => "Secret::KeyFile(..)",
            Self::Passphrase(_) => "Secret::Passphrase(..)",
        })
    }
}

const HEADER: &str = "strongroom key file 1";

/// Content for a new key file: a header line and 32 random bytes in hex. The caller wipes it.
pub fn generate_key_file(ids: &dyn IdSource) -> String {
    let mut key = Zeroizing::new([0u8; 32]);
    ids.fill(key.as_mut());
    let digits = Zeroizing::new(hex::encode(key.as_ref()));
    format!("{HEADER}\n{}\n", digits.as_str())
}

/// Whether a text is a key file, whole or not: as a passphrase, its first line would be known to everybody.
pub fn looks_like_key_file(content: &[u8]) -> bool {
    content.trim_ascii_start().starts_with(HEADER.as_bytes())
}

/// What configs and keyrings call `key_file` or `passphrase`; nothing for any other word.
pub(crate) fn kind_in_words(kind: &str) -> Option<&'static str> {
    match kind {
        "key_file" => Some("a key file"),
        "passphrase" => Some("a passphrase"),
        _ => None,
    }
}

/// How much work one guess of a passphrase takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Argon2Cost {
    pub(crate) memory_kib: u32,
    pub(crate) passes: u32,
    pub(crate) lanes: u32,
}

impl Argon2Cost {
    /// About 0.2 s and 64 MiB on today's machines.
    pub(crate) const NEW: Self = Self {
        memory_kib: 64 << 10,
        passes: 3,
        lanes: 1,
    };

    /// A changed config must not make us allocate or compute without end.
    fn is_sane(self) -> bool {
        self.memory_kib <= 4 << 20 && self.passes <= 64 && self.lanes <= 64
    }
}

impl Secret {
    /// How configs and keyrings call its kind.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::KeyFile(_) => "key_file",
            Self::Passphrase(_) => "passphrase",
        }
    }

    /// The key that wraps a repository's root key. Slow for a passphrase: call it off the runtime.
    pub(crate) fn wrapping_key(&self, salt: &[u8; 32], cost: Argon2Cost) -> Result<Key> {
        match self {
            Self::KeyFile(content) => parse_key_file(content),
            Self::Passphrase(text) => {
                let broken = |_| Error::Corrupt {
                    object: "config".to_owned(),
                    detail: "impossible Argon2 parameters".to_owned(),
                };
                if !cost.is_sane() {
                    return Err(broken(argon2::Error::MemoryTooMuch));
                }
                let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(32))
                    .map_err(broken)?;
                let mut key = Key([0; 32]);
                Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
                    .hash_password_into(text.as_bytes(), salt, &mut key.0)
                    .map_err(broken)?;
                Ok(key)
            }
        }
    }
}

fn parse_key_file(content: &[u8]) -> Result<Key> {
    let invalid = |detail| Error::InvalidKeyFile { detail };
    let text = std::str::from_utf8(content).map_err(|_| invalid("not text"))?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines.next() != Some(HEADER) {
        return Err(invalid("its first line is not `strongroom key file 1`"));
    }
    let digits = lines
        .next()
        .ok_or(invalid("the line with the key is missing"))?;
    let mut key = Key([0; 32]);
    hex::decode_to_slice(digits, &mut key.0)
        .map_err(|_| invalid("the key is not 64 hex digits"))?;
    match lines.next() {
        None => Ok(key),
        Some(_) => Err(invalid("text after the key")),
    }
}
