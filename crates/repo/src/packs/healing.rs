use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use strongroom_chunk::{Kind, ObjectId, Trailer, heal};
use tokio::sync::Mutex;

use crate::repository::blocking;
use crate::store::Store;
use crate::{Error, Result, layout};

/// Heals damaged packs, one at a time, and keeps the last: what is read of a pack comes in many parts.
#[derive(Debug)]
pub(super) struct Healing {
    store: Store,
    last: Mutex<Option<(ObjectId, Option<Bytes>)>>,
    count: AtomicU64,
}

impl Healing {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            last: Mutex::default(),
            count: AtomicU64::new(0),
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The pack as it was written; nothing if it has no parity or lost too much.
    pub(super) async fn whole_pack(&self, kind: Kind, id: ObjectId) -> Result<Option<Bytes>> {
        let mut last = self.last.lock().await;
        if let Some((known, bytes)) = &*last
            && *known == id
        {
            return Ok(bytes.clone());
        }
        // Before the next one takes as much memory.
        *last = None;
        let path = layout::path(kind, id);
        // What the disk cannot read is lost like what it reads wrong.
        let damaged = match self.store.salvage(&path).await {
            Ok(salvaged) => salvaged.bytes,
            // Corrupt: too large to be a pack.
            Err(Error::Missing { .. } | Error::Corrupt { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let healed = blocking(move || Ok(healed(kind, id, damaged))).await?;
        if healed.is_some() {
            self.count.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(object = %path, "a damaged pack is read with the help of its parity; repair it");
        }
        *last = Some((id, healed.clone()));
        Ok(healed)
    }
}

fn healed(kind: Kind, id: ObjectId, damaged: Bytes) -> Option<Bytes> {
    let bytes = heal(damaged.into()).ok()?;
    let trailer = Trailer::decode(&bytes, bytes.len() as u64).ok()?;
    // Another pack under this name heals to what it is.
    let same = trailer.header.kind == kind && trailer.header.object == id;
    same.then(|| bytes.into())
}
