//! Opening packs: their directories, kept in a bounded cache, and their frames. What parity heals is read as if
//! nothing had happened, but for a warning.

mod healing;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use bytes::Bytes;
use object_store::path::Path;
use strongroom_chunk::{
    Codec, Directory, FrameDecompressor, Keys, Kind, ObjectId, SealKey, SectionKind, Trailer,
    open_directory_section, open_frame, unseal_frame,
};

use crate::cache::Cache;
use crate::store::Store;
use crate::{Error, Result, layout};
use healing::Healing;

/// Most packs' trailer and directory fit into the first read.
const TAIL_BYTES: u64 = 128 << 10;
const CACHE_BYTES: usize = 48 << 20;

/// A pack whose directory was read.
#[derive(Debug)]
pub(crate) struct Pack {
    pub(crate) id: ObjectId,
    pub(crate) kind: Kind,
    pub(crate) path: Path,
    pub(crate) length: u64,
    pub(crate) directory: Directory,
    pub(crate) trailer: Trailer,
    pub(crate) key: SealKey,
    /// What was read of it so far had to be healed.
    damaged: bool,
}

impl Pack {
    /// A frame's bytes as they were compressed, and how.
    pub(crate) fn unseal_frame(&self, number: usize, sealed: &[u8]) -> Result<(Codec, Vec<u8>)> {
        let entry = self.directory.frames()[number];
        let number = u32::try_from(number).expect("a directory counts its frames in 32 bits");
        let bytes = unseal_frame(&self.key, number, &entry, sealed.to_vec())
            .map_err(|error| Error::decoding(self.path.as_ref(), error))?;
        Ok((entry.codec, bytes))
    }

    pub(crate) fn open_frame(
        &self,
        number: usize,
        sealed: &[u8],
        decompressor: &mut FrameDecompressor,
    ) -> Result<Vec<u8>> {
        let mut plain = vec![0; self.frame_bytes(number)];
        self.open_frame_into(number, sealed, decompressor, &mut plain)?;
        Ok(plain)
    }

    /// As [`Self::open_frame`], into a buffer of [`Self::frame_bytes`] that the caller has; behind an error it
    /// holds anything.
    pub(crate) fn open_frame_into(
        &self,
        number: usize,
        sealed: &[u8],
        decompressor: &mut FrameDecompressor,
        plain: &mut [u8],
    ) -> Result<()> {
        let entry = self.directory.frames()[number];
        let number = u32::try_from(number).expect("a directory counts its frames in 32 bits");
        open_frame(&self.key, number, &entry, sealed, decompressor, plain)
            .map_err(|error| Error::decoding(self.path.as_ref(), error))
    }

    /// Plain bytes of a frame; the directory's decoder bounds them.
    pub(crate) fn frame_bytes(&self, number: usize) -> usize {
        usize::try_from(self.directory.frames()[number].plain_length).expect("u32 fits")
    }
}

#[derive(Debug)]
pub(crate) struct Packs {
    store: Store,
    keys: Keys,
    cache: Cache<ObjectId, Arc<Pack>>,
    /// Asked for in vain: a collection has rewritten them, and hints still lead there.
    gone: RwLock<HashSet<ObjectId>>,
    healing: Healing,
}

impl Packs {
    pub(crate) fn new(store: Store, keys: Keys) -> Self {
        Self {
            healing: Healing::new(store.clone()),
            store,
            keys,
            cache: Cache::new(CACHE_BYTES),
            gone: RwLock::default(),
        }
    }

    pub(crate) async fn get(&self, kind: Kind, id: ObjectId) -> Result<Arc<Pack>> {
        if let Some(pack) = self.cache.get(&id) {
            return Ok(pack);
        }
        let loaded = self.load(kind, id).await;
        if matches!(loaded, Err(Error::Missing { .. })) {
            self.forget(id);
        }
        let pack = Arc::new(loaded?);
        if self.is_gone(id) {
            self.gone_mut().remove(&id);
        }
        let bytes = pack.directory.memory_bytes() + 1024;
        self.cache.insert(id, Arc::clone(&pack), bytes);
        Ok(pack)
    }

    /// The pack is gone.
    pub(crate) fn forget(&self, id: ObjectId) {
        self.gone_mut().insert(id);
        self.cache.remove(&id);
    }

    /// Was the pack not there when it was last asked for?
    pub(crate) fn is_gone(&self, id: ObjectId) -> bool {
        let gone = self.gone.read().unwrap_or_else(PoisonError::into_inner);
        gone.contains(&id)
    }

