//! The packs of the repository and which of their slots are in use: a bit for each.

use std::collections::{HashMap, HashSet};

use strongroom_chunk::{Kind, ObjectId, Place, Prefix};

use crate::Result;
use crate::engine::Engine;
use crate::sessions::SessionId;

#[derive(Debug, Clone, Default)]
pub(crate) struct PackTable {
    packs: Vec<PackUse>,
    numbers: HashMap<ObjectId, u32>,
}

#[derive(Debug, Clone)]
pub(crate) struct PackUse {
    pub(crate) id: ObjectId,
    pub(crate) kind: Kind,
    pub(crate) length: u64,
    standing: Standing,
    /// May it be condemned? Not what somebody who is at work has written, nor what appeared meanwhile.
    candidate: bool,
    gone: bool,
    live: Slots,
}

/// Where content is taken from first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Sound,
    Damaged,
    Condemned,
    /// Condemned, and it could not be read.
    Lost,
}

impl PackTable {
    /// The packs as they are now.
    pub(crate) async fn candidates(engine: &Engine) -> Result<Self> {
        let mut table = Self::default();
        table.list(engine, true).await?;
        Ok(table)
    }

    /// Adds the packs that appeared since, and says which are damaged: marked ones, and those that are not as long as
    /// the index says.
    pub(crate) async fn extend(&mut self, engine: &Engine) -> Result<()> {
        self.list(engine, false).await?;
        let indexed = engine.index.packs();
        let lengths: HashMap<ObjectId, u64> = indexed.iter().map(|p| (p.id, p.length)).collect();
        for pack in &mut self.packs {
            let torn = lengths.get(&pack.id).is_some_and(|l| *l != pack.length);
            if pack.standing == Standing::Sound && (torn || engine.marks.contains(pack.id)) {
                pack.standing = Standing::Damaged;
            }
        }
        Ok(())
    }

    /// These could not be read: what is in use is looked for elsewhere first.
    pub(super) fn distrust(&mut self, packs: &HashSet<ObjectId>) {
        for pack in &mut self.packs {
            if packs.contains(&pack.id) {
                pack.standing = match pack.standing {
                    Standing::Sound | Standing::Damaged => Standing::Damaged,
                    Standing::Condemned | Standing::Lost => Standing::Lost,
                };
            }
        }
    }

    /// Leaves alone what no segment of the index lists: it may hold what could not be found.
    pub(super) fn keep_unlisted(&mut self, engine: &Engine) {
        for pack in &mut self.packs {
            pack.candidate &= engine.index.lists_pack(pack.id);
        }
    }

    async fn list(&mut self, engine: &Engine, candidate: bool) -> Result<()> {
        let condemned = engine.condemned.packs();
        for kind in [Kind::DataPack, Kind::NodePack] {
            for object in engine.store.list(kind).await? {
                let standing = if condemned.contains(&object.id) {
                    Standing::Condemned
                } else {
                    Standing::Sound
                };
                self.add(PackUse {
                    id: object.id,
                    kind,
                    length: object.length,
                    standing,
                    candidate,
                    gone: false,
                    live: Slots::default(),
                });
            }
        }
        Ok(())
    }

    fn add(&mut self, pack: PackUse) {
        let number = u32::try_from(self.packs.len()).expect("fewer than 2^32 packs");
        let id = pack.id;
        if let std::collections::hash_map::Entry::Vacant(entry) = self.numbers.entry(id) {
            entry.insert(number);
            self.packs.push(pack);
        }
    }

    /// Packs that this collection wrote.
    pub(super) fn add_own(&mut self, packs: Vec<(Kind, ObjectId, u64)>) {
        for (kind, id, length) in packs {
            self.add(PackUse {
                id,
                kind,
                length,
                standing: Standing::Sound,
                candidate: false,
                gone: false,
                live: Slots::default(),
            });
        }
    }

    /// Leaves alone what these sessions have written: their points are still to come.
    pub(super) fn protect(&mut self, sessions: &HashSet<SessionId>) {
        for pack in &mut self.packs {
            pack.candidate &= !sessions.contains(&SessionId::of_pack(pack.id));
        }
    }

