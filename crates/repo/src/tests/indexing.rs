//! The index as writers and readers of several processes see it.

use std::collections::HashSet;

use object_store::ObjectStoreExt;
use object_store::path::Path;
use strongroom_chunk::{IndexEntry, IndexedPack, Kind, ObjectId, Prefix, Segment};
use strongroom_store::{Create, Storage, open_local};

use super::support::*;
use crate::index::{merge_due, merge_segments};
use crate::*;

fn prefix(number: u64) -> Prefix {
    let hash = strongroom_chunk::checksum(&number.to_le_bytes());
    Prefix::from_bytes(hash[..16].try_into().unwrap())
}

/// A segment of entries that no pack has to hold: merging does not look.
fn segment(numbers: std::ops::Range<u64>, pack: u8) -> Segment {
    segment_of(numbers, ObjectId([pack; 16]))
}

pub(super) fn segment_of(numbers: std::ops::Range<u64>, pack: ObjectId) -> Segment {
    let entry = |number: u64| IndexEntry {
        prefix: prefix(number),
        pack: 0,
        slot: u32::try_from(number).unwrap(),
    };
    Segment {
        packs: vec![IndexedPack {
            id: pack,
            kind: Kind::DataPack,
            length: 1 << 20,
        }],
        entries: numbers.map(entry).collect(),
    }
}

async fn open(storage: &Storage) -> Repository {
    Repository::open(storage.clone(), &key(), env())
        .await
        .unwrap()
}

pub(super) async fn refresh(repository: &Repository) -> usize {
    let engine = &repository.engine;
    let bad = engine.index.refresh(&engine.store, &engine.keys).await;
    bad.unwrap().len()
}

pub(super) fn finds(repository: &Repository, numbers: std::ops::Range<u64>) -> bool {
    let index = &repository.engine.index;
    numbers.into_iter().all(|number| {
        let place = index.find(prefix(number), |_| true);
        place.is_some_and(|place| u64::from(place.slot) == number)
    })
}

async fn objects(storage: &Storage) -> Vec<Path> {
    use futures::TryStreamExt;
    let listed = storage.objects.list(Some(&Path::from("index")));
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    listed.into_iter().map(|object| object.location).collect()
}

async fn places() -> Vec<(Storage, Vec<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    let local = open_local(folder.path(), Create::IfMissing).unwrap();
    let cached = Storage::memory().with_cache(cache.path());
    let places = vec![
        (Storage::memory(), vec![]),
        (local, vec![folder]),
        (cached, vec![cache]),
    ];
    for (storage, _) in &places {
        Repository::init(storage.clone(), &key(), SMALL_PACKS, env())
            .await
            .unwrap();
    }
    places
}

#[tokio::test]
async fn merged_segments_say_the_same_in_every_place_and_to_everyone() {
    for (storage, _folders) in places().await {
        let [one, other] = [open(&storage).await, open(&storage).await];
        for round in 0..20 {
            let entries = segment(round * 9000..(round + 1) * 9000, 1);
            crate::segments::store(&one.engine, entries).await.unwrap();
            if round == 10 {
                assert_eq!(refresh(&other).await, 0);
            }
            merge_due(&one.engine, 1 << 30).await.unwrap();
        }
        assert!(objects(&storage).await.len() < 12);
        // The other still has segments open that are deleted.
        assert!(finds(&other, 0..99_000));
        assert_eq!(refresh(&other).await, 0);
        assert!(finds(&other, 0..180_000) && finds(&one, 0..180_000));
        assert!(other.engine.index.find(prefix(1 << 50), |_| true).is_none());
        assert_eq!(other.engine.index.packs().len(), 1);
        let fresh = open(&storage).await;
        refresh(&fresh).await;
        assert!(finds(&fresh, 0..180_000));
    }
}

#[tokio::test]
async fn two_mergers_at_once_lose_nothing() {
    for (storage, _folders) in places().await {
        let [one, other] = [open(&storage).await, open(&storage).await];
        for round in 0..8 {
            let entries = segment(round * 100..(round + 1) * 100, 1);
            crate::segments::store(&one.engine, entries).await.unwrap();
        }
        refresh(&other).await;
        let none = HashSet::new();
        let (first, second) = tokio::join!(
            merge_segments(&one.engine, &none),
            merge_segments(&other.engine, &none)
        );
        first.unwrap();
        second.unwrap();
        for repository in [&one, &other, &open(&storage).await] {
            refresh(repository).await;
            assert!(finds(repository, 0..800));
        }
    }
}

