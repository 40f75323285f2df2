//! Adding up sealed bytes, pack by pack.

use futures::{StreamExt, stream};
use strongroom_chunk::{Directory, Kind};

use super::walk::{Held, NOBODY, Owner, SEVERAL, Walk};
use super::{Holdings, Stats};
use crate::{Result, layout};

const READS_IN_FLIGHT: usize = 16;

/// Reads the directory of every pack that points use, and adds what its slots are stored with to those that hold them.
pub(super) async fn add_up(
    walk: &mut Walk<'_>,
    lineages: &[Held],
    stats: &mut Stats,
) -> Result<()> {
    let mut used = Vec::new();
    for (number, pack) in (0..).zip(walk.table().packs()) {
        if walk.owners(number).iter().any(|owner| *owner != NOBODY) {
            used.push((number, pack.kind, pack.id));
        } else {
            stats.garbage_bytes += pack.length;
        }
    }
    let engine = walk.engine();
    let mut reads =
        stream::iter(used)
            .map(|(number, kind, id)| async move {
                (number, kind, id, engine.packs.load(kind, id).await)
            })
            .buffer_unordered(READS_IN_FLIGHT);
    while let Some((number, kind, id, loaded)) = reads.next().await {
        let name = layout::name(kind, id);
        let Some(pack) = walk.damage().whole(&name, loaded)? else {
            continue;
        };
        let shares = shares(&pack.directory);
        add_owners(kind, walk.owners(number), &shares, stats);
        for (held, lineage) in lineages.iter().zip(&mut stats.lineages) {
            let Some(slots) = held.slots.get(&number) else {
                continue;
            };
            let held = (0..).zip(&shares).filter(|(slot, _)| slots.contains(*slot));
            *bytes_of(&mut lineage.content, kind) += held.map(|(_, share)| share).sum::<u64>();
        }
    }
    Ok(())
}

fn add_owners(kind: Kind, owners: &[Owner], shares: &[u64], stats: &mut Stats) {
    let nobody = std::iter::repeat(&NOBODY);
    for (share, owner) in shares.iter().zip(owners.iter().chain(nobody)) {
        if *owner == NOBODY {
            stats.garbage_bytes += share;
            continue;
        }
        *bytes_of(&mut stats.total, kind) += share;
        if *owner != SEVERAL {
            let point = usize::try_from(*owner - 1).expect("u32 fits");
            stats.point_stats[point].unique_bytes += share;
        }
    }
}

fn bytes_of(content: &mut Holdings, kind: Kind) -> &mut u64 {
    match kind {
        Kind::NodePack => &mut content.node_bytes,
        _ => &mut content.stored_bytes,
    }
}

/// Of each slot, the part of its frame's sealed bytes that it has of the plain bytes. The parts make up the frame.
fn shares(directory: &Directory) -> Vec<u64> {
    let mut shares = Vec::with_capacity(directory.chunks().len());
    for (number, frame) in directory.frames().iter().enumerate() {
        let plain = u64::from(frame.plain_length.max(1));
        let sealed_until = |plain_until: u64| plain_until * u64::from(frame.sealed_length) / plain;
        let mut from = 0;
        for (_, length) in directory.chunks_of(number) {
            let to = from + u64::from(*length);
            shares.push(sealed_until(to) - sealed_until(from));
            from = to;
        }
    }
    shares
}
