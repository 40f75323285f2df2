//! A collection, or a backup that is collected after, meets every fault at each of its calls to the store: every
//! point stays whole, and the next collection frees everything that is not needed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_testkit::{AgingStore, FailingStore, Fault};

use super::collecting::{TINY_PACKS, check, collect, objects, open, pack_bytes};
use super::support::*;
use crate::*;

const FAULTS: [Fault; 6] = [
    Fault::Fail,
    Fault::FailAfterEffect,
    Fault::Crash,
    Fault::CrashAfterEffect,
    Fault::Twice,
    Fault::Delay,
];

/// Longer than anything is remembered.
const LONG: Duration = Duration::from_hours(31 * 24);

/// A repository with garbage, copied for each run.
struct Scene {
    store: Arc<InMemory>,
    points: Vec<(PointId, Vec<u8>)>,
}

/// Of the packs, some are dead, some sparse.
async fn with_garbage() -> Scene {
    let store = Arc::new(InMemory::new());
    let repository = init(&(Arc::clone(&store) as _), TINY_PACKS).await;
    let first = image(11, 1_500_000);
    let mut second = image(13, 1_500_000);
    for at in (0..1_400_000).step_by(262_144) {
        second[at..at + 65_536].copy_from_slice(&first[at..at + 65_536]);
    }
    let gone = back_up(&repository, "first", &first).await.unwrap();
    let kept = back_up(&repository, "second", &second).await.unwrap();
    repository.delete_point(&gone.point.id).await.unwrap();
    Scene {
        store,
        points: vec![(kept.point.id, second)],
    }
}

/// A point that was committed after what it builds upon was condemned.
async fn with_condemned_packs() -> Scene {
    let store = Arc::new(InMemory::new());
    let repository = init(&(Arc::clone(&store) as _), TINY_PACKS).await;
    let image = image(15, 1_000_000);
    let gone = back_up(&repository, "old", &image).await.unwrap();
    let mut writer = open(&(Arc::clone(&store) as _))
        .await
        .begin_point(new_point("new", image.len()))
        .await
        .unwrap();
    repository.delete_point(&gone.point.id).await.unwrap();
    let report = collect(&repository).await.unwrap();
    assert!(report.packs_pending > 0, "{report:?}");
    writer.write(Bytes::from(image.clone())).await.unwrap();
    let commit = writer.commit().await.unwrap();
    Scene {
        store,
        points: vec![(commit.point.id, image)],
    }
}

impl Scene {
    fn copy(&self) -> (Arc<AgingStore>, Arc<dyn ObjectStore>) {
        let aging = AgingStore::new(Arc::new(self.store.fork()));
        (Arc::clone(&aging), aging as _)
    }

    /// What a collection leaves that nothing disturbs.
    async fn bytes_needed(&self) -> u64 {
        let (_, store) = self.copy();
        collect(&open(&store).await).await.unwrap();
        pack_bytes(&*store).await
    }

    /// Collects with the fault at this call; false when there are fewer.
    async fn strike(&self, fault: Fault, call: u64, bytes_needed: u64) -> bool {
        let case = format!("{fault:?} at call {call}");
        let (aging, store) = self.copy();
        let failing = FailingStore::new(Arc::clone(&store), fault, call);
        let through: Arc<dyn ObjectStore> = Arc::clone(&failing) as _;
        if let Ok(repository) = Repository::open(through, &key(), env()).await {
            let result = collect(&repository).await;
            assert!(result.is_ok() || failing.has_struck(), "{case}: {result:?}");
        }
        check(&open(&store).await, &self.points).await;
        aging.pass(LONG);
        let repository = open(&store).await;
        collect(&repository)
            .await
            .unwrap_or_else(|error| panic!("{case}: {error:?}"));
        check(&open(&store).await, &self.points).await;
        let left = pack_bytes(&*store).await;
        assert!(
            left <= bytes_needed + bytes_needed / 20,
            "{case}: {left} of {bytes_needed}"
        );
        failing.has_struck()
    }

    async fn strike_everywhere(&self) {
        let bytes_needed = self.bytes_needed().await;
        for fault in FAULTS {
            let mut call = 1;
            while self.strike(fault, call, bytes_needed).await {
                call += 1;
            }
            assert!(call > 20, "{fault:?}: {call} calls");
        }
    }
}

#[tokio::test]
async fn a_collection_survives_every_fault_at_every_call() {
    with_garbage().await.strike_everywhere().await;
}

#[tokio::test]
async fn a_rescue_survives_every_fault_at_every_call() {
    with_condemned_packs().await.strike_everywhere().await;
}

#[tokio::test]
async fn what_a_backup_left_is_collected_wherever_it_stopped() {
    let scene = with_garbage().await;
    let image = image(17, 700_000);
    for fault in FAULTS {
        let mut call = 1;
        loop {
            let case = format!("{fault:?} at call {call}");
            let (aging, store) = scene.copy();
            let failing = FailingStore::new(Arc::clone(&store), fault, call);
            let through: Arc<dyn ObjectStore> = Arc::clone(&failing) as _;
            let mut done = None;
            if let Ok(repository) = Repository::open(through, &key(), env()).await {
                done = back_up(&repository, "new", &image).await.ok();
            }
            aging.pass(LONG);
            let repository = open(&store).await;
            collect(&repository)
                .await
                .unwrap_or_else(|error| panic!("{case}: {error:?}"));
            let mut points = scene.points.clone();
            points.extend(done.map(|commit| (commit.point.id, image.clone())));
            check(&open(&store).await, &points).await;
            let left = objects(&*store, &["sessions", "ended"]).await;
            assert!(left.is_empty(), "{case}: {left:?}");
            if !failing.has_struck() {
                break;
            }
            call += 1;
        }
        assert!(call > 15, "{fault:?}: {call} calls");
    }
}
