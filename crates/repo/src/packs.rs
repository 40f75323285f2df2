//! Opening packs: their directories, kept in a bounded cache, and their frames.

use std::sync::Arc;

use object_store::path::Path;
use strongroom_chunk::{
    Directory, FOOTER_BYTES, FrameDecompressor, Keys, Kind, ObjectId, SealKey, SectionKind,
    Trailer, open_directory, open_frame,
};

use crate::cache::Cache;
use crate::store::Store;
use crate::{Error, Result, layout};

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
}

impl Pack {
    pub(crate) fn open_frame(
        &self,
        number: usize,
        sealed: &[u8],
        decompressor: &mut FrameDecompressor,
    ) -> Result<Vec<u8>> {
        let entry = self.directory.frames()[number];
        let number = u32::try_from(number).expect("a directory counts its frames in 32 bits");
        open_frame(&self.key, number, &entry, sealed.to_vec(), decompressor)
            .map_err(|error| Error::decoding(self.path.as_ref(), error))
    }
}

#[derive(Debug)]
pub(crate) struct Packs {
    store: Store,
    keys: Keys,
    cache: Cache<ObjectId, Arc<Pack>>,
}

impl Packs {
    pub(crate) fn new(store: Store, keys: Keys) -> Self {
        Self {
            store,
            keys,
            cache: Cache::new(CACHE_BYTES),
        }
    }

    pub(crate) async fn get(&self, kind: Kind, id: ObjectId) -> Result<Arc<Pack>> {
        if let Some(pack) = self.cache.get(&id) {
            return Ok(pack);
        }
        let pack = Arc::new(self.load(kind, id).await?);
        let bytes = pack.directory.memory_bytes() + 1024;
        self.cache.insert(id, Arc::clone(&pack), bytes);
        Ok(pack)
    }

    /// Reads trailer and directory from the store, whatever the cache holds.
    pub(crate) async fn load(&self, kind: Kind, id: ObjectId) -> Result<Pack> {
        let path = layout::path(kind, id);
        let corrupt = |error| Error::decoding(path.as_ref(), error);
        let (mut tail, length) = self.store.read_tail(&path, TAIL_BYTES).await?;
        let mut needed = Trailer::length(&tail, length).map_err(corrupt)?;
        if needed > tail.len() {
            (tail, _) = self.store.read_tail(&path, needed as u64).await?;
        }
        let trailer = Trailer::decode(&tail, length).map_err(corrupt)?;
        let directory = trailer.section(SectionKind::Directory).map_err(corrupt)?;
        needed = usize::try_from(length - directory.offset).expect("packs fit into memory");
        if needed > tail.len() {
            (tail, _) = self.store.read_tail(&path, needed as u64).await?;
        }
        self.check_header(&trailer, kind, id, &path)?;
        let directory = open_directory(&self.keys, &trailer, &tail).map_err(corrupt)?;
        debug_assert!(length >= FOOTER_BYTES as u64);
        Ok(Pack {
            id,
            kind,
            key: self.keys.seal_key(&trailer.header).map_err(corrupt)?,
            length,
            directory,
            trailer,
            path,
        })
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
