use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::seal::SealKey;
use crate::{ContentId, Error, Header, Kind, ObjectId, Result};

/// 32 secret bytes. `Debug` does not show them; they are wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key(pub [u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl Key {
    /// A key for one purpose, unrelated to this one and to those for other purposes.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> Self {
        Self(blake3::derive_key(purpose, &self.0))
    }

    fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        *hasher.finalize().as_bytes()
    }

    /// Seals `secret` (a repository's root key) under this key. `salt` must be fresh: it makes the
    /// nonce unique although one key file may open many repositories.
    pub fn wrap(&self, repository: ObjectId, salt: &[u8; 32], secret: &Key) -> Vec<u8> {
        let mut bytes = secret.0.to_vec();
        self.wrapping_key(repository, salt)
            .seal(0, 32, 0, &mut bytes);
        bytes
    }

    /// The inverse of [`Key::wrap`]; [`Error::Unauthentic`] means that this is not the key.
    pub fn unwrap(&self, repository: ObjectId, salt: &[u8; 32], wrapped: &[u8]) -> Result<Key> {
        let mut bytes = wrapped.to_vec();
        self.wrapping_key(repository, salt)
            .open(0, 32, 0, &mut bytes)?;
        let secret = bytes.as_slice().try_into().map(Key);
        bytes.zeroize();
        secret.map_err(|_| Error::Malformed("a wrapped key has 32 bytes"))
    }

    fn wrapping_key(&self, repository: ObjectId, salt: &[u8; 32]) -> SealKey {
        let mut bytes = self.mac(&[salt]);
        let key = SealKey::new(&bytes, repository, repository);
        bytes.zeroize();
        key
    }
}

/// Every key of a repository, derived from its root key.
#[derive(Debug, Clone)]
pub struct Keys {
    repository: ObjectId,
    chunk_id: Key,
    node_id: Key,
    point_id: Key,
    chunker: Key,
    data_seal: Key,
    metadata_seal: Key,
}

impl Keys {
    pub fn derive(repository: ObjectId, root: &Key) -> Self {
        Self {
            repository,
            chunk_id: root.derive("strongroom v1 chunk id"),
            node_id: root.derive("strongroom v1 node id"),
            point_id: root.derive("strongroom v1 point id"),
            chunker: root.derive("strongroom v1 chunker"),
            data_seal: root.derive("strongroom v1 data seal"),
            metadata_seal: root.derive("strongroom v1 metadata seal"),
        }
    }

    pub fn repository(&self) -> ObjectId {
        self.repository
    }

    pub fn chunk_id(&self, content: &[u8]) -> ContentId {
        ContentId(*blake3::keyed_hash(&self.chunk_id.0, content).as_bytes())
    }

    pub fn node_id(&self, canonical: &[u8]) -> ContentId {
        ContentId(*blake3::keyed_hash(&self.node_id.0, canonical).as_bytes())
    }

    /// A point's object id: derived from its name, so that a retry meets the first attempt's object.
    pub fn point_id(&self, name: &str) -> ObjectId {
        let hash = self.point_id.mac(&[name.as_bytes()]);
        let (id, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        ObjectId(*id)
    }

    pub fn chunker(&self) -> &Key {
        &self.chunker
    }

    /// The key that seals one object; its salt makes it unlike any other object's.
    pub fn seal_key(&self, header: &Header) -> SealKey {
        let mut bytes = self.object_key(header);
        let key = SealKey::new(&bytes, self.repository, header.object);
        bytes.zeroize();
        key
    }

    /// Authenticates the parts of an object that are kept in clear.
    pub(crate) fn mac(&self, header: &Header, content: &[u8]) -> [u8; 32] {
        let mut bytes = self.object_key(header);
        let mac = *blake3::keyed_hash(&bytes, content).as_bytes();
        bytes.zeroize();
        mac
    }

    fn object_key(&self, header: &Header) -> [u8; 32] {
        let base = match header.kind {
            Kind::DataPack => &self.data_seal,
            Kind::NodePack
            | Kind::IndexSegment
            | Kind::Point
            | Kind::Session
            | Kind::SessionEnd
            | Kind::Condemned => &self.metadata_seal,
        };
        base.mac(&[
            &header.kind.to_u16().to_le_bytes(),
            &header.object.0,
            &header.salt,
        ])
    }
}
