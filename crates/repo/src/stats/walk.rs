//! Walking the trees of points: who holds which chunks and nodes.

use std::collections::HashMap;

use futures::{StreamExt, stream};
use strongroom_chunk::{ContentId, Kind, LeafEntry, Node, ObjectId, Place};

use super::DamageNames;
use crate::collect::{PackTable, Slots};
use crate::engine::Engine;
use crate::nodes::{self, Wanted};
use crate::points::Root;
use crate::{Error, Result, layout};

/// Nodes looked up together: those of one pack are read together.
const BATCH_NODES: usize = 1024;
const PACKS_IN_FLIGHT: usize = 16;

/// Who holds a chunk or node. Points are numbered from 1 as they are walked.
pub(super) type Owner = u32;
pub(super) const NOBODY: Owner = 0;
pub(super) const SEVERAL: Owner = Owner::MAX;

/// Where a chunk or node lies: the number of its pack, and its slot.
type Spot = (u32, u32);

/// What one lineage holds, by the numbers of packs.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) slots: HashMap<u32, Slots>,
    /// Plain bytes of the chunks.
    pub(super) distinct_bytes: u64,
}

/// What stands for a node whose children are not added up yet.
struct Inner {
    level: u8,
    spot: Spot,
    children: Vec<Spot>,
}

pub(super) struct Walk<'a> {
    engine: &'a Engine,
    table: PackTable,
    /// Of each slot, by pack.
    owners: HashMap<u32, Vec<Owner>>,
    /// Bytes of the image below each node, by pack.
    below: HashMap<u32, Vec<u64>>,
    /// The point that is walked, and what its lineage holds so far.
    point: Owner,
    lineage: Held,
    distinct_bytes: u64,
    damage: DamageNames,
}

/// What meeting something changed.
struct Meeting {
    first: bool,
    first_in_lineage: bool,
    /// It has another owner now.
    changed: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(engine: &'a Engine, table: PackTable, damage: DamageNames) -> Self {
        Self {
            engine,
            table,
            owners: HashMap::new(),
            below: HashMap::new(),
            point: NOBODY,
            lineage: Held::default(),
            distinct_bytes: 0,
            damage,
        }
    }

