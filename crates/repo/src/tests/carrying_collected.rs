//! What is carried over beside collections, and behind them, is as safe as what is read.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_testkit::{Call, CountingStore};

use super::carrying::{LEAF, full_disk, repository_of};
use super::collecting::{collect, objects, open};
use super::sparse::{BLOCK, Disk};
use crate::index::gone_packs;
use crate::*;

#[tokio::test]
async fn what_is_lost_below_a_node_is_read_again() {
    let (store, repository, disk) = full_disk().await;
    for (pack, _) in objects(&*store, &["packs"]).await.iter().step_by(3) {
        store.delete(&Path::from(pack.as_str())).await.unwrap();
    }
    // It forgets packs that are gone, but not those that somebody needs.
    collect(&repository).await.unwrap();
    let repository = open(&store).await;
    let done = disk.back_up_changes(&repository, "second", &[]).await;
    let (commit, read) = done.unwrap();
    assert!(read > 20 << 20, "{read}");
    assert!(disk.is_restored(&repository, &commit.point.id).await);
}

#[tokio::test]
async fn what_collections_took_away_is_not_taken_for_lost() {
    let (store, repository) = repository_of(Profile::Default).await;
    let mut disk = Disk::new(24 * LEAF * BLOCK);
    disk.fill(0..24 * LEAF, 1 << 32);
    // One index segment speaks of what stays and of a little that goes, and is not written anew for that.
    for (name, end) in [("wide", 27), ("wider", 28)] {
        let mut wide = disk.clone();
        wide.resize(30 * LEAF * BLOCK);
        wide.fill(24 * LEAF..end * LEAF, end << 32);
        let gone = wide.back_up(&repository, name).await.unwrap().point;
        let first = disk.back_up(&repository, &format!("{name} no more")).await;
        first.unwrap();
        repository.delete_point(&gone.id).await.unwrap();
        let collected = collect(&repository).await.unwrap();
        assert!(collected.packs_deleted > 0);
    }
    let counting = CountingStore::new(Arc::clone(&store));
    let shared: Arc<dyn ObjectStore> = Arc::clone(&counting) as _;
    let repository = open(&shared).await;
    let done = disk.back_up_changes(&repository, "last", &[]).await;
    let (commit, read) = done.unwrap();
    let gone = gone_packs(&repository.engine).await.unwrap();
    assert!(!gone.is_empty(), "the index goes on to speak of them");
    assert_eq!((read, counting.calls(Call::Get, "nodes")), (0, 0));
    assert!(disk.is_restored(&repository, &commit.point.id).await);
}

/// What is done to the parent while a writer carries it over.
async fn forget_and_collect(repository: &Repository, parent: &PointId) {
    repository.delete_point(parent).await.unwrap();
    let report = collect(repository).await.unwrap();
    assert_eq!(report.packs_deleted, 0, "{report:?}");
}

#[tokio::test]
async fn a_parent_that_goes_at_any_step_leaves_what_was_carried_over() {
    for step in 0..4 {
        let (store, repository, mut disk) = full_disk().await;
        disk.fill(12_000..12_010, 3 << 32);
        let parent = repository.list_points().await.unwrap().remove(0).id;
        let other = open(&store).await;
        let (reread, read) = disk.reread();
        let writer = other.begin_point_over(disk.new_point("second"), reread);
        let mut writer = writer.await.unwrap();
        for (now, (start, end)) in [(0, 12_000), (12_000, 12_010), (12_010, 24 * LEAF)]
            .into_iter()
            .enumerate()
        {
            if now == step {
                forget_and_collect(&repository, &parent).await;
            }
            if now == 1 {
                let change = start * BLOCK..end * BLOCK;
                disk.write(&mut writer, change).await.unwrap();
            } else {
                writer.unchanged((end - start) * BLOCK).await.unwrap();
            }
        }
        if step == 3 {
            forget_and_collect(&repository, &parent).await;
        }
        let id = writer.commit().await.unwrap().point.id;
        assert!(read.load(Ordering::SeqCst) < 1 << 20, "{step}");
        // What it took from condemned packs is rescued before they go.
        let report = collect(&repository).await.unwrap();
        assert!(report.packs_deleted > 0, "{step} {report:?}");
        assert!(disk.is_restored(&open(&store).await, &id).await, "{step}");
    }
}

#[tokio::test]
async fn what_is_condemned_and_still_there_is_read_again() {
    let (store, repository) = repository_of(Profile::Default).await;
    let mut disk = Disk::new(12 * LEAF * BLOCK);
    disk.fill(0..12 * LEAF, 1 << 32);
    let old = disk.back_up(&repository, "old").await.unwrap().point;
    // The parent began before the packs were condemned, and uses them.
    let other = open(&store).await;
    let writer = other.begin_point(disk.new_point("parent")).await;
    let mut writer = writer.unwrap();
    repository.delete_point(&old.id).await.unwrap();
    let report = collect(&repository).await.unwrap();
    assert!(report.packs_pending > 0, "{report:?}");
    disk.write(&mut writer, 0..disk.size_bytes).await.unwrap();
    let parent = writer.commit().await.unwrap().point;
    // This one knows that they are, so that nobody waits for it.
    let third = open(&store).await;
    let (reread, read) = disk.reread();
    let writer = third.begin_point_over(disk.new_point("new"), reread).await;
    let mut writer = writer.unwrap();
    assert_eq!(writer.parent(), Some(&parent));
    repository.delete_point(&parent.id).await.unwrap();
    let report = collect(&repository).await.unwrap();
    assert!(report.packs_deleted > 0, "{report:?}");
    writer.unchanged(disk.size_bytes).await.unwrap();
    let id = writer.commit().await.unwrap().point.id;
    assert_eq!(read.load(Ordering::SeqCst), disk.size_bytes);
    assert!(disk.is_restored(&open(&store).await, &id).await);
}
