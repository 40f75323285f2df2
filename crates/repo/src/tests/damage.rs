//! Whatever is done to an object is found, named, and never restored as if nothing were.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::support::*;
use crate::*;

pub(super) struct Case {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) repository: Repository,
    pub(super) image: Vec<u8>,
    pub(super) point: Point,
}

async fn case() -> Case {
    let (store, repository) = in_memory().await;
    Case::new(store, repository).await
}

impl Case {
    pub(super) async fn new(store: Arc<dyn ObjectStore>, repository: Repository) -> Self {
        Self::of(store, repository, image(31, 6_000_000)).await
    }

    pub(super) async fn of(
        store: Arc<dyn ObjectStore>,
        repository: Repository,
        image: Vec<u8>,
    ) -> Self {
        let point = back_up(&repository, "p", &image).await.unwrap().point;
        Self {
            store,
            repository,
            image,
            point,
        }
    }

    pub(super) async fn objects(&self, folder: &str) -> Vec<Path> {
        let listed = self.store.list(Some(&Path::from(folder)));
        let mut objects: Vec<_> = listed
            .map_ok(|meta| meta.location)
            .try_collect()
            .await
            .unwrap();
        objects.sort();
        objects
    }

    pub(super) async fn read(&self, path: &Path) -> Vec<u8> {
        let result = self.store.get(path).await.unwrap();
        result.bytes().await.unwrap().to_vec()
    }

    pub(super) async fn write(&self, path: &Path, bytes: Vec<u8>) {
        self.store.put(path, bytes.into()).await.unwrap();
    }

    pub(super) async fn verify(&self, depth: VerifyDepth) -> VerifyReport {
        self.repository.verify(depth, &|_| ()).await.unwrap()
    }

    /// Does a fresh process restore the image, or fail naming `object`?
    pub(super) async fn restore_names(&self, object: &Path) -> bool {
        let repository = Repository::open(Arc::clone(&self.store), &key(), env())
            .await
            .unwrap();
        match restore(&repository, &self.point.id).await {
            Ok(bytes) => {
                assert!(bytes == self.image, "wrong bytes were restored");
                false
            }
            Err(Error::Corrupt { object: named, .. } | Error::Missing { object: named }) => {
                assert_eq!(named, object.as_ref());
                true
            }
            Err(error) => panic!("{error:?}"),
        }
    }
}

impl Case {
    async fn heals_by_another_backup(&self) {
        let again = back_up(&self.repository, "again", &self.image)
            .await
            .unwrap();
        assert!(again.bytes_stored > 0);
        let repository = Repository::open(Arc::clone(&self.store), &key(), env())
            .await
            .unwrap();
        for id in [&again.point.id, &self.point.id] {
            assert!(restore(&repository, id).await.unwrap() == self.image);
        }
    }
}