    /// Where content is used from: where the hint says, unless a better copy is known.
    pub(crate) fn resolve(
        &self,
        engine: &Engine,
        prefix: Prefix,
        hint: Place,
    ) -> Option<(u32, u32)> {
        for wanted in [
            Standing::Sound,
            Standing::Damaged,
            Standing::Condemned,
            Standing::Lost,
        ] {
            let fits = |pack: ObjectId| {
                let number = *self.numbers.get(&pack)?;
                (self.get(number).standing == wanted).then_some(number)
            };
            if let Some(number) = fits(hint.pack) {
                return Some((number, hint.slot));
            }
            let place = engine.index.find(prefix, |pack| fits(pack).is_some());
            if let Some(place) = place {
                return fits(place.pack).map(|number| (number, place.slot));
            }
        }
        None
    }

    pub(super) fn mark(&mut self, number: u32, slot: u32) {
        self.get_mut(number).live.insert(slot);
    }

    pub(crate) fn get(&self, number: u32) -> &PackUse {
        &self.packs[usize::try_from(number).expect("u32 fits")]
    }

    pub(super) fn get_mut(&mut self, number: u32) -> &mut PackUse {
        &mut self.packs[usize::try_from(number).expect("u32 fits")]
    }

    pub(super) fn ids(&self, numbers: &[u32]) -> HashSet<ObjectId> {
        numbers.iter().map(|number| self.get(*number).id).collect()
    }

    pub(super) fn find(&self, pack: ObjectId) -> Option<u32> {
        self.numbers.get(&pack).copied()
    }

    /// All packs, in the order of their numbers.
    pub(crate) fn packs(&self) -> &[PackUse] {
        &self.packs
    }

    /// Packs that may be condemned, with their numbers.
    pub(super) fn open(&self) -> impl Iterator<Item = (u32, &PackUse)> {
        let open = (0..).zip(&self.packs);
        open.filter(|(_, pack)| pack.candidate && !pack.is_condemned())
    }

    /// Condemned packs of which something is in use: it is nowhere else. Those that cannot be read stay as they are.
    pub(super) fn condemned_in_use(&self) -> Vec<u32> {
        let packs = (0..).zip(&self.packs);
        let wanted =
            packs.filter(|(_, pack)| pack.standing == Standing::Condemned && !pack.live.is_empty());
        wanted.map(|(number, _)| number).collect()
    }

    /// Number and bytes of the packs that are condemned and still there.
    pub(super) fn pending(&self) -> (u64, u64) {
        let condemned = self.packs.iter().filter(|p| p.is_condemned() && !p.gone);
        condemned.fold((0, 0), |(packs, bytes), p| (packs + 1, bytes + p.length))
    }

    /// Number and bytes of all packs.
    pub(super) fn size(&self) -> (u64, u64) {
        let bytes = self.packs.iter().map(|pack| pack.length).sum();
        (self.packs.len() as u64, bytes)
    }
}

impl PackUse {
    pub(super) fn live(&self) -> &Slots {
        &self.live
    }

    pub(super) fn is_damaged(&self) -> bool {
        self.standing == Standing::Damaged
    }

    fn is_condemned(&self) -> bool {
        matches!(self.standing, Standing::Condemned | Standing::Lost)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// It was deleted.
    pub(super) fn set_gone(&mut self) {
        self.gone = true;
    }

    /// What was in use lies elsewhere now.
    pub(super) fn forget_live(&mut self) {
        self.live = Slots::default();
    }

    pub(super) fn condemn(&mut self) {
        self.standing = Standing::Condemned;
    }
}

/// A set of slots.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Slots(Vec<u64>);

impl Slots {
    /// True if it was not there yet.
    pub(crate) fn insert(&mut self, slot: u32) -> bool {
        let (word, bit) = Self::split(slot);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    pub(crate) fn contains(&self, slot: u32) -> bool {
        let (word, bit) = Self::split(slot);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }

    fn split(slot: u32) -> (usize, u64) {
        (
            usize::try_from(slot / 64).expect("u32 fits"),
            1 << (slot % 64),
        )
    }
}
