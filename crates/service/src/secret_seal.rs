use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use strongroom_types::IdSource;
use zeroize::Zeroizing;

/// First byte of every sealed secret, so that another way of sealing can follow.
const VERSION: u8 = 1;

/// Keeps secrets unreadable in the database: AES-256-GCM under the installation's key, which lies elsewhere.
pub struct SecretSeal(LessSafeKey);

/// A sealed secret that this key did not seal for this name, or that was changed since.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a sealed secret cannot be opened: the installation's key is another one or the row was changed"
)]
pub struct SealBroken;

impl SecretSeal {
    /// The caller wipes `key`.
    pub fn new(key: &[u8; 32]) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("the key has 32 bytes");
        Self(LessSafeKey::new(key))
    }

    /// Version byte ‖ nonce ‖ ciphertext and tag. `name` must be given again to open it, so that a sealed secret
    /// is of no use in another row.
    pub fn seal(&self, ids: &dyn IdSource, name: &str, secret: &str) -> Vec<u8> {
        let mut nonce = [0; NONCE_LEN];
        ids.fill(&mut nonce);
        // With room for the tag: growing would leave a copy behind.
        let mut text = Vec::with_capacity(secret.len() + AES_256_GCM.tag_len());
        text.extend_from_slice(secret.as_bytes());
        self.0
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(name.as_bytes()),
                &mut text,
            )
            .expect("secrets are far below the cipher's limit of 64 GiB");
        [&[VERSION], nonce.as_slice(), &text].concat()
    }

    pub fn open(&self, name: &str, sealed: &[u8]) -> Result<Zeroizing<String>, SealBroken> {
        let [VERSION, rest @ ..] = sealed else {
            return Err(SealBroken);
        };
        let (nonce, text) = rest.split_at_checked(NONCE_LEN).ok_or(SealBroken)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealBroken)?;
        let mut buffer = Zeroizing::new(text.to_vec());
        let secret = self
            .0
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut buffer)
            .map_err(|_| SealBroken)?;
        let secret = std::str::from_utf8(secret).map_err(|_| SealBroken)?;
        Ok(Zeroizing::new(secret.to_owned()))
    }
}

impl fmt::Debug for SecretSeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretSeal(…)")
    }
}
