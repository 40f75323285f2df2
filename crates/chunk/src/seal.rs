use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::{Error, ObjectId, Result};

/// Bytes that sealing adds.
pub(crate) const TAG_BYTES: usize = 16;

/// AES-256-GCM under a key that belongs to one object. The caller's frame number is the nonce: an
/// object is written once by one writer, so a number never seals two texts.
pub struct SealKey {
    key: LessSafeKey,
    repository: ObjectId,
    object: ObjectId,
}

impl fmt::Debug for SealKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealKey({})", self.object)
    }
}

impl SealKey {
    pub(crate) fn new(key: &[u8; 32], repository: ObjectId, object: ObjectId) -> Self {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("an AES-256 key has 32 bytes");
        Self {
            key: LessSafeKey::new(key),
            repository,
            object,
        }
    }

    /// Encrypts `bytes` in place and appends the tag. What is bound to them must be given again to
    /// open them: the frame's number, the length before compression and the codec.
    pub fn seal(&self, number: u32, plain_length: u32, codec: u8, bytes: &mut Vec<u8>) {
        let aad = self.aad(number, plain_length, codec);
        self.key
            .seal_in_place_append_tag(nonce(number), Aad::from(aad), bytes)
            .expect("sealing fails only beyond 64 GiB");
    }

    /// Checks and decrypts in place; `bytes` loses its tag.
    pub fn open(
        &self,
        number: u32,
        plain_length: u32,
        codec: u8,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let aad = self.aad(number, plain_length, codec);
        let length = self
            .key
            .open_in_place(nonce(number), Aad::from(aad), bytes)
            .map_err(|_| Error::Unauthentic)?
            .len();
        bytes.truncate(length);
        Ok(())
    }

    /// As [`Self::open`], from `sealed`, tag included, into `opened`, which has the tag's length less.
    pub(crate) fn open_into(
        &self,
        number: u32,
        plain_length: u32,
        codec: u8,
        sealed: &[u8],
        opened: &mut [u8],
    ) -> Result<()> {
        let text = sealed.len().checked_sub(TAG_BYTES);
        let (text, tag) = sealed.split_at(text.ok_or(Error::Unauthentic)?);
        let aad = Aad::from(self.aad(number, plain_length, codec));
        self.key
            .open_separate_gather(nonce(number), aad, text, tag, opened)
            .map_err(|_| Error::Unauthentic)
    }

    fn aad(&self, number: u32, plain_length: u32, codec: u8) -> [u8; 41] {
        let mut aad = [0; 41];
        aad[..16].copy_from_slice(&self.repository.0);
        aad[16..32].copy_from_slice(&self.object.0);
        aad[32..36].copy_from_slice(&number.to_le_bytes());
        aad[36..40].copy_from_slice(&plain_length.to_le_bytes());
        aad[40] = codec;
        aad
    }
}

fn nonce(number: u32) -> Nonce {
    let mut bytes = [0; 12];
    bytes[..4].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(bytes)
}