#[tokio::test]
async fn look_ups_go_on_while_segments_are_merged() {
    let (storage, _folders) = places().await.remove(1);
    let repository = open(&storage).await;
    for round in 0..8 {
        let entries = segment(round * 5000..(round + 1) * 5000, 1);
        crate::segments::store(&repository.engine, entries)
            .await
            .unwrap();
    }
    let reader = repository.clone();
    let looking = tokio::task::spawn_blocking(move || (0..5).all(|_| finds(&reader, 0..40_000)));
    merge_due(&repository.engine, 1 << 30).await.unwrap();
    assert!(looking.await.unwrap());
    assert_eq!(objects(&storage).await.len(), 1);
}

#[tokio::test]
async fn entries_of_packs_that_are_gone_are_dropped() {
    for (storage, _folders) in places().await {
        let repository = open(&storage).await;
        for (round, pack) in [(0, 1), (1, 2), (2, 3)] {
            let entries = segment(round * 100..(round + 1) * 100, pack);
            crate::segments::store(&repository.engine, entries)
                .await
                .unwrap();
        }
        let gone: HashSet<ObjectId> = [ObjectId([2; 16])].into();
        merge_segments(&repository.engine, &gone).await.unwrap();
        assert_eq!(objects(&storage).await.len(), 2);
        let find = |number| repository.engine.index.find(prefix(number), |_| true);
        assert!(find(50).is_some() && find(150).is_none() && find(250).is_some());
        assert!(!repository.engine.index.lists_pack(ObjectId([2; 16])));
    }
}

/// The damage lies where only a look-up meets it.
#[tokio::test]
async fn a_segment_found_damaged_in_use_counts_as_lost() {
    let (storage, folders) = places().await.remove(1);
    let repository = open(&storage).await;
    let entries = segment(0..150_000, 1);
    crate::segments::store(&repository.engine, entries)
        .await
        .unwrap();
    let path = objects(&storage).await.remove(0);
    let file = folders[0].path().join(path.as_ref());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[1 << 20] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let other = open(&storage).await;
    assert_eq!(refresh(&other).await, 0);
    assert!(other.engine.index.lists_pack(ObjectId([1; 16])));
    for number in 0..150_000 {
        let found = other.engine.index.find(prefix(number), |_| true);
        assert!(found.is_none_or(|place| u64::from(place.slot) == number));
    }
    assert!(!other.engine.index.lists_pack(ObjectId([1; 16])));
    assert_eq!(refresh(&other).await, 0);
    assert!(!other.engine.index.lists_pack(ObjectId([1; 16])));
}

#[tokio::test]
async fn a_segment_under_another_name_is_not_believed() {
    for (storage, _folders) in places().await {
        let repository = open(&storage).await;
        crate::segments::store(&repository.engine, segment(0..100, 1))
            .await
            .unwrap();
        let path = objects(&storage).await.remove(0);
        let bytes = storage
            .objects
            .get(&path)
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
        let name = Path::from(format!("index/{}", "ab".repeat(16)));
        storage.objects.put(&name, bytes.into()).await.unwrap();
        let fresh = open(&storage).await;
        assert_eq!(refresh(&fresh).await, 1);
        assert!(finds(&fresh, 0..100));
    }
}

#[tokio::test]
async fn many_backups_leave_few_segments_and_every_point_whole() {
    let (storage, _folders) = places().await.remove(1);
    let mut points = Vec::new();
    for day in 0..12u64 {
        let repository = open(&storage).await;
        let image = image(day + 1, 300_000);
        let name = format!("day {day}");
        points.push((
            back_up(&repository, &name, &image).await.unwrap().point.id,
            image,
        ));
    }
    assert!(objects(&storage).await.len() <= 10);
    let repository = open(&storage).await;
    for (id, image) in &points {
        assert!(restore(&repository, id).await.unwrap() == *image);
    }
    let report = repository
        .verify(VerifyDepth::ReadData, &|_| ())
        .await
        .unwrap();
    assert_eq!(report.damage_count, 0, "{:?}", report.damage);
    // Nothing is stored again: what was merged is still found.
    let again = back_up(&repository, "again", &points[3].1).await.unwrap();
    assert_eq!(again.bytes_new, 0);
}
