//! Where chunks and nodes lie, by id: all index segments of the repository, merged in memory.

use std::collections::{HashMap, HashSet};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures::{StreamExt, TryStreamExt, stream};
use strongroom_chunk::{IndexEntry, IndexedPack, Keys, Kind, ObjectId, Place, Prefix, Segment};
use strongroom_types::Chain;

use crate::store::Store;
use crate::{Error, Result, layout};

const READS_IN_FLIGHT: usize = 16;

#[derive(Debug, Default)]
pub(crate) struct Index {
    state: RwLock<State>,
    /// One refresh at a time; the others find it done.
    refreshing: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    segments: HashSet<ObjectId>,
    /// Entries point into this table.
    packs: Vec<IndexedPack>,
    numbers: HashMap<ObjectId, u32>,
    /// Sorted lists, each at least twice as long as the next.
    runs: Vec<Vec<IndexEntry>>,
}

/// A segment that could not be used. What it said is found again in the packs themselves.
#[derive(Debug)]
pub(crate) struct BadSegment {
    pub(crate) object: String,
    pub(crate) error: Error,
}

impl Index {
    /// Reads the segments that were written since the last call, by whomever. Nothing is forgotten when a
    /// segment goes away: writers leave out packs that are gone, and readers check what they find.
    pub(crate) async fn refresh(&self, store: &Store, keys: &Keys) -> Result<Vec<BadSegment>> {
        let _one = self.refreshing.lock().await;
        let listed = store.list(Kind::IndexSegment).await?;
        let missing: Vec<ObjectId> = {
            let known = &self.read().segments;
            let ids = listed.into_iter().map(|object| object.id);
            ids.filter(|id| !known.contains(id)).collect()
        };
        let loaded: Vec<_> = stream::iter(missing)
            .map(|id| async move { (id, load(store, keys, id).await) })
            .buffer_unordered(READS_IN_FLIGHT)
            .map(Ok::<_, Error>)
            .try_collect()
            .await?;
        let mut bad = Vec::new();
        for (id, result) in loaded {
            match result {
                Ok(segment) => self.publish(id, segment),
                // Removed since it was listed: its successor is listed next time.
                Err(Error::Missing { .. }) => {}
                Err(error @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => {
                    tracing::warn!(error = %Chain(&error), "an index segment cannot be used");
                    let object = layout::name(Kind::IndexSegment, id);
                    bad.push(BadSegment { object, error });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(bad)
    }

    /// Adds a segment that is durable.
    pub(crate) fn publish(&self, id: ObjectId, segment: Segment) {
        let mut state = self.write();
        if !state.segments.insert(id) {
            return;
        }
        let numbers: Vec<u32> = segment.packs.iter().map(|p| state.number(*p)).collect();
        let mut run = segment.entries;
        for entry in &mut run {
            entry.pack = numbers[usize::try_from(entry.pack).expect("u32 fits")];
        }
        run.sort_unstable();
        state.push_run(run);
    }

    /// Where the chunk or node lies, in a pack that `usable` accepts.
    pub(crate) fn find(&self, prefix: Prefix, usable: impl Fn(ObjectId) -> bool) -> Option<Place> {
        let state = self.read();
        let mut places = state.runs.iter().flat_map(|run| equal(run, prefix));
        places.find_map(|entry| {
            let pack = state.packs[usize::try_from(entry.pack).expect("u32 fits")].id;
            usable(pack).then_some(Place {
                pack,
                slot: entry.slot,
            })
        })
    }

    pub(crate) fn lists_pack(&self, id: ObjectId) -> bool {
        self.read().numbers.contains_key(&id)
    }

    /// Every pack that some segment speaks of.
    pub(crate) fn packs(&self) -> Vec<IndexedPack> {
        self.read().packs.clone()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn load(store: &Store, keys: &Keys, id: ObjectId) -> Result<Segment> {
    let path = layout::path(Kind::IndexSegment, id);
    let bytes = store.read(&path).await?;
    Segment::decode(&bytes, keys).map_err(|error| Error::decoding(path.as_ref(), error))
}

impl State {
    fn number(&mut self, pack: IndexedPack) -> u32 {
        let next = u32::try_from(self.packs.len()).expect("fewer than 2^32 packs");
        *self.numbers.entry(pack.id).or_insert_with(|| {
            self.packs.push(pack);
            next
        })
    }

    /// Merges runs of like size, so that a look-up visits few.
    fn push_run(&mut self, mut run: Vec<IndexEntry>) {
        while let Some(last) = self.runs.pop() {
            if last.len() > 2 * run.len() {
                self.runs.push(last);
                break;
            }
            run.extend(last);
            run.sort();
            run.dedup();
        }
        if !run.is_empty() {
            self.runs.push(run);
        }
    }
}

/// The entries with this prefix. Ids are uniform, so the place is guessed and searched from there.
fn equal(run: &[IndexEntry], prefix: Prefix) -> &[IndexEntry] {
    let guess = (u128::from(prefix.0[0]) * run.len() as u128) >> 64;
    let guess = usize::try_from(guess).expect("below the length");
    let reach = 16 + 4 * run.len().isqrt();
    let (low, high) = (guess.saturating_sub(reach), run.len().min(guess + reach));
    let window = &run[low..high];
    let inside = window.first().is_some_and(|first| first.prefix < prefix)
        && window.last().is_some_and(|last| last.prefix > prefix);
    let window = if inside { window } else { run };
    let start = window.partition_point(|entry| entry.prefix < prefix);
    let length = window[start..]
        .iter()
        .take_while(|entry| entry.prefix == prefix)
        .count();
    &window[start..start + length]
}
