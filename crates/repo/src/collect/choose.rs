//! Which packs are to go: those of which nothing is in use, and those of which so little is that they are rewritten.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use strongroom_chunk::{Directory, ObjectId};
use strongroom_types::Chain;

use super::CollectReport;
use super::table::{PackTable, PackUse, Slots};
use crate::engine::Engine;
use crate::{Error, Result};

const READS_IN_FLIGHT: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) dead: Vec<u32>,
    pub(super) sparse: Vec<u32>,
    /// Sealed bytes in use in the sparse ones.
    sparse_live_bytes: u64,
    /// Packs in use that cannot be read.
    pub(super) unreadable: Vec<u32>,
}

impl Choice {
    pub(super) fn report(&self, table: &PackTable, report: &mut CollectReport) {
        let bytes = |packs: &[u32]| packs.iter().map(|n| table.get(*n).length).sum();
        report.dead_packs = self.dead.len() as u64;
        report.dead_bytes = bytes(&self.dead);
        report.sparse_packs = self.sparse.len() as u64;
        report.sparse_bytes = bytes(&self.sparse);
        report.sparse_live_bytes = self.sparse_live_bytes;
    }
}

/// Sealed bytes in use, and all of them, of packs that were looked into, with the slots that were in use then. Losing
/// it costs a read of each of their directories.
#[derive(Debug, Default)]
pub(crate) struct Shares(Mutex<HashMap<ObjectId, (Slots, Share)>>);

type Share = (u64, u64);

impl Shares {
    fn lock(&self) -> MutexGuard<'_, HashMap<ObjectId, (Slots, Share)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, pack: &PackUse) -> Option<Share> {
        let known = self.lock();
        let (slots, share) = known.get(&pack.id)?;
        (slots == pack.live()).then_some(*share)
    }
}

/// Only the directories of packs that may be sparse are read, by what the index says of their slots; damaged packs are
/// left as they are.
pub(super) async fn choose(engine: &Engine, table: &PackTable, percent: u8) -> Result<Choice> {
    let slots = match percent {
        0 => HashMap::new(),
        _ => engine.index.slots().await?,
    };
    let mut choice = Choice::default();
    let mut suspects = Vec::new();
    for (number, pack) in table.open() {
        if pack.live().is_empty() {
            choice.dead.push(number);
        } else if percent > 0 && !pack.is_damaged() && may_be_sparse(pack, &slots, percent) {
            suspects.push(number);
        }
    }
    engine
        .shares
        .lock()
        .retain(|id, _| table.find(*id).is_some());
    let mut reads = stream::iter(suspects)
        .map(|number| async move {
            Ok::<_, Error>((number, live_bytes(engine, table.get(number)).await?))
        })
        .buffer_unordered(READS_IN_FLIGHT);
    while let Some((number, share)) = reads.try_next().await? {
        let Some((live, all)) = share else {
            choice.unreadable.push(number);
            continue;
        };
        if live * 100 < all * u64::from(percent) {
            choice.sparse.push(number);
            choice.sparse_live_bytes += live;
        }
    }
    choice.sparse.sort_unstable();
    Ok(choice)
}

/// Chunks are of different lengths, so slots tell roughly which share of the bytes is in use. A pack of which at least
/// one and a half times the share is in use by slots is taken for one that is not worth rewriting, and one of which
/// all is in use needs no guess.
fn may_be_sparse(pack: &PackUse, slots: &HashMap<ObjectId, u32>, percent: u8) -> bool {
    let Some(all) = slots.get(&pack.id) else {
        return true;
    };
    let share_max = (u64::from(percent) * 3 / 2).min(100);
    pack.live().count() * 100 < u64::from(*all) * share_max
}

/// Sealed bytes in use, and all of them; nothing for a pack that cannot be read.
async fn live_bytes(engine: &Engine, pack: &PackUse) -> Result<Option<Share>> {
    if let Some(share) = engine.shares.get(pack) {
        return Ok(Some(share));
    }
    match engine.packs.load(pack.kind, pack.id).await {
        Ok(loaded) => {
            let share = count(&loaded.directory, pack.live());
            let entry = (pack.live().clone(), share);
            engine.shares.lock().insert(pack.id, entry);
            Ok(Some(share))
        }
        Err(
            error @ (Error::Corrupt { .. } | Error::Missing { .. } | Error::NewerVersion { .. }),
        ) => {
            tracing::warn!(error = %Chain(&error), "a pack in use cannot be read");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A chunk takes the share of its frame that it has of the plain bytes.
fn count(directory: &Directory, live: &Slots) -> Share {
    let (mut used, mut all) = (0, 0);
    for (number, frame) in directory.frames().iter().enumerate() {
        let chunks = directory.chunks_of(number).iter().zip(frame.first_slot..);
        let plain: u64 = chunks
            .filter(|(_, slot)| live.contains(*slot))
            .map(|((_, length), _)| u64::from(*length))
            .sum();
        let sealed = u64::from(frame.sealed_length);
        used += sealed * plain / u64::from(frame.plain_length.max(1));
        all += sealed;
    }
    (used, all)
}
