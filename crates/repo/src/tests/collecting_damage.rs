//! A collection that meets damage frees less; it takes nothing that a point needs and that can still be found.

use std::sync::Arc;

use bytes::Bytes;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_store::{Create, open_local};

use super::collecting::{TINY_PACKS, check, collect, objects, open};
use super::support::*;
use crate::*;

async fn names(store: &dyn ObjectStore, folder: &str) -> Vec<Path> {
    let objects = objects(store, &[folder]).await;
    objects
        .into_iter()
        .map(|(name, _)| Path::from(name))
        .collect()
}

async fn read(store: &dyn ObjectStore, path: &Path) -> Vec<u8> {
    let result = store.get(path).await.unwrap();
    result.bytes().await.unwrap().to_vec()
}

#[derive(Debug, Clone, Copy)]
enum Harm {
    Delete,
    Truncate,
    Flip,
}

async fn harm(store: &dyn ObjectStore, path: &Path, harm: Harm) {
    let mut bytes = read(store, path).await;
    match harm {
        Harm::Delete => return store.delete(path).await.unwrap(),
        Harm::Truncate => bytes.truncate(bytes.len() / 2),
        Harm::Flip => {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        }
    }
    store.put(path, bytes.into()).await.unwrap();
}

/// A point of which a collection has moved a part, so that only the index knows where that lies.
async fn moved() -> (Arc<InMemory>, PointId, Vec<u8>) {
    let store = Arc::new(InMemory::new());
    let shared: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    let repository = init(&shared, TINY_PACKS).await;
    let first = image(71, 3_000_000);
    let mut second = image(72, 3_000_000);
    for at in (0..3_000_000 - 65_536).step_by(262_144) {
        second[at..at + 65_536].copy_from_slice(&first[at..at + 65_536]);
    }
    let gone = back_up(&repository, "first", &first).await.unwrap();
    let kept = back_up(&repository, "second", &second).await.unwrap();
    repository.delete_point(&gone.point.id).await.unwrap();
    let report = collect(&repository).await.unwrap();
    assert!(
        report.bytes_copied > 0 && report.packs_pending == 0,
        "{report:?}"
    );
    (store, kept.point.id, second)
}

#[tokio::test]
async fn a_collection_behind_a_lost_index_deletes_nothing_that_is_needed() {
    let (sound, id, image) = moved().await;
    let segments = names(&*sound, "index").await;
    for way in [Harm::Delete, Harm::Truncate, Harm::Flip] {
        let each = segments.iter().map(std::slice::from_ref);
        for lost in each.chain([segments.as_slice()]) {
            let store: Arc<dyn ObjectStore> = Arc::new(sound.fork());
            for segment in lost {
                harm(&*store, segment, way).await;
            }
            let repository = open(&store).await;
            let report = collect(&repository).await.unwrap();
            assert_eq!(report.chunks_missing, 0, "{way:?} {report:?}");
            let restored = restore(&open(&store).await, &id).await.unwrap();
            assert!(restored == image, "{way:?}");
        }
    }
}

#[tokio::test]
async fn of_a_torn_pack_and_its_replacement_the_replacement_stays() {
    for folder in ["packs", "nodes"] {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let repository = init(&store, TINY_PACKS).await;
        let image = image(73, 1_000_000);
        let first = back_up(&repository, "first", &image).await.unwrap();
        for pack in names(&*store, folder).await {
            harm(&*store, &pack, Harm::Truncate).await;
        }
        let repository = open(&store).await;
        let second = back_up(&repository, "second", &image).await.unwrap();
        assert!(second.bytes_stored > 0);
        for _ in 0..2 {
            let report = collect(&open(&store).await).await.unwrap();
            assert_eq!(report.chunks_missing, 0, "{folder} {report:?}");
        }
        for point in [first, second] {
            let restored = restore(&open(&store).await, &point.point.id).await;
            assert!(restored.unwrap() == image, "{folder}");
        }
    }
}

