//! Segments, merged in any order, say what a plain map says.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use proptest::prelude::*;
use strongroom_chunk::{
    Header, IndexEntry, IndexedPack, Key, Keys, Kind, ObjectId, Place, Prefix, Segment,
};

use crate::*;

const LIMITS: Limits = Limits {
    entries_small: 8,
    entries_max: 512,
};

fn keys() -> Keys {
    Keys::derive(ObjectId([1; 16]), &Key([2; 32]))
}

fn prefix(number: u64) -> Prefix {
    let hash = blake3::hash(&number.to_le_bytes());
    Prefix::from_bytes(hash.as_bytes()[..16].try_into().unwrap())
}

fn pack(number: u8) -> ObjectId {
    ObjectId([number; 16])
}

/// What a repository's index is: segments, and what they should say.
#[derive(Default)]
struct World {
    catalog: Catalog,
    model: BTreeMap<Prefix, BTreeSet<Place>>,
    made: u64,
}

impl World {
    fn header(made: &mut u64) -> Header {
        *made += 1;
        let mut object = [0; 16];
        object[..8].copy_from_slice(&made.to_le_bytes());
        Header {
            kind: Kind::IndexSegment,
            generation: 0,
            repository: ObjectId([1; 16]),
            object: ObjectId(object),
            salt: [7; 32],
        }
    }

    fn add(&mut self, entries: &[(u16, u8)]) {
        let numbers: BTreeSet<u8> = entries.iter().map(|(_, pack)| *pack).collect();
        let numbers: Vec<u8> = numbers.into_iter().collect();
        let mut segment = Segment::default();
        for number in &numbers {
            segment.packs.push(IndexedPack {
                id: pack(*number),
                kind: Kind::DataPack,
                length: 4096,
            });
        }
        for (content, number) in entries {
            let prefix = prefix(u64::from(*content));
            let slot = u32::from(*content);
            let index = numbers.iter().position(|n| n == number).unwrap();
            segment.entries.push(IndexEntry {
                prefix,
                pack: u32::try_from(index).unwrap(),
                slot,
            });
            let place = Place {
                pack: pack(*number),
                slot,
            };
            self.model.entry(prefix).or_default().insert(place);
        }
        let bytes = segment.encode(&Self::header(&mut self.made), &keys());
        let opened = OpenSegment::open_bytes(bytes.into(), &keys()).unwrap();
        assert!(self.catalog.replace(&[], vec![Arc::new(opened)]).is_empty());
    }

    fn merge(&mut self, due: &Due, gone: &HashSet<ObjectId>) {
        let snapshot = self.catalog.snapshot();
        let inputs: Vec<_> = due
            .inputs
            .iter()
            .map(|id| snapshot.get(*id).unwrap().clone())
            .collect();
        let mut outputs: Vec<Vec<u8>> = Vec::new();
        let made = &mut self.made;
        let mut sink = |part| {
            match part {
                Part::Begin(_) => outputs.push(Vec::new()),
                Part::Bytes(bytes) => outputs.last_mut().unwrap().extend(bytes),
                Part::End => {}
            }
            Ok(())
        };
        let mut header = || Self::header(made);
        merge(
            &inputs,
            &|pack| gone.contains(&pack),
            due.split_bits,
            &keys(),
            &mut header,
            &mut sink,
        )
        .unwrap();
        let opened = outputs.into_iter().map(|bytes| {
            let opened = OpenSegment::open_bytes(bytes.into(), &keys()).unwrap();
            opened.check_all().unwrap();
            assert!(opened.entry_count() <= LIMITS.entries_max * 8);
            Arc::new(opened)
        });
        assert!(
            self.catalog
                .replace(&due.inputs, opened.collect())
                .is_empty()
        );
    }

    fn merge_all(&mut self) {
        while let Some(due) = due(&self.catalog.snapshot(), LIMITS) {
            let before = self.catalog.snapshot().segments().len();
            self.merge(&due, &HashSet::new());
            assert!(due.split_bits > 0 || self.catalog.snapshot().segments().len() < before);
        }
    }

    /// All entries of packs that are gone disappear, and no others.
    fn lose(&mut self, number: u8) {
        let gone: HashSet<ObjectId> = [pack(number)].into();
        for segment in self.catalog.snapshot().segments() {
            let alone = Due {
                inputs: vec![segment.id()],
                entries: segment.entry_count(),
                split_bits: 0,
            };
            self.merge(&alone, &gone);
        }
        for places in self.model.values_mut() {
            places.retain(|place| place.pack != pack(number));
        }
    }

    fn check(&self) {
        let snapshot = self.catalog.snapshot();
        for content in (0..600).chain(1 << 20..(1 << 20) + 200) {
            let prefix = prefix(content);
            let expected = self.model.get(&prefix).cloned().unwrap_or_default();
            // Refusing what was found shows the next one.
            let mut found: BTreeSet<Place> = BTreeSet::new();
            loop {
                let packs: Vec<ObjectId> = found.iter().map(|place| place.pack).collect();
                let unseen = |pack| !packs.contains(&pack);
                let damaged = |_, error| panic!("{error}");
                let Some(place) = snapshot.find(prefix, unseen, damaged) else {
                    break;
                };
                found.insert(place);
            }
            assert_eq!(found, expected);
        }
        let listed: BTreeSet<ObjectId> = self.catalog.packs().iter().map(|pack| pack.id).collect();
        let used = self.model.values().flatten().map(|place| place.pack);
        assert!(used.clone().all(|pack| listed.contains(&pack)));
        assert!(listed.iter().all(|pack| self.catalog.lists_pack(*pack)));
        self.check_many(&snapshot);
        self.check_slots();
    }

