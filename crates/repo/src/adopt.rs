//! What a writer does first: learn what the repository holds, crashed writers' packs included.

use std::collections::{HashMap, HashSet};

use futures::{StreamExt, stream};
use strongroom_chunk::{Kind, ObjectId};
use strongroom_types::Chain;

use crate::engine::Engine;
use crate::segments::{self, SegmentBuilder};
use crate::{Error, Result, layout};

const READS_IN_FLIGHT: usize = 16;

/// The packs as [`catch_up`] found them.
#[derive(Debug, Default)]
pub(crate) struct KnownPacks {
    pub(crate) present: HashSet<ObjectId>,
    /// Not to be built upon: those that are listed and gone, or not as long as they were, or marked as damaged, or
    /// condemned. What they held is stored again.
    pub(crate) unusable: HashSet<ObjectId>,
    /// What a point needs can be built upon unseen: no pack is lost, cut short, marked or unreadable, and what is
    /// condemned is gone, so that all that is needed of it was copied.
    pub(crate) whole: bool,
}

/// Refreshes the index and adds the packs that no segment lists: a writer that crashed left them, or a
/// segment was lost.
///
/// Another writer's newest packs may be adopted too; they are listed twice then, which harms nothing.
pub(crate) async fn catch_up(engine: &Engine) -> Result<KnownPacks> {
    let condemned = engine.condemned.packs();
    engine.index.refresh(&engine.store, &engine.keys).await?;
    // Before the listing: what other writers add meanwhile must not seem gone.
    let indexed = engine.index.packs();
    let mut present = HashMap::new();
    let mut orphans = Vec::new();
    for kind in [Kind::DataPack, Kind::NodePack] {
        for object in engine.store.list(kind).await? {
            present.insert(object.id, object.length);
            if !engine.index.lists_pack(object.id) && !condemned.contains(&object.id) {
                orphans.push((kind, object.id));
            }
        }
    }
    let all_adopted = adopt(engine, orphans).await?;
    let lost = indexed.into_iter().filter(|pack| {
        let length = present.get(&pack.id).copied();
        length != Some(pack.length)
    });
    engine.marks.refresh(&engine.store).await?;
    let mut unusable: HashSet<_> = lost.map(|pack| pack.id).collect();
    unusable.extend(engine.marks.all());
    let condemned_are_gone = !condemned.iter().any(|pack| present.contains_key(pack));
    let whole = all_adopted && condemned_are_gone && unusable.is_subset(&condemned);
    unusable.extend(condemned.iter());
    Ok(KnownPacks {
        present: present.into_keys().collect(),
        unusable,
        whole,
    })
}

/// False if one of them cannot be read.
async fn adopt(engine: &Engine, orphans: Vec<(Kind, ObjectId)>) -> Result<bool> {
    // Their writer may have died before it synced their folders, and points will need them.
    let paths = orphans.iter().map(|(kind, id)| layout::path(*kind, *id));
    engine.store.make_durable(paths.collect()).await?;
    let mut loads = stream::iter(orphans)
        .map(|(kind, id)| engine.packs.load(kind, id))
        .buffer_unordered(READS_IN_FLIGHT);
    let mut builder = SegmentBuilder::default();
    let mut all_adopted = true;
    while let Some(result) = loads.next().await {
        match result {
            Ok(pack) => builder.add(pack.kind, pack.id, pack.length, &pack.directory),
            Err(Error::Missing { .. }) => {}
            Err(error @ (Error::Corrupt { .. } | Error::NewerVersion { .. })) => {
                tracing::warn!(error = %Chain(&error), "a pack without index entry is not adopted");
                all_adopted = false;
            }
            Err(error) => return Err(error),
        }
        if builder.is_full() {
            store(engine, &mut builder).await?;
        }
    }
    store(engine, &mut builder).await?;
    Ok(all_adopted)
}

async fn store(engine: &Engine, builder: &mut SegmentBuilder) -> Result<()> {
    if let Some(segment) = builder.take() {
        tracing::info!(
            packs = segment.packs.len(),
            "adopting packs of a writer that did not finish"
        );
        segments::store(engine, segment).await?;
    }
    Ok(())
}
