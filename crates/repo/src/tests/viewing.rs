//! A point that is read anywhere is the image that was backed up.

use std::sync::Arc;

use futures::future::join_all;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use proptest::prelude::*;
use strongroom_testkit::{Call, CountingStore};

use super::collecting::{collect, open, pack_bytes};
use super::damage::Case;
use super::healing;
use super::support::*;
use crate::*;

const IMAGE_BYTES: usize = 13_000_123;
/// A few frames.
const CACHE_BYTES: usize = 2 << 20;

async fn read(view: &PointView, start: usize, end: usize) -> Result<Vec<u8>> {
    let mut bytes = vec![0xee; end - start];
    view.read_at(start as u64, &mut bytes).await?;
    Ok(bytes)
}

/// The image with whatever is told to be a hole filled with zeros, and what was told.
async fn only_data(view: &PointView, image: &[u8], start: usize, end: usize) -> Vec<u8> {
    let mut kept = vec![0; end - start];
    let index = |offset: u64| usize::try_from(offset).unwrap();
    let data = view.data_in(start as u64, (end - start) as u64).await;
    let mut behind = None;
    for stretch in data.unwrap() {
        assert!(Some(stretch.start) > behind && !stretch.is_empty());
        let (from, to) = (index(stretch.start), index(stretch.end));
        kept[from - start..to - start].copy_from_slice(&image[from..to]);
        behind = Some(stretch.end);
    }
    kept
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn any_part_is_that_part_of_the_image_for_readers_at_once(
        seed in 0_u64..1000,
        ends in prop::collection::vec((0..=IMAGE_BYTES, 0..200_000_usize), 1..24),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (_, repository) = in_memory().await;
            let image = &image(seed, IMAGE_BYTES);
            let point = back_up(&repository, "p", image).await.unwrap().point.id;
            let view = &repository.view_point(&point, CACHE_BYTES).await.unwrap();
            assert_eq!(view.size_bytes(), IMAGE_BYTES as u64);
            join_all(ends.into_iter().map(async |(start, length)| {
                let end = (start + length).min(IMAGE_BYTES);
                let part = read(view, start, end).await.unwrap();
                assert!(part == image[start..end], "{start}..{end}");
                assert!(only_data(view, image, start, end).await == part);
            }))
            .await;
        });
    }
}

#[tokio::test]
async fn holes_are_told_and_read_as_zeros() {
    let (_, repository) = in_memory().await;
    let data = image(62, 300_000);
    let image = [vec![0; 9_000_000], data.clone(), vec![0; 5_000_000]].concat();
    let point = back_up(&repository, "p", &image).await.unwrap().point.id;
    let view = repository.view_point(&point, CACHE_BYTES).await.unwrap();
    assert!(read(&view, 0, image.len()).await.unwrap() == image);
    assert_eq!(view.data_in(0, 8_900_000).await.unwrap(), []);
    let told = view.data_in(0, image.len() as u64).await.unwrap();
    let bytes: u64 = told.iter().map(|range| range.end - range.start).sum();
    assert!(bytes < 330_000, "{told:?}");

    let empty = back_up(&repository, "zeros", &vec![0; 5_000_000]).await;
    let id = empty.unwrap().point.id;
    let view = repository.view_point(&id, CACHE_BYTES).await.unwrap();
    assert!(read(&view, 7, 4_000_000).await.unwrap() == vec![0; 3_999_993]);
    assert_eq!(view.data_in(0, 5_000_000).await.unwrap(), []);
    view.end().await;
}