    /// Many at once are found where each by itself is, whatever is refused, the same id twice included.
    fn check_many(&self, snapshot: &Snapshot) {
        let known = self.model.keys().rev().copied();
        let strangers = (1 << 20..(1 << 20) + 2500).map(prefix);
        let again = self.model.keys().copied();
        let prefixes: Vec<_> = known.chain(strangers).chain(again).collect();
        for refused in 0..6 {
            let usable = |id| id != pack(refused);
            let refuse = |_, error| panic!("{error}");
            let found = snapshot.find_each(&prefixes, usable, refuse);
            let alone = prefixes.iter();
            let alone: Vec<_> = alone.map(|p| snapshot.find(*p, usable, refuse)).collect();
            assert_eq!(found, alone);
        }
    }

    fn check_slots(&self) {
        let mut expected: BTreeMap<ObjectId, u32> = BTreeMap::new();
        for place in self.model.values().flatten() {
            let slots = expected.entry(place.pack).or_default();
            *slots = (place.slot + 1).max(*slots);
        }
        let mut found: BTreeMap<ObjectId, u32> = BTreeMap::new();
        for segment in self.catalog.snapshot().segments() {
            for (pack, listed) in slots_listed(segment).unwrap() {
                let slots = found.entry(pack).or_default();
                *slots = listed.max(*slots);
            }
        }
        found.retain(|_, slots| *slots > 0);
        assert_eq!(found, expected);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Add(Vec<(u16, u8)>),
    Merge,
    Lose(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let entries = prop::collection::vec((0u16..600, 0u8..6), 0..120);
    prop_oneof![
        6 => entries.prop_map(Step::Add),
        2 => Just(Step::Merge),
        1 => (0u8..6).prop_map(Step::Lose),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn segments_say_what_a_map_says(steps in prop::collection::vec(step(), 1..40)) {
        let mut world = World::default();
        for step in steps {
            match step {
                Step::Add(entries) => world.add(&entries),
                Step::Merge => world.merge_all(),
                Step::Lose(pack) => world.lose(pack),
            }
        }
        world.check();
        world.merge_all();
        world.check();
    }
}

#[test]
fn many_small_segments_become_few_and_share_the_range_of_ids() {
    let mut world = World::default();
    for round in 0..400u32 {
        let of_round = |n: u32| {
            (
                u16::try_from((round * 20 + n) % 8000).unwrap(),
                u8::try_from(round % 6).unwrap(),
            )
        };
        world.add(&(0..20).map(of_round).collect::<Vec<_>>());
        world.merge_all();
    }
    let segments = world.catalog.snapshot();
    assert!(
        segments.segments().len() <= 60,
        "{}",
        segments.segments().len()
    );
    let largest = segments
        .segments()
        .iter()
        .map(|s| s.entry_count())
        .max()
        .unwrap();
    assert!(largest <= 2 * LIMITS.entries_max, "{largest}");
    world.check();
}

#[test]
fn a_damaged_block_is_an_error_and_never_an_answer() {
    let mut segment = Segment {
        packs: vec![IndexedPack {
            id: pack(1),
            kind: Kind::DataPack,
            length: 1,
        }],
        entries: (0..200_000)
            .map(|slot| IndexEntry {
                prefix: prefix(slot.into()),
                pack: 0,
                slot,
            })
            .collect(),
    };
    let mut made = 0;
    let sound = segment.encode(&World::header(&mut made), &keys());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("segment");
    for place in [2 << 20, 3 << 20, sound.len() - (2 << 20)] {
        let mut bytes = sound.clone();
        bytes[place] ^= 1;
        std::fs::write(&file, &bytes).unwrap();
        let opened = OpenSegment::open_file(&file, &keys()).unwrap();
        assert!(opened.check_all().is_err());
        let (mut found, mut errors) = (0, 0);
        for slot in (0..200_000u32).step_by(101) {
            match opened.find(prefix(slot.into()), &mut |_| true) {
                Ok(Some(found_place)) => {
                    assert_eq!(found_place.slot, slot);
                    found += 1;
                }
                Ok(None) => panic!("an entry is hidden"),
                Err(Error::Damaged(_)) => errors += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(found > 0 && errors > 0);
    }
    for length in [0, 100, 1000, sound.len() - 1, sound.len() - (1 << 20)] {
        std::fs::write(&file, &sound[..length]).unwrap();
        assert!(OpenSegment::open_file(&file, &keys()).is_err());
    }
}

/// The fuzzer's target over changes that are the same every time: few ones far apart, many ones close together.
#[test]
fn a_changed_segment_is_refused_or_ends() {
    for seed in 0..64_u64 {
        let mut bytes = vec![0; usize::try_from(seed).unwrap() * 8];
        blake3::Hasher::new_derive_key("strongroom segments")
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        crate::fuzzing::open_segments(&bytes);
    }
}
