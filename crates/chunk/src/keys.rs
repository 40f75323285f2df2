use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::seal::SealKey;
use crate::{ContentId, Error, Header, Kind, ObjectId, Result};

pub(crate) const HEADER_OF_THESE_KEYS: &str = "the header was made with these keys";

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

    /// What proves that whoever wrote `content` had this key.
    pub fn authenticate(&self, content: &[u8]) -> [u8; 32] {
        self.mac(&[content]).0
    }

    /// Is `mac` what [`Key::authenticate`] gives for `content`? Takes as long whatever the answer is.
    pub fn is_authentic(&self, content: &[u8], mac: &[u8; 32]) -> bool {
        blake3::Hash::from_bytes(self.authenticate(content)) == *mac
    }

    fn mac(&self, parts: &[&[u8]]) -> Key {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        for part in parts {
            hasher.update(part);
        }
        let key = Self(*hasher.finalize().as_bytes());
        hasher.zeroize();
        key
    }

    /// Seals `secret`, a repository's root key of this `generation`, under this key. `salt` must be fresh for every
    /// set of root keys: it makes the nonces unique although one key file may open many repositories.
    pub fn wrap(
        &self,
        repository: ObjectId,
        salt: &[u8; 32],
        generation: u16,
        secret: &Key,
    ) -> Vec<u8> {
        // With room for the tag: growing would leave a copy of the key behind.
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&secret.0);
        self.wrapping_key(repository, salt)
            .seal(u32::from(generation), 32, 0, &mut bytes);
        bytes
    }

    /// The inverse of [`Key::wrap`]; [`Error::Unauthentic`] means that this is not the key.
    pub fn unwrap(
        &self,
        repository: ObjectId,
        salt: &[u8; 32],
        generation: u16,
        wrapped: &[u8],
    ) -> Result<Key> {
        let mut bytes = wrapped.to_vec();
        self.wrapping_key(repository, salt)
            .open(u32::from(generation), 32, 0, &mut bytes)?;
        let secret = bytes.as_slice().try_into().map(Key);
        bytes.zeroize();
        secret.map_err(|_| Error::Malformed("a wrapped key has 32 bytes"))
    }

    fn wrapping_key(&self, repository: ObjectId, salt: &[u8; 32]) -> SealKey {
        SealKey::new(&self.mac(&[salt]).0, repository, repository)
    }
}

/// Every key of a repository, derived from its root keys. Clones share what they [learn](Keys::learn).
///
/// Names and cuts come from the root key of generation 0 for ever, so that equal content stays equal after a
/// rotation; what seals comes from the generation that an object's header says.
#[derive(Debug, Clone)]
pub struct Keys {
    repository: ObjectId,
    chunk_id: Key,
    node_id: Key,
    point_id: Key,
    chunker: Key,
    /// By generation, never empty.
    seals: Arc<RwLock<Vec<Seals>>>,
}

/// What seals under one root key.
#[derive(Debug, Clone)]
struct Seals {
    data: Key,
    metadata: Key,
}

impl Seals {
    fn derive(root: &Key) -> Self {
        Self {
            data: root.derive("strongroom v1 data seal"),
            metadata: root.derive("strongroom v1 metadata seal"),
        }
    }
}

impl Keys {
    /// The keys of a repository that has one root key, that of generation 0.
    pub fn derive(repository: ObjectId, root: &Key) -> Self {
        Self {
            repository,
            chunk_id: root.derive("strongroom v1 chunk id"),
            node_id: root.derive("strongroom v1 node id"),
            point_id: root.derive("strongroom v1 point id"),
            chunker: root.derive("strongroom v1 chunker"),
            seals: Arc::new(RwLock::new(vec![Seals::derive(root)])),
        }
    }

    /// Adds the root keys of generations 1 and later, all of them in order. What is known is not forgotten: a caller who
    /// is offered fewer than are known has met a keyring that was rolled back.
    pub fn learn(&self, later: &[Key]) {
        let mut seals = self.seals.write().unwrap_or_else(PoisonError::into_inner);
        let known = seals.len() - 1;
        seals.extend(later.iter().skip(known).map(Seals::derive));
    }

    /// What is written now is sealed under this one.
    pub fn newest_generation(&self) -> u16 {
        let seals = self.seals.read().unwrap_or_else(PoisonError::into_inner);
        u16::try_from(seals.len() - 1).expect("a keyring has at most 2^16 generations")
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
        let (id, _) = hash.0.split_first_chunk().expect("a hash has 32 bytes");
        ObjectId(*id)
    }

    pub fn chunker(&self) -> &Key {
        &self.chunker
    }

    /// The key that seals one object; its salt makes it unlike any other object's. [`Error::NewerKeys`] for a
    /// generation that is not known.
    pub fn seal_key(&self, header: &Header) -> Result<SealKey> {
        let key = self.object_key(header)?;
        Ok(SealKey::new(&key.0, self.repository, header.object))
    }

    /// Authenticates the parts of an object that are kept in clear.
    pub(crate) fn mac(&self, header: &Header, content: &[u8]) -> Result<[u8; 32]> {
        let key = self.object_key(header)?;
        Ok(*blake3::keyed_hash(&key.0, content).as_bytes())
    }

    /// Authenticates the hashes of an index segment's blocks.
    pub(crate) fn block_mac(&self, header: &Header, content: &[u8]) -> Result<[u8; 32]> {
        let key = self.object_key(header)?;
        Ok(key
            .derive("strongroom v1 index block mac")
            .mac(&[content])
            .0)
    }

    fn object_key(&self, header: &Header) -> Result<Key> {
        let seals = self.seals.read().unwrap_or_else(PoisonError::into_inner);
        let seals = seals
            .get(usize::from(header.generation))
            .ok_or(Error::NewerKeys(header.generation))?;
        let base = match header.kind {
            Kind::DataPack => &seals.data,
            Kind::NodePack
            | Kind::IndexSegment
            | Kind::Point
            | Kind::Session
            | Kind::SessionEnd
            | Kind::Condemned => &seals.metadata,
        };
        Ok(base.mac(&[
            &header.kind.to_u16().to_le_bytes(),
            &header.object.0,
            &header.salt,
        ]))
    }
}
