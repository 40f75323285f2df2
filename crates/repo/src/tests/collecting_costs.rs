//! What collections cost: they read of data what they may free, however much is kept.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_testkit::{Call, CountingStore};

use super::collecting::{TINY_PACKS, collect, open};
use super::support::*;
use crate::*;

/// Reads that a collection in a new process made, of data and of nodes.
#[derive(Debug, PartialEq, Eq)]
struct Reads {
    packs: u64,
    nodes: u64,
}

async fn counted(store: &Arc<dyn ObjectStore>, options: &CollectOptions) -> (Reads, CollectReport) {
    let counting = CountingStore::new(Arc::clone(store));
    let repository = open(&(Arc::clone(&counting) as _)).await;
    let report = repository.collect(options, &|_| ()).await.unwrap();
    let reads = Reads {
        packs: counting.calls(Call::Get, "packs"),
        nodes: counting.calls(Call::Get, "nodes"),
    };
    (reads, report)
}

/// A repository in which so many images are kept whole, one is gone, and little is kept of another one.
async fn with_garbage(images_kept: u64) -> Arc<dyn ObjectStore> {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, TINY_PACKS).await;
    for number in 0..images_kept {
        let image = image(2001 + 194 * number, 3_000_000);
        let name = format!("kept {number}");
        back_up(&repository, &name, &image).await.unwrap();
    }
    let old = image(91, 2_000_000);
    let mut new = image(97, 2_000_000);
    for at in (0..2_000_000 - 65_536).step_by(262_144) {
        new[at..at + 65_536].copy_from_slice(&old[at..at + 65_536]);
    }
    let gone = back_up(&repository, "gone", &image(95, 1_500_000)).await;
    let sparse = back_up(&repository, "sparse", &old).await;
    back_up(&repository, "new", &new).await.unwrap();
    for commit in [gone, sparse] {
        let id = commit.unwrap().point.id;
        repository.delete_point(&id).await.unwrap();
    }
    store
}

#[tokio::test]
async fn a_collection_reads_of_data_what_the_garbage_is_worth() {
    let small = with_garbage(1).await;
    let large = with_garbage(8).await;
    for dry_run in [true, false] {
        let options = CollectOptions {
            dry_run,
            ..CollectOptions::default()
        };
        let (few, small) = counted(&small, &options).await;
        let (many, large) = counted(&large, &options).await;
        assert!(small.sparse_packs > 0 && small.dead_packs > 0, "{small:?}");
        assert!(large.bytes > 3 * small.bytes, "{large:?} {small:?}");
        assert_eq!(large.dead_bytes, small.dead_bytes);
        assert_eq!(large.sparse_bytes, small.sparse_bytes);
        assert_eq!(few.packs, many.packs, "{few:?} {many:?}");
        assert!(few.packs > 0);
    }
    // Nothing is left to be looked into.
    let (reads, _) = counted(&large, &CollectOptions::default()).await;
    assert!(reads.packs < 5, "{reads:?}");
}

#[tokio::test]
async fn a_process_looks_into_a_sparse_pack_once() {
    let store = with_garbage(1).await;
    let counting = CountingStore::new(Arc::clone(&store));
    let repository = open(&(Arc::clone(&counting) as _)).await;
    let dry = CollectOptions {
        dry_run: true,
        ..CollectOptions::default()
    };
    let first = repository.collect(&dry, &|_| ()).await.unwrap();
    let reads = counting.calls(Call::Get, "packs");
    let second = repository.collect(&dry, &|_| ()).await.unwrap();
    assert_eq!(second, first);
    assert!(reads > 0);
    assert_eq!(counting.calls(Call::Get, "packs"), reads);
}

#[tokio::test]
async fn nodes_are_read_in_bulk() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, SMALL_PACKS).await;
    // Many leaves, and so many frames, of few bytes.
    let size = 3 << 30;
    let mut writer = repository
        .begin_point(new_point("wide", size))
        .await
        .unwrap();
    let leaf = 4 << 20;
    for number in 0..(size / leaf) as u64 {
        let data = image(2 * number + 1, 8192);
        let hole = (leaf - data.len()) as u64;
        writer.write(Bytes::from(data)).await.unwrap();
        writer.hole(hole).await.unwrap();
    }
    writer.commit().await.unwrap();
    let (reads, report) = counted(&store, &CollectOptions::default()).await;
    assert!(report.nodes_visited > 600, "{report:?}");
    assert!(reads.nodes * 2 < report.nodes_visited / 10, "{reads:?}");
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_tells_what_is_pending() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, TINY_PACKS).await;
    let gone = back_up(&repository, "gone", &image(93, 1_500_000)).await;
    let reading = open(&store).await;
    let gone = gone.unwrap().point.id;
    let reader = reading.read_point(&gone).await.unwrap();
    repository.delete_point(&gone).await.unwrap();
    let held_up = collect(&repository).await.unwrap();
    assert!(held_up.packs_pending > 0, "{held_up:?}");

    let counting = CountingStore::new(Arc::clone(&store));
    let other = open(&(Arc::clone(&counting) as _)).await;
    let dry = CollectOptions {
        dry_run: true,
        wait: Duration::ZERO,
        ..CollectOptions::default()
    };
    let told = other.collect(&dry, &|_| ()).await.unwrap();
    assert_eq!(counting.changes(), 0);
    assert_eq!(
        (told.packs_pending, told.bytes_pending, told.dead_packs),
        (held_up.packs_pending, held_up.bytes_pending, 0)
    );
    drop(reader);
}

#[tokio::test]
async fn a_bounded_collection_takes_its_time() {
    let store = with_garbage(1).await;
    let repository = open(&store).await;
    tokio::time::pause();
    let started = tokio::time::Instant::now();
    let rate = 10_000;
    let options = CollectOptions {
        bytes_per_second: Some(rate),
        ..CollectOptions::default()
    };
    let report = repository.collect(&options, &|_| ()).await.unwrap();
    let (slow, least) = (started.elapsed().as_secs(), report.sparse_live_bytes / rate);
    assert!(least > 10 && slow >= least, "{slow} s, {report:?}");
}
