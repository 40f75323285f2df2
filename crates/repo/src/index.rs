//! Where chunks and nodes lie, by id: all index segments of the repository, searched where they are.

mod fetch;
mod merging;
mod slots;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::{StreamExt, stream};
use strongroom_chunk::{IndexedPack, Keys, Kind, ObjectId, Place, Prefix};
use strongroom_index::{Catalog, Limits, OpenSegment, Snapshot};
use strongroom_types::Chain;

use crate::store::{Listed, Store};
use crate::{Error, Result, layout};
pub(crate) use merging::{gone_packs, merge_due, merge_segments};

const READS_IN_FLIGHT: usize = 16;
/// Merging removes segments while they are listed: so often the listing is repeated at most.
const LISTINGS_MAX: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Index {
    catalog: RwLock<Catalog>,
    /// Segments that turned out to be damaged while they were used. They count as lost.
    refused: Mutex<HashSet<ObjectId>>,
    /// One refresh at a time; the others find it done.
    refreshing: tokio::sync::Mutex<()>,
    merging: tokio::sync::Mutex<()>,
    slots: Mutex<slots::Slots>,
    limits: Limits,
}

/// A segment that could not be used. What it said is found again in the packs themselves.
#[derive(Debug)]
pub(crate) struct BadSegment {
    pub(crate) object: String,
    pub(crate) error: Error,
}

impl Index {
    /// Learns which segments there are now, by whomever they were written or merged. Those that went away are
    /// given up once their successors are known.
    pub(crate) async fn refresh(&self, store: &Store, keys: &Keys) -> Result<Vec<BadSegment>> {
        let _one = self.refreshing.lock().await;
        let mut bad: Vec<BadSegment> = Vec::new();
        let mut tried = self.refused().clone();
        let mut before: Option<HashSet<ObjectId>> = None;
        for _ in 0..LISTINGS_MAX {
            let listed = store.list(Kind::IndexSegment).await?;
            let ids: HashSet<ObjectId> = listed.iter().map(|object| object.id).collect();
            let known = self.snapshot();
            let is_new = |id| known.get(id).is_none() && !tried.contains(&id);
            let new: Vec<Listed> = listed.into_iter().filter(|o| is_new(o.id)).collect();
            let vanished: Vec<ObjectId> = known
                .segments()
                .iter()
                .map(|segment| segment.id())
                .filter(|id| !ids.contains(id))
                .collect();
            // A listing that runs beside a merge may show neither what was merged nor what became of it.
            let settled = new.is_empty() && (vanished.is_empty() || before.as_ref() == Some(&ids));
            if settled {
                bad.extend(self.replace(&vanished, Vec::new()));
                break;
            }
            tried.extend(new.iter().map(|object| object.id));
            self.load(store, keys, new, &mut bad).await?;
            before = Some(ids);
        }
        self.sweep_cache(store, keys).await;
        Ok(bad)
    }

    async fn load(
        &self,
        store: &Store,
        keys: &Keys,
        new: Vec<Listed>,
        bad: &mut Vec<BadSegment>,
    ) -> Result<()> {
        let mut loads = stream::iter(new)
            .map(|object| async move {
                (
                    object.id,
                    fetch::open(store, keys, object.id, object.length).await,
                )
            })
            .buffer_unordered(READS_IN_FLIGHT);
        let mut loaded = Vec::new();
        while let Some((id, result)) = loads.next().await {
            match result {
                Ok(segment) => loaded.push(Arc::new(segment)),
                // Merged since it was listed: what became of it is listed next time.
                Err(Error::Missing { .. }) => {}
                Err(
                    error @ (Error::Corrupt { .. }
                    | Error::NewerVersion { .. }
                    | Error::NewerKeys { .. }),
                ) => {
                    tracing::warn!(error = %Chain(&error), "an index segment cannot be used");
                    let object = layout::name(Kind::IndexSegment, id);
                    bad.push(BadSegment { object, error });
                }
                Err(error) => return Err(error),
            }
        }
        bad.extend(self.replace(&[], loaded));
        Ok(())
    }

