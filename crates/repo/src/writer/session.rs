use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use strongroom_chunk::{ObjectId, Place, Prefix};

use crate::Error;
use crate::adopt::KnownPacks;
use crate::sessions::SessionId;

/// What the stages of one writer share.
#[derive(Debug)]
pub(super) struct Session {
    id: SessionId,
    /// What this writer stored and the index does not list yet; without a place while on its way to a
    /// pack.
    recent: Mutex<HashMap<Prefix, Option<Place>, BuildHasherDefault<PrefixHasher>>>,
    /// What the store had when the writer began.
    packs: KnownPacks,
    /// Packs that the index has learnt of since, by other writers of this process, and that may have been gone before.
    later: Mutex<HashSet<ObjectId>>,
    /// Packs found the storage busy with those before them.
    waits_for_storage: AtomicBool,
    failure: Mutex<Option<Error>>,
}

impl Session {
    pub(super) fn new(id: SessionId, packs: KnownPacks) -> Self {
        Self {
            id,
            recent: Mutex::default(),
            packs,
            later: Mutex::default(),
            waits_for_storage: AtomicBool::new(false),
            failure: Mutex::default(),
        }
    }

    /// Stands in the names of the packs that this writer makes.
    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    /// May data be used that the index finds in this pack?
    pub(super) fn usable(&self, pack: ObjectId) -> bool {
        if self.packs.unusable.contains(&pack) {
            return false;
        }
        if !self.packs.present.contains(&pack) && SessionId::of_pack(pack) != self.id {
            lock(&self.later).insert(pack);
        }
        true
    }

    /// May a tree be built upon without a look at all that it needs?
    pub(super) fn trusts_trees(&self) -> bool {
        self.packs.whole
    }

    /// Packs that were perhaps built upon and that were not there when the writer began.
    pub(super) fn later_packs(&self) -> HashSet<ObjectId> {
        lock(&self.later).clone()
    }

    /// Is this on its way to a pack, or in one?
    pub(super) fn is_recent(&self, prefix: Prefix) -> bool {
        lock(&self.recent).contains_key(&prefix)
    }

    pub(super) fn expect(&self, prefix: Prefix) {
        lock(&self.recent).insert(prefix, None);
    }

    pub(super) fn place(&self, prefix: Prefix) -> Option<Place> {
        lock(&self.recent).get(&prefix).copied().flatten()
    }

    pub(super) fn set_places(&self, places: impl Iterator<Item = (Prefix, Place)>) {
        let mut recent = lock(&self.recent);
        for (prefix, place) in places {
            recent.insert(prefix, Some(place));
        }
    }

    /// The index lists these now.
    pub(super) fn forget(&self, prefixes: impl Iterator<Item = Prefix>) {
        let mut recent = lock(&self.recent);
        for prefix in prefixes {
            recent.remove(&prefix);
        }
    }

    /// Is the storage slower than everything else just now?
    pub(super) fn waits_for_storage(&self) -> bool {
        self.waits_for_storage.load(Ordering::Relaxed)
    }

    pub(super) fn set_waits_for_storage(&self, waits: bool) {
        self.waits_for_storage.store(waits, Ordering::Relaxed);
    }

    /// Remembers why a stage stopped; the first reason counts, what follows is its consequence.
    pub(super) fn fail(&self, error: Error) {
        lock(&self.failure).get_or_insert(error);
    }

    pub(super) fn failure(&self) -> Error {
        let failure = lock(&self.failure).clone();
        failure.unwrap_or(Error::Broken("a writing thread"))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ids are uniform and keyed already: eight of their bytes are the hash.
#[derive(Debug, Default)]
pub(super) struct PrefixHasher(u64);

impl Hasher for PrefixHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }
}