    fn gone_mut(&self) -> RwLockWriteGuard<'_, HashSet<ObjectId>> {
        self.gone.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads trailer and directory from the store, whatever the cache holds; heals them if need be.
    pub(crate) async fn load(&self, kind: Kind, id: ObjectId) -> Result<Pack> {
        let error = match self.load_as_it_is(kind, id).await {
            Err(error @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => error,
            other => return other,
        };
        match self.healing.whole_pack(kind, id).await? {
            Some(bytes) => self.open_whole(kind, id, &bytes),
            None => Err(error),
        }
    }

    /// [`Packs::load`] without healing.
    pub(crate) async fn load_as_it_is(&self, kind: Kind, id: ObjectId) -> Result<Pack> {
        let path = layout::path(kind, id);
        let corrupt = |error| Error::decoding(path.as_ref(), error);
        let (mut tail, length) = self.store.read_tail(&path, TAIL_BYTES).await?;
        let needed = Trailer::length(&tail, length).map_err(corrupt)?;
        if needed > tail.len() {
            (tail, _) = self.store.read_tail(&path, needed as u64).await?;
        }
        let trailer = Trailer::decode(&tail, length).map_err(corrupt)?;
        let section = trailer.section(SectionKind::Directory).map_err(corrupt)?;
        let range = section.offset..section.offset + section.length;
        let start = length - tail.len() as u64;
        let sealed = match range.start.checked_sub(start) {
            Some(from) => {
                let from = usize::try_from(from).expect("packs fit into memory");
                tail.slice(from..from + section.range().len())
            }
            // Behind it lies parity.
            None => self.store.read_ranges(&path, &[range]).await?.remove(0),
        };
        self.open(kind, id, trailer, &sealed)
    }

    /// A pack from all of its bytes, as [`Packs::healed`] gives them.
    pub(crate) fn open_whole(&self, kind: Kind, id: ObjectId, bytes: &[u8]) -> Result<Pack> {
        let path = layout::path(kind, id);
        let corrupt = |error| Error::decoding(path.as_ref(), error);
        let trailer = Trailer::decode(bytes, bytes.len() as u64).map_err(corrupt)?;
        let section = trailer.section(SectionKind::Directory).map_err(corrupt)?;
        let pack = self.open(kind, id, trailer, &bytes[section.range()])?;
        Ok(Pack {
            damaged: true,
            ..pack
        })
    }

    fn open(&self, kind: Kind, id: ObjectId, trailer: Trailer, directory: &[u8]) -> Result<Pack> {
        let path = layout::path(kind, id);
        let corrupt = |error| Error::decoding(path.as_ref(), error);
        self.check_header(&trailer, kind, id, &path)?;
        let directory = open_directory_section(&self.keys, &trailer, directory).map_err(corrupt)?;
        Ok(Pack {
            id,
            kind,
            key: self.keys.seal_key(&trailer.header).map_err(corrupt)?,
            length: trailer.object_length,
            directory,
            trailer,
            path,
            damaged: false,
        })
    }

    /// Ranges of the pack's bytes, to be opened by [`Pack::open_frame`]. If that finds damage,
    /// [`Packs::read_healed`] may help; what the disk cannot read is healed here.
    pub(crate) async fn read(&self, pack: &Pack, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if pack.damaged
            && let Some(parts) = self.read_healed(pack, ranges).await?
        {
            return Ok(parts);
        }
        match self.store.read_ranges(&pack.path, ranges).await {
            Err(error @ Error::Corrupt { .. }) => {
                self.read_healed(pack, ranges).await?.ok_or(error)
            }
            parts => parts,
        }
    }

    /// [`Packs::read`] as parity says that they were; nothing if it cannot.
    pub(crate) async fn read_healed(
        &self,
        pack: &Pack,
        ranges: &[Range<u64>],
    ) -> Result<Option<Vec<Bytes>>> {
        let Some(bytes) = self.healing.whole_pack(pack.kind, pack.id).await? else {
            return Ok(None);
        };
        let index = |offset: u64| usize::try_from(offset).expect("it is in memory");
        let parts = ranges.iter().map(|range| {
            let range = index(range.start)..index(range.end);
            (range.end <= bytes.len()).then(|| bytes.slice(range))
        });
        Ok(parts.collect())
    }

    /// The whole pack as it was written, if it is damaged and its parity heals it.
    pub(crate) async fn healed(&self, kind: Kind, id: ObjectId) -> Result<Option<Bytes>> {
        self.healing.whole_pack(kind, id).await
    }

    pub(crate) fn healed_count(&self) -> u64 {
        self.healing.count()
    }

    fn check_header(&self, trailer: &Trailer, kind: Kind, id: ObjectId, path: &Path) -> Result<()> {
        let header = &trailer.header;
        let ours = header.repository == self.keys.repository();
        if ours && header.kind == kind && header.object == id {
            return Ok(());
        }
        Err(Error::Corrupt {
            object: path.to_string(),
            detail: "it is another object under this name".to_owned(),
        })
    }
}
