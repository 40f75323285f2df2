//! A point in the order of its packs is the point.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_testkit::{Call, CountingStore};

use super::support::*;
use crate::*;

/// What a reader brings: the image, and how many stretches did not begin where the one before ended.
async fn read_in_any_order(repository: &Repository, id: &PointId) -> (Vec<u8>, usize) {
    let mut reader = repository.read_point_in_any_order(id).await.unwrap();
    let size = usize::try_from(reader.size_bytes()).unwrap();
    let mut bytes = vec![0xee; size];
    let mut seen = vec![false; size];
    let (mut jumps, mut end) = (0, 0);
    while let Some(segment) = reader.next().await.unwrap() {
        let start = usize::try_from(segment.offset).unwrap();
        let length = match &segment.content {
            Content::Data(data) => data.len(),
            Content::Hole(length) => usize::try_from(*length).unwrap(),
        };
        let stretch = start..start + length;
        assert!(seen[stretch.clone()].iter().all(|seen| !seen), "twice");
        seen[stretch.clone()].fill(true);
        match segment.content {
            Content::Data(data) => bytes[stretch].copy_from_slice(&data),
            Content::Hole(_) => bytes[stretch].fill(0),
        }
        jumps += usize::from(start != end);
        end = start + length;
    }
    assert!(seen.iter().all(|seen| *seen), "something was left out");
    (bytes, jumps)
}

/// The last of some points, each with a few stretches changed, so that it lies scattered over many packs.
async fn scattered(repository: &Repository) -> (PointId, Vec<u8>) {
    let mut image = image(61, 12_000_000);
    let mut last = back_up(repository, "day-0", &image).await.unwrap().point.id;
    for day in 1..6 {
        for place in 0..12 {
            let start = (place * 977 + day * 131) % 11_000 * 1000 / 4096 * 4096;
            let new = super::support::image(u64::try_from(day * 100 + place).unwrap(), 30_000);
            image[start..start + new.len()].copy_from_slice(&new);
        }
        let name = format!("day-{day}");
        last = back_up(repository, &name, &image).await.unwrap().point.id;
    }
    (last, image)
}

#[tokio::test]
async fn in_the_order_of_packs_every_byte_comes_once() {
    let (_, repository) = in_memory().await;
    let (last, image) = scattered(&repository).await;
    let (read, jumps) = read_in_any_order(&repository, &last).await;
    assert!(read == image);
    assert!(jumps > 10, "{jumps}");
    assert!(restore(&repository, &last).await.unwrap() == image);
}

#[tokio::test]
async fn holes_come_once_wherever_they_are() {
    let (_, repository) = in_memory().await;
    let data = image(62, 300_000);
    let images = [
        Vec::new(),
        vec![0; 5_000_000],
        [vec![0; 4_500_000], data.clone()].concat(),
        [data.clone(), vec![0; 9_000_000]].concat(),
        [data.clone(), vec![0; 4_500_000], data].concat(),
    ];
    for (number, image) in images.iter().enumerate() {
        let point = back_up(&repository, &number.to_string(), image).await;
        let (read, _) = read_in_any_order(&repository, &point.unwrap().point.id).await;
        assert!(read == *image, "image {number}");
    }
}

#[tokio::test]
async fn the_order_of_packs_asks_the_storage_less() {
    let counting = CountingStore::new(Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = counting.clone();
    let repository = init(&store, SMALL_PACKS).await;
    let (last, _) = scattered(&repository).await;
    let mut requests = Vec::new();
    for in_order in [true, false] {
        let fresh = Repository::open(Arc::clone(&store), &key(), env())
            .await
            .unwrap();
        let before = counting.calls(Call::Get, "packs");
        if in_order {
            restore(&fresh, &last).await.unwrap();
        } else {
            read_in_any_order(&fresh, &last).await;
        }
        requests.push(counting.calls(Call::Get, "packs") - before);
    }
    assert!(requests[1] < requests[0], "{requests:?}");
}