    pub(super) fn engine(&self) -> &'a Engine {
        self.engine
    }

    pub(super) fn table(&self) -> &PackTable {
        &self.table
    }

    pub(super) fn distinct_bytes(&self) -> u64 {
        self.distinct_bytes
    }

    pub(super) fn damage(&mut self) -> &mut DamageNames {
        &mut self.damage
    }

    pub(super) fn into_damage(self) -> DamageNames {
        self.damage
    }

    /// Who holds the slots of a pack; shorter than the pack has slots if nobody holds the last ones.
    pub(super) fn owners(&self, pack: u32) -> &[Owner] {
        self.owners.get(&pack).map_or(&[], |owners| owners)
    }

    /// What the points since the last call hold together.
    pub(super) fn end_lineage(&mut self) -> Held {
        std::mem::take(&mut self.lineage)
    }

    /// Walks the next point. Returns the bytes of its image that are no holes.
    pub(super) async fn point(&mut self, root: Option<Root>) -> Result<u64> {
        self.point += 1;
        let Some(root) = root else { return Ok(0) };
        let mut waiting: Vec<(ContentId, Spot)> = Vec::new();
        let mut inner: Vec<Inner> = Vec::new();
        let Some(top) = self.spot(Kind::NodePack, root.id, root.place)? else {
            return Ok(0);
        };
        waiting.push((root.id, top));
        while !waiting.is_empty() {
            let rest = waiting.len().saturating_sub(BATCH_NODES);
            let batch = waiting.split_off(rest);
            for (spot, node) in self.read(batch).await? {
                self.visit(spot, node, &mut waiting, &mut inner)?;
            }
        }
        self.add_up(inner);
        Ok(self.bytes_below(top))
    }

    /// Of these nodes, those of which something is to be learned.
    async fn read(&mut self, batch: Vec<(ContentId, Spot)>) -> Result<Vec<(Spot, Node)>> {
        let mut packs: HashMap<u32, Wanted> = HashMap::new();
        for (id, spot) in batch {
            let meeting = self.meet(spot);
            // Below what others hold too, everything is held by several: walked once more, not for each of them.
            if meeting.first_in_lineage || meeting.changed {
                packs.entry(spot.0).or_default().push((spot.1, id));
            }
        }
        let mut packs: Vec<(u32, ObjectId, Wanted)> = packs
            .into_iter()
            .map(|(number, wanted)| (number, self.table.get(number).id, wanted))
            .collect();
        packs.sort_unstable_by_key(|(number, ..)| *number);
        let engine = self.engine;
        let reads: Vec<_> = stream::iter(packs)
            .map(|(number, id, wanted)| async move {
                (number, id, nodes::read_of_pack(engine, id, wanted).await)
            })
            .buffered(PACKS_IN_FLIGHT)
            .collect()
            .await;
        let mut read = Vec::new();
        for (number, id, nodes) in reads {
            let name = layout::name(Kind::NodePack, id);
            for (slot, node) in self.damage.whole(&name, nodes)?.unwrap_or_default() {
                let node = self.damage.whole(&name, node)?;
                read.extend(node.map(|node| ((number, slot), node)));
            }
        }
        Ok(read)
    }

    fn visit(
        &mut self,
        spot: Spot,
        node: Node,
        waiting: &mut Vec<(ContentId, Spot)>,
        inner: &mut Vec<Inner>,
    ) -> Result<()> {
        match node {
            Node::Leaf(entries) => {
                let bytes = entries.iter().map(|entry| u64::from(entry.length)).sum();
                self.set_below(spot, bytes);
                entries.iter().try_for_each(|entry| self.chunk(entry))
            }
            Node::Inner { level, children } => {
                let mut spots = Vec::with_capacity(children.len());
                for child in children {
                    if let Some(spot) = self.spot(Kind::NodePack, child.id, child.place)? {
                        spots.push(spot);
                        waiting.push((child.id, spot));
                    }
                }
                inner.push(Inner {
                    level,
                    spot,
                    children: spots,
                });
                Ok(())
            }
        }
    }

    fn chunk(&mut self, entry: &LeafEntry) -> Result<()> {
        let Some(spot) = self.spot(Kind::DataPack, entry.id, entry.place)? else {
            return Ok(());
        };
        let meeting = self.meet(spot);
        let length = u64::from(entry.length);
        if meeting.first {
            self.distinct_bytes += length;
        }
        if meeting.first_in_lineage {
            self.lineage.distinct_bytes += length;
        }
        Ok(())
    }

    /// Where it is used from, as a collection sees it.
    fn spot(&mut self, kind: Kind, id: ContentId, hint: Place) -> Result<Option<Spot>> {
        let found = self.table.resolve(self.engine, id.prefix(), hint);
        let object = layout::name(kind, hint.pack);
        let missing = Error::Missing {
            object: object.clone(),
        };
        self.damage.whole(&object, found.ok_or(missing))
    }

    fn meet(&mut self, (pack, slot): Spot) -> Meeting {
        let owner = at(self.owners.entry(pack).or_default(), slot);
        let before = *owner;
        if before == NOBODY {
            *owner = self.point;
        } else if before != self.point {
            *owner = SEVERAL;
        }
        Meeting {
            first: before == NOBODY,
            changed: before != *owner,
            first_in_lineage: self.lineage.slots.entry(pack).or_default().insert(slot),
        }
    }

    /// Children before their parents.
    fn add_up(&mut self, mut inner: Vec<Inner>) {
        inner.sort_by_key(|node| node.level);
        for node in inner {
            let bytes = node.children.iter().map(|child| self.bytes_below(*child));
            let bytes = bytes.sum();
            self.set_below(node.spot, bytes);
        }
    }

    fn bytes_below(&self, (pack, slot): Spot) -> u64 {
        let below = self.below.get(&pack).and_then(|b| b.get(index(slot)));
        below.copied().unwrap_or(0)
    }

    fn set_below(&mut self, (pack, slot): Spot, bytes: u64) {
        *at(self.below.entry(pack).or_default(), slot) = bytes;
    }
}

fn at<T: Copy + Default>(values: &mut Vec<T>, slot: u32) -> &mut T {
    let slot = index(slot);
    if values.len() <= slot {
        values.resize(slot + 1, T::default());
    }
    &mut values[slot]
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).expect("u32 fits")
}
