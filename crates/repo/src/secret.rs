use std::fmt;

use strongroom_types::IdSource;
use zeroize::{Zeroize, ZeroizeOnDrop};

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

/// Content for a new key file: a header line and 32 random bytes in hex.
pub fn generate_key_file(ids: &dyn IdSource) -> String {
    let mut key = [0u8; 32];
    ids.fill(&mut key);
    let text = format!("{HEADER}\n{}\n", hex::encode(key));
    key.zeroize();
    text
}