#[tokio::test]
async fn what_lies_beyond_the_image_is_refused() {
    let (_, repository) = in_memory().await;
    let point = back_up(&repository, "p", &image(1, 100_000)).await;
    let id = point.unwrap().point.id;
    let view = repository.view_point(&id, CACHE_BYTES).await.unwrap();
    assert!(matches!(
        read(&view, 0, 100_001).await,
        Err(Error::Invalid(_))
    ));
    let beyond = view.read_at(u64::MAX, &mut [0; 2]).await;
    assert!(matches!(beyond, Err(Error::Invalid(_))));
    assert!(read(&view, 100_000, 100_000).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_frame_is_read_once_for_all_who_ask() {
    let counting = CountingStore::new(Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = counting.clone();
    let repository = init(&store, SMALL_PACKS).await;
    let image = image(5, 2_000_000);
    let point = back_up(&repository, "p", &image).await.unwrap().point.id;
    let view = &repository.view_point(&point, 64 << 20).await.unwrap();
    let all = |count: usize| {
        join_all(
            (0..count)
                .map(async |_| assert!(read(view, 0, 500_000).await.unwrap() == image[..500_000])),
        )
    };
    all(1).await;
    let before = counting.calls(Call::Get, "packs");
    all(16).await;
    assert_eq!(counting.calls(Call::Get, "packs"), before);
}

#[tokio::test]
async fn damage_is_an_error_of_what_lies_there() {
    let (store, repository) = in_memory().await;
    let case = Case::new(store, repository).await;
    let path = case.objects("packs").await[1].clone();
    let sound = case.read(&path).await;
    let mut bytes = sound.clone();
    bytes[5000] ^= 1;
    case.write(&path, bytes).await;
    let repository = Repository::open(Arc::clone(&case.store), &key(), env()).await;
    let view = repository
        .unwrap()
        .view_point(&case.point.id, CACHE_BYTES)
        .await;
    let view = view.unwrap();
    let (mut wrong, mut right) = (Vec::new(), 0);
    for start in (0..case.image.len() - 4096).step_by(4096) {
        match read(&view, start, start + 4096).await {
            Ok(part) => {
                assert!(part == case.image[start..start + 4096]);
                right += 1;
            }
            Err(Error::Corrupt { object, .. }) => {
                assert_eq!(object, path.as_ref());
                wrong.push(start);
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(!wrong.is_empty() && right > wrong.len(), "{}", wrong.len());
    // What was repaired meanwhile is read by the view that met the damage.
    case.write(&path, sound).await;
    for start in wrong {
        assert!(read(&view, start, start + 4096).await.unwrap() == case.image[start..start + 4096]);
    }
}

#[tokio::test]
async fn what_parity_brings_back_is_read_as_if_nothing_had_happened() {
    let case = healing::case().await;
    for path in case.objects("packs").await {
        let sound = case.read(&path).await;
        let mut bytes = sound.clone();
        bytes[1000..1000 + healing::HOLE].fill(0);
        case.write(&path, bytes).await;
        let repository = Repository::open(Arc::clone(&case.store), &key(), env()).await;
        let repository = repository.unwrap();
        let view = repository.view_point(&case.point.id, CACHE_BYTES).await;
        let all = read(&view.unwrap(), 0, case.image.len()).await.unwrap();
        assert!(all == case.image);
        assert!(repository.packs_healed() > 0);
        case.write(&path, sound).await;
    }
}

#[tokio::test]
async fn collections_go_on_beside_a_view_that_lets_them() {
    let (store, repository) = in_memory().await;
    let image = image(8, 2_000_000);
    let kept = back_up(&repository, "kept", &image).await.unwrap().point.id;
    let bytes = pack_bytes(&*store).await;
    let other = back_up(&repository, "other", &super::support::image(21, 2_000_000)).await;
    let other = other.unwrap().point.id;
    let view = repository.view_point(&kept, CACHE_BYTES).await.unwrap();
    repository.delete_point(&other).await.unwrap();
    let waiting = collect(&repository).await.unwrap();
    assert!(
        waiting.packs_pending > 0 && waiting.packs_deleted == 0,
        "{waiting:?}"
    );
    view.let_collections_go().await.unwrap();
    let done = collect(&repository).await.unwrap();
    assert_eq!(done.packs_pending, 0, "{done:?}");
    assert_eq!(pack_bytes(&*store).await, bytes);
    assert!(read(&view, 0, image.len()).await.unwrap() == image);

    // Of a point that is gone nothing but the view keeps the data.
    repository.delete_point(&kept).await.unwrap();
    view.let_collections_go().await.unwrap();
    let waiting = collect(&repository).await.unwrap();
    assert!(
        waiting.packs_pending > 0 && waiting.packs_deleted == 0,
        "{waiting:?}"
    );
    let again = open(&store).await.view_point(&kept, CACHE_BYTES).await;
    assert!(again.is_err());
    assert!(read(&view, 0, image.len()).await.unwrap() == image);
    view.end().await;
    collect(&repository).await.unwrap();
    assert!(pack_bytes(&*store).await < bytes);
}

#[tokio::test]
async fn what_a_collection_moved_is_found_again() {
    let (store, repository) = in_memory().await;
    let image = image(7, 4_000_000);
    let point = back_up(&repository, "p", &image).await.unwrap().point.id;
    let view = repository.view_point(&point, CACHE_BYTES).await.unwrap();
    assert!(read(&view, 0, 4096).await.unwrap() == image[..4096]);
    // The same content in other packs, as a collection writes it, and the old ones gone.
    let old = Case {
        store: Arc::clone(&store),
        repository: repository.clone(),
        image: image.clone(),
        point: repository.get_point(&point).await.unwrap(),
    };
    let packs = old.objects("packs").await;
    for path in &packs {
        let bytes = old.read(path).await;
        let mut spoilt = bytes.clone();
        let middle = spoilt.len() / 2;
        spoilt[middle] ^= 1;
        old.write(path, spoilt).await;
    }
    old.verify(VerifyDepth::ReadData).await;
    back_up(&repository, "again", &image).await.unwrap();
    for path in &packs {
        store.delete(path).await.unwrap();
    }
    assert!(read(&view, 0, image.len()).await.unwrap() == image);
}