#[tokio::test]
async fn of_two_copies_the_one_that_can_be_read_stays() {
    // Which of the two copies is built upon is not known: each is damaged once.
    for damaged in 0..2 {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let repository = init(&store, TINY_PACKS).await;
        let image = image(74, 2_000_000);
        let mut packs = Vec::new();
        let mut points = Vec::new();
        let processes = [open(&store).await, open(&store).await];
        let mut writers = Vec::new();
        for (number, process) in processes.iter().enumerate() {
            let new = new_point(&format!("p{number}"), image.len());
            writers.push(process.begin_point(new).await.unwrap());
        }
        for mut writer in writers {
            writer.write(Bytes::from(image.clone())).await.unwrap();
            points.push(writer.commit().await.unwrap().point.id);
            let known: Vec<Path> = packs.iter().flatten().cloned().collect();
            let mut new = names(&*store, "packs").await;
            new.retain(|pack| !known.contains(pack));
            packs.push(new);
        }
        // Of each pack a part is needed.
        let mut kept = image.clone();
        for at in (0..kept.len() - 40_000).step_by(65_536) {
            kept[at..at + 40_000].fill(u8::try_from(at % 251).unwrap() | 1);
        }
        let kept_id = back_up(&repository, "kept", &kept).await.unwrap().point.id;
        for id in points {
            repository.delete_point(&id).await.unwrap();
        }
        for pack in &packs[damaged] {
            let mut bytes = read(&*store, pack).await;
            // In the footer, behind which nothing can be opened.
            let footer = bytes.len() - 100;
            bytes[footer] ^= 1;
            store.put(pack, bytes.into()).await.unwrap();
        }
        for _ in 0..2 {
            collect(&open(&store).await).await.unwrap();
        }
        let restored = restore(&open(&store).await, &kept_id).await;
        assert!(restored.unwrap() == kept, "{damaged}");
    }
}

#[tokio::test]
async fn a_writer_acknowledges_nothing_upon_packs_that_a_zombie_listed() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, TINY_PACKS).await;
    let image = image(75, 1_500_000);
    let first = back_up(&repository, "first", &image).await.unwrap();
    let mut listed = Vec::new();
    for segment in names(&*store, "index").await {
        listed.push((segment.clone(), read(&*store, &segment).await));
    }
    repository.delete_point(&first.point.id).await.unwrap();
    collect(&repository).await.unwrap();
    // Another list takes the place of the one that condemned them.
    let other = back_up(&repository, "other", &[9; 5000]).await.unwrap();
    repository.delete_point(&other.point.id).await.unwrap();
    collect(&repository).await.unwrap();
    assert_eq!(names(&*store, "packs").await, []);

    // One process: a writer at work, and another one that reads the index meanwhile.
    let process = open(&store).await;
    let new = new_point("second", image.len());
    let mut writer = process.begin_point(new).await.unwrap();
    for (segment, bytes) in listed {
        store.put(&segment, bytes.into()).await.unwrap();
    }
    back_up(&process, "small", &[7; 5000]).await.unwrap();
    writer.write(Bytes::from(image.clone())).await.unwrap();
    let refused = writer.commit().await.unwrap_err();
    assert!(matches!(refused, Error::Missing { .. }), "{refused:?}");
    assert_eq!(process.list_points().await.unwrap().len(), 1);
    let again = back_up(&process, "second", &image).await.unwrap();
    check(&process, &[(again.point.id, image)]).await;
}

#[tokio::test]
async fn half_written_packs_of_the_dead_go_and_those_of_the_living_stay() {
    let folder = tempfile::tempdir().unwrap();
    let storage = || open_local(folder.path(), Create::Never).unwrap();
    let repository = Repository::init(storage(), &key(), TINY_PACKS, env()).await;
    let repository = repository.unwrap();
    let writer = repository.begin_point(new_point("p", 5)).await.unwrap();
    let store = Arc::clone(&repository.storage().objects);
    let session = names(&*store, "sessions").await.remove(0);
    let living = &session.filename().unwrap()[..16];
    let half = |session: &str| {
        let file = folder
            .path()
            .join(format!("packs/ab/ab11223344556677{session}#1"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "half").unwrap();
        file
    };
    let (living, dead) = (half(living), half("0123456789abcdef"));
    collect(&repository).await.unwrap();
    assert!(living.exists() && !dead.exists());
    drop(writer);
}
