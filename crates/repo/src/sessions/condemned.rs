//! Condemned lists: packs that a collection is going to remove. They are numbered, and each number is a generation:
//! sessions that began in it know the list, and use nothing of what it names.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use strongroom_chunk::{Keys, Kind, ObjectId};
use strongroom_types::{Chain, IdSource};

use super::records;
use crate::store::{Created, Store};
use crate::{Error, Result, layout};

/// The packs of one list.
pub(crate) type CondemnedList = Vec<(Kind, ObjectId)>;

#[derive(Debug, Serialize, Deserialize)]
struct CondemnedRecord {
    data_packs: Vec<String>,
    node_packs: Vec<String>,
}

/// The lists as the store had them last. A list never changes.
#[derive(Debug, Default)]
pub(crate) struct Condemned(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    lists: BTreeMap<u64, Arc<CondemnedList>>,
    /// The newest generation, of lists that cannot be read too.
    newest: u64,
    packs: Arc<HashSet<ObjectId>>,
}

impl Condemned {
    /// Reads the lists that are new, and forgets those that are gone. Returns the generation known by that: the
    /// newest list up to which all can be read, 0 without any.
    pub(crate) async fn refresh(&self, store: &Store, keys: &Keys) -> Result<u64> {
        let listed = store.list(Kind::Condemned).await?;
        let mut generations: Vec<u64> = listed.iter().map(|o| generation_of(o.id)).collect();
        generations.sort_unstable();
        let mut lists = BTreeMap::new();
        let newest = generations.last().copied().unwrap_or(0);
        let mut known = 0;
        let mut whole = true;
        for generation in generations {
            let cached = self.lock().lists.get(&generation).cloned();
            let list = match cached {
                Some(list) => Some(list),
                None => load(store, keys, generation).await?.map(Arc::new),
            };
            whole &= list.is_some();
            if whole {
                known = generation;
            }
            lists.extend(list.map(|list| (generation, list)));
        }
        self.set(lists, newest);
        Ok(known)
    }

    /// Condemns packs for good. False when the generation is taken.
    pub(crate) async fn add(
        &self,
        store: &Store,
        keys: &Keys,
        ids: &dyn IdSource,
        generation: u64,
        list: CondemnedList,
    ) -> Result<bool> {
        let of_kind = |wanted: Kind| {
            let packs = list.iter().filter(|(kind, _)| *kind == wanted);
            packs.map(|(_, id)| id.to_string()).collect()
        };
        let record = CondemnedRecord {
            data_packs: of_kind(Kind::DataPack),
            node_packs: of_kind(Kind::NodePack),
        };
        let name = (Kind::Condemned, object_of(generation));
        if records::put(store, keys, ids, name, &record).await? == Created::WasThere {
            return Ok(false);
        }
        let mut lists = self.lists();
        lists.insert(generation, Arc::new(list));
        self.set(lists, generation);
        Ok(true)
    }

    /// Removes a list whose packs are gone.
    pub(crate) async fn remove(&self, store: &Store, generation: u64) -> Result<()> {
        let path = layout::path(Kind::Condemned, object_of(generation));
        store.delete(&path).await?;
        let mut lists = self.lists();
        lists.remove(&generation);
        self.set(lists, self.newest());
        Ok(())
    }

    pub(crate) fn lists(&self) -> BTreeMap<u64, Arc<CondemnedList>> {
        self.lock().lists.clone()
    }

    pub(crate) fn newest(&self) -> u64 {
        self.lock().newest
    }

    /// All packs of all lists.
    pub(crate) fn packs(&self) -> Arc<HashSet<ObjectId>> {
        Arc::clone(&self.lock().packs)
    }

    fn set(&self, lists: BTreeMap<u64, Arc<CondemnedList>>, newest: u64) {
        let packs = lists
            .values()
            .flat_map(|list| list.iter().map(|(_, id)| *id));
        let packs = Arc::new(packs.collect());
        *self.lock() = State {
            lists,
            newest,
            packs,
        };
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A list; nothing if it cannot be read. Who did not read it says so with the generation of its session, and is
/// waited for.
async fn load(store: &Store, keys: &Keys, generation: u64) -> Result<Option<CondemnedList>> {
    match read(store, keys, generation).await {
        Ok(list) => Ok(Some(list)),
        // Its packs were gone before it was.
        Err(Error::Missing { .. }) => Ok(Some(Vec::new())),
        Err(error @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => {
            tracing::error!(error = %Chain(&error), "a list of condemned packs cannot be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn read(store: &Store, keys: &Keys, generation: u64) -> Result<CondemnedList> {
    let id = object_of(generation);
    let record: CondemnedRecord = records::read(store, keys, Kind::Condemned, id).await?;
    record.list().ok_or_else(|| Error::Corrupt {
        object: layout::name(Kind::Condemned, id),
        detail: "it names something that is no pack".to_owned(),
    })
}

impl CondemnedRecord {
    /// Nothing if it names something that is no pack.
    fn list(&self) -> Option<CondemnedList> {
        let data = self.data_packs.iter().map(|id| (Kind::DataPack, id));
        let nodes = self.node_packs.iter().map(|id| (Kind::NodePack, id));
        let packs = data.chain(nodes);
        let packs = packs.map(|(kind, id)| ObjectId::from_hex(id).map(|id| (kind, id)));
        packs.collect()
    }
}

/// For the fuzzer: `json` as what a list says.
#[cfg(any(test, feature = "fuzzing"))]
pub(super) fn decode(json: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<CondemnedRecord>(json) {
        let _ = record.list();
    }
}

/// The last eight bytes count, so that names sort by generation.
fn object_of(generation: u64) -> ObjectId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&generation.to_be_bytes());
    ObjectId(bytes)
}

fn generation_of(object: ObjectId) -> u64 {
    let last: [u8; 8] = object.0[8..].try_into().expect("half of 16 bytes");
    u64::from_be_bytes(last)
}
