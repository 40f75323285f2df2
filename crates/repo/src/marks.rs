//! Packs that a verification has found damaged, remembered in the store: without that, the next backup of the same
//! disk would build upon the damage, and be called good.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use object_store::path::Path;
use strongroom_chunk::ObjectId;

use crate::Result;
use crate::store::Store;

pub(crate) const FOLDER: &str = "damaged";

/// What is known of the marks in the store.
#[derive(Debug, Default)]
pub(crate) struct Marks(RwLock<HashSet<ObjectId>>);

impl Marks {
    pub(crate) async fn refresh(&self, store: &Store) -> Result<()> {
        let ids = store.list_marks().await?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = ids.into_iter().collect();
        Ok(())
    }

    pub(crate) fn contains(&self, pack: ObjectId) -> bool {
        self.known().contains(&pack)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    pub(crate) fn all(&self) -> HashSet<ObjectId> {
        self.known().clone()
    }

    /// Until the next refresh it counts even if the store refuses it.
    pub(crate) async fn add(&self, store: &Store, pack: ObjectId, problem: &str) -> Result<()> {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(pack);
        let text = format!("{problem}\n");
        store.create(&path(pack), vec![text.into()]).await?;
        Ok(())
    }

    /// The pack is sound again: somebody has put a good copy back.
    pub(crate) async fn remove(&self, store: &Store, pack: ObjectId) -> Result<()> {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&pack);
        store.delete(&path(pack)).await
    }

    fn known(&self) -> RwLockReadGuard<'_, HashSet<ObjectId>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn path(pack: ObjectId) -> Path {
    Path::from(format!("{FOLDER}/{pack}"))
}
