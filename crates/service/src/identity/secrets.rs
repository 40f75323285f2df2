use std::fmt;

use aws_lc_rs::digest;
use strongroom_types::IdSource;
use zeroize::Zeroizing;

/// A text that is wiped when dropped and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `length` characters of `A-Z2-7`, five random bits each.
    pub(super) fn random(ids: &dyn IdSource, length: usize) -> Self {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let mut bytes = Zeroizing::new(vec![0; length]);
        ids.fill(&mut bytes);
        let text = bytes
            .iter()
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
            .collect();
        Self::new(text)
    }

    /// 32 random bytes in hex: the form of tokens.
    pub(super) fn random_token(ids: &dyn IdSource) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        ids.fill(bytes.as_mut());
        Self::new(hex::encode(bytes.as_slice()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is kept of a token: its SHA-256. Enough, since a token has more entropy than can be searched.
pub(super) fn token_hash(token: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, token.as_bytes())
        .as_ref()
        .to_vec()
}