    /// Reads all of every segment in use, and says which are damaged.
    pub(crate) async fn check(&self, store: &Store, keys: &Keys) -> Result<Vec<BadSegment>> {
        let mut bad = Vec::new();
        for segment in self.snapshot().segments() {
            let object = layout::name(Kind::IndexSegment, segment.id());
            match fetch::check(store, keys, Arc::clone(segment)).await {
                // Gone means merged.
                Ok(()) | Err(Error::Missing { .. }) => {}
                Err(error @ Error::Corrupt { .. }) => bad.push(BadSegment { object, error }),
                Err(error) => return Err(error),
            }
        }
        Ok(bad)
    }

    /// Adds a segment that is durable.
    pub(crate) fn publish(&self, segment: OpenSegment) -> Result<()> {
        match self
            .replace(&[], vec![Arc::new(segment)])
            .into_iter()
            .next()
        {
            Some(bad) => Err(bad.error),
            None => Ok(()),
        }
    }

    /// Where the chunk or node lies, in a pack that `usable` accepts. What a damaged segment says is not found: it is
    /// stored again at worst.
    pub(crate) fn find(&self, prefix: Prefix, usable: impl Fn(ObjectId) -> bool) -> Option<Place> {
        let mut damaged = Vec::new();
        let snapshot = self.snapshot();
        let place = snapshot.find(prefix, usable, |id, error| damaged.push((id, error)));
        for (id, error) in damaged {
            self.refuse(id, &error);
        }
        place
    }

    /// As [`Index::find`] for each, in their order: for many at once this takes half the time.
    pub(crate) fn find_each(
        &self,
        prefixes: &[Prefix],
        usable: impl Fn(ObjectId) -> bool,
    ) -> Vec<Option<Place>> {
        let mut damaged = Vec::new();
        let snapshot = self.snapshot();
        let places = snapshot.find_each(prefixes, usable, |id, error| damaged.push((id, error)));
        for (id, error) in damaged {
            self.refuse(id, &error);
        }
        places
    }

    /// From now on the segment counts as lost: the next writer adopts the packs that only it lists.
    fn refuse(&self, id: ObjectId, error: &strongroom_index::Error) {
        if !self.refused().insert(id) {
            return;
        }
        tracing::warn!(error = %Chain(error), segment = %id, "an index segment is damaged and left out");
        // Others that are found damaged by that are refused too; nobody waits for their names here.
        drop(self.replace(&[id], Vec::new()));
    }

    /// How many segments were found damaged while they were in use.
    pub(crate) fn refused_count(&self) -> usize {
        self.refused().len()
    }

    /// From now on these segments count as lost, whatever is in them.
    pub(crate) fn leave_out(&self, ids: &[ObjectId]) {
        self.refused().extend(ids);
        // As for one that is refused.
        drop(self.replace(ids, Vec::new()));
    }

    /// Reads all of a segment from the store itself; [`Error::Corrupt`] if it cannot be used.
    pub(crate) async fn look_again(store: &Store, keys: &Keys, id: ObjectId) -> Result<()> {
        fetch::check_stored(store, keys, id).await
    }

    /// Those that cannot be used are refused and returned.
    fn replace(&self, gone: &[ObjectId], added: Vec<Arc<OpenSegment>>) -> Vec<BadSegment> {
        if gone.is_empty() && added.is_empty() {
            return Vec::new();
        }
        let damaged = self.write().replace(gone, added);
        let bad = damaged.into_iter().map(|(id, error)| {
            tracing::warn!(error = %Chain(&error), segment = %id, "an index segment is damaged and left out");
            self.refused().insert(id);
            let object = layout::name(Kind::IndexSegment, id);
            let error = fetch::failed(&object, error);
            BadSegment { object, error }
        });
        bad.collect()
    }

    pub(crate) fn lists_pack(&self, id: ObjectId) -> bool {
        self.read().lists_pack(id)
    }

    /// Every pack that some segment speaks of.
    pub(crate) fn packs(&self) -> Vec<IndexedPack> {
        self.read().packs()
    }

    fn snapshot(&self) -> Snapshot {
        self.read().snapshot()
    }

    /// Copies of segments that are gone are of no use. Another process may still have them open; they stay readable.
    async fn sweep_cache(&self, store: &Store, keys: &Keys) {
        let ids = self.snapshot();
        let ids = ids.segments().iter().map(|segment| segment.id()).collect();
        fetch::sweep_cache(store, keys, ids).await;
    }

    fn refused(&self) -> MutexGuard<'_, HashSet<ObjectId>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Catalog> {
        self.catalog.write().unwrap_or_else(PoisonError::into_inner)
    }
}