#[tokio::test]
async fn a_sound_repository_is_clean() {
    let case = case().await;
    for depth in [VerifyDepth::Structure, VerifyDepth::ReadData] {
        let report = case.verify(depth).await;
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(report.points_checked, 1);
        assert!(report.packs_checked >= 3);
        assert_eq!(report.bytes_read > 0, depth == VerifyDepth::ReadData);
    }
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_pack_is_found() {
    let case = case().await;
    for folder in ["packs", "nodes"] {
        let path = case.objects(folder).await[0].clone();
        let sound = case.read(&path).await;
        let length = sound.len();
        // Header, frames, directory, block hashes, section table, every part of the footer.
        let near_end = [
            1, 8, 9, 40, 41, 72, 73, 80, 84, 88, 96, 97, 150, 192, 200, 230, 260, 400,
        ];
        let places = [0, 9, 17, 33, 50, 90, 96, 500, length / 3, length / 2]
            .into_iter()
            .chain(near_end.map(|back| length - back));
        for place in places {
            let mut bytes = sound.clone();
            bytes[place] ^= 0x10;
            case.write(&path, bytes).await;
            let report = case.verify(VerifyDepth::ReadData).await;
            assert_eq!(
                report.damage_count, 1,
                "{folder} {place}/{length} {report:?}"
            );
            let damage = &report.damage[0];
            assert_eq!(damage.object, path.as_ref(), "{place}");
            let hit = case.restore_names(&path).await;
            assert_eq!(
                !damage.hits.is_empty(),
                hit,
                "{folder} {place}/{length} {damage:?}"
            );
        }
        case.write(&path, sound).await;
    }
    assert!(case.verify(VerifyDepth::ReadData).await.is_clean());
}

#[tokio::test]
async fn a_hit_names_exactly_the_ranges_that_are_lost() {
    let case = case().await;
    let mut path = case.objects("packs").await[0].clone();
    if case.read(&path).await.len() < 300_000 {
        path = case.objects("packs").await[1].clone();
    }
    let mut bytes = case.read(&path).await;
    bytes[200_000] ^= 1;
    case.write(&path, bytes).await;
    let report = case.verify(VerifyDepth::ReadData).await;
    let hit = &report.damage[0].hits[0];
    assert_eq!(hit.point, case.point.id);
    let sum: u64 = hit.ranges.iter().map(|range| range.end - range.start).sum();
    assert_eq!(sum, hit.bytes);
    assert!((1..2_000_000).contains(&sum), "{hit:?}");

    // Up to the first range everything is restored, and then nothing wrong.
    let mut reader = case.repository.read_point(&case.point.id).await.unwrap();
    let mut position = 0;
    let error = loop {
        match reader.next().await {
            Ok(Some(segment)) => {
                let length = match &segment.content {
                    Content::Data(data) => {
                        let start = usize::try_from(segment.offset).unwrap();
                        assert!(case.image[start..].starts_with(data));
                        data.len() as u64
                    }
                    Content::Hole(length) => *length,
                };
                position = segment.offset + length;
            }
            Ok(None) => panic!("the damage was not noticed"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Corrupt { .. }));
    assert!(position <= hit.ranges[0].start);
}

#[tokio::test]
async fn truncated_and_missing_packs_are_found_without_reading_data() {
    let case = case().await;
    for folder in ["packs", "nodes"] {
        let path = case.objects(folder).await[0].clone();
        let sound = case.read(&path).await;
        for length in [0, 50, 191, 500, sound.len() - 1] {
            case.write(&path, sound[..length].to_vec()).await;
            let report = case.verify(VerifyDepth::Structure).await;
            assert_eq!(report.damage_count, 1, "{length} {report:?}");
            assert_eq!(report.damage[0].object, path.as_ref());
            assert_eq!(report.damage[0].hit_count, 1);
            assert!(case.restore_names(&path).await);
        }
        case.store.delete(&path).await.unwrap();
        let report = case.verify(VerifyDepth::Structure).await;
        assert_eq!(report.damage_count, 1, "{report:?}");
        assert_eq!(report.damage[0].object, path.as_ref());
        assert_eq!(report.damage[0].problem, "missing");
        assert!(case.restore_names(&path).await);
        case.write(&path, sound).await;
    }
}

#[tokio::test]
async fn a_swapped_object_is_found() {
    let case = case().await;
    let packs = case.objects("packs").await;
    let other = case.read(&packs[1]).await;
    case.write(&packs[0], other).await;
    let report = case.verify(VerifyDepth::Structure).await;
    assert_eq!(report.damage[0].object, packs[0].as_ref());
    assert!(case.restore_names(&packs[0]).await);
}

#[tokio::test]
async fn damaged_points_and_index_segments_are_found() {
    let case = case().await;
    for folder in ["points", "index"] {
        let path = case.objects(folder).await[0].clone();
        let sound = case.read(&path).await;
        for place in 0..sound.len().min(1500) {
            let mut bytes = sound.clone();
            bytes[place] ^= 0x80;
            case.write(&path, bytes).await;
            let report = case.verify(VerifyDepth::Structure).await;
            assert!(
                report.damage.iter().any(|d| d.object == path.as_ref()),
                "{folder} {place} {report:?}"
            );
        }
        case.write(&path, sound).await;
    }
}

#[tokio::test]
async fn an_object_of_a_newer_version_does_not_hide_damage_elsewhere() {
    let case = case().await;
    let damaged = case.objects("index").await[0].clone();
    case.write(&damaged, Vec::new()).await;
    for folder in ["packs", "nodes", "points"] {
        let newer = case.objects(folder).await[0].clone();
        let sound = case.read(&newer).await;
        let mut bytes = sound.clone();
        // The version, in the header and in its copy in the footer.
        let footer = bytes.len() - 192;
        bytes[9] = 1;
        bytes[footer + 9] = 1;
        case.write(&newer, bytes).await;
        let report = case.verify(VerifyDepth::ReadData).await;
        let named = |path: &Path| report.damage.iter().find(|d| d.object == path.as_ref());
        assert!(named(&damaged).is_some(), "{report:?}");
        let found = named(&newer).unwrap();
        assert!(found.problem.contains("version 257"), "{found:?}");
        // A point has a copy.
        let hits = u64::from(folder != "points");
        assert_eq!(found.hit_count, hits, "{found:?}");
        case.write(&newer, sound).await;
    }
}

#[tokio::test]
async fn a_lost_index_is_made_anew_by_the_next_writer() {
    let case = case().await;
    for path in case.objects("index").await {
        case.store.delete(&path).await.unwrap();
    }
    assert!(!case.verify(VerifyDepth::Structure).await.is_clean());
    assert!(!case.restore_names(&Path::from("")).await);
    let repository = Repository::open(Arc::clone(&case.store), &key(), env())
        .await
        .unwrap();
    let again = back_up(&repository, "again", &case.image).await.unwrap();
    assert_eq!(again.bytes_new, 0);
    assert!(case.verify(VerifyDepth::ReadData).await.is_clean());
}

#[tokio::test]
async fn the_next_backup_stores_again_what_a_lost_pack_held() {
    let case = case().await;
    let path = case.objects("packs").await[0].clone();
    case.store.delete(&path).await.unwrap();
    case.heals_by_another_backup().await;
}

#[tokio::test]
async fn the_next_backup_stores_again_what_a_torn_pack_held() {
    for folder in ["packs", "nodes"] {
        let case = case().await;
        let path = case.objects(folder).await[0].clone();
        let mut bytes = case.read(&path).await;
        bytes.truncate(bytes.len() / 2);
        case.write(&path, bytes).await;
        case.heals_by_another_backup().await;
    }
}

#[tokio::test]
async fn the_next_backup_stores_again_what_a_verification_found_damaged() {
    for folder in ["packs", "nodes"] {
        let case = case().await;
        let path = case.objects(folder).await[0].clone();
        let sound = case.read(&path).await;
        let mut bytes = sound.clone();
        bytes[150] ^= 1;
        case.write(&path, bytes).await;
        assert_eq!(case.verify(VerifyDepth::ReadData).await.damage_count, 1);
        case.heals_by_another_backup().await;
        // The damage is still told, but takes nothing any more.
        for depth in [VerifyDepth::Structure, VerifyDepth::ReadData] {
            let report = case.verify(depth).await;
            assert!(
                report.damage.iter().all(|d| d.hits.is_empty()),
                "{report:?}"
            );
        }
        // A good copy ends the mark, so that it is built upon again.
        assert_eq!(case.objects("damaged").await.len(), 1);
        case.write(&path, sound).await;
        assert!(case.verify(VerifyDepth::ReadData).await.is_clean());
        assert!(case.objects("damaged").await.is_empty());
        assert_eq!(
            back_up(&case.repository, "more", &case.image)
                .await
                .unwrap()
                .bytes_new,
            0
        );
    }
}

#[tokio::test]
async fn occupied_counts_shared_parts_once() {
    let case = case().await;
    let first = case
        .repository
        .occupied(std::slice::from_ref(&case.point.id))
        .await
        .unwrap();
    assert!(first > 0 && first <= case.point.bytes_stored);
    let mut changed = case.image.clone();
    changed[2_000_000..2_100_000].fill(77);
    let second = back_up(&case.repository, "second", &changed).await.unwrap();
    let ids = [case.point.id.clone(), second.point.id.clone()];
    let both = case.repository.occupied(&ids).await.unwrap();
    assert!(
        both > first && both <= first + second.bytes_stored,
        "{first} {both}"
    );
    let twice = [ids[0].clone(), ids[0].clone()];
    assert_eq!(case.repository.occupied(&twice).await.unwrap(), first);
}

#[tokio::test]
async fn what_is_occupied_can_be_told_although_a_point_is_damaged() {
    let case = case().await;
    let ids = std::slice::from_ref(&case.point.id);
    let all = case.repository.occupied(ids).await.unwrap();
    for copy in case.objects("points-copy").await {
        case.store.delete(&copy).await.unwrap();
    }
    for folder in ["packs", "nodes", "points"] {
        let path = case.objects(folder).await[0].clone();
        let sound = case.read(&path).await;
        for damaged in [
            None,
            Some(Vec::new()),
            Some(sound[..sound.len() / 2].to_vec()),
        ] {
            match damaged {
                None => case.store.delete(&path).await.unwrap(),
                Some(bytes) => case.write(&path, bytes).await,
            }
            let repository = Repository::open(Arc::clone(&case.store), &key(), env())
                .await
                .unwrap();
            let left = repository.occupied(ids).await.unwrap();
            assert!(left < all, "{folder} {left} of {all}");
        }
        case.write(&path, sound).await;
    }
}
