//! A collection meets every fault at every call, while it rewrites packs too: points stay whole, and the next one
//! leaves as little as if nothing had happened.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_testkit::{AgingStore, FailingStore, Fault};

use super::collecting::{TINY_PACKS, check, pack_bytes};
use super::support::*;
use crate::*;

/// Behind this, who was not heard of is dead.
const LONG: Duration = Duration::from_hours(1);
const OPTIONS: CollectOptions = CollectOptions {
    dry_run: false,
    compact_below_percent: 80,
    bytes_per_second: None,
    wait: Duration::ZERO,
};

/// Two points to be kept, much that nobody needs, and packs of which a part is needed.
struct Scene {
    store: InMemory,
    kept: Vec<(PointId, Vec<u8>)>,
    /// Bytes of packs once everything was collected.
    needed: u64,
}

async fn collect(repository: &Repository) -> Result<CollectReport> {
    repository.collect(&OPTIONS, &|_| ()).await
}

async fn open(store: Arc<dyn ObjectStore>) -> Repository {
    Repository::open(store, &key(), env()).await.unwrap()
}

async fn scene() -> Scene {
    let store = Arc::new(InMemory::new());
    let shared: Arc<dyn ObjectStore> = Arc::clone(&store) as _;
    let repository = init(&shared, TINY_PACKS).await;
    let first = image(31, 400_000);
    let mut second = first.clone();
    second[..250_000].copy_from_slice(&image(32, 250_000));
    let mut kept = Vec::new();
    for (name, image) in [("gone", &first), ("kept", &second)] {
        let point = back_up(&repository, name, image).await.unwrap().point;
        kept.push((point.id, image.clone()));
    }
    // A writer that died left packs behind.
    let dying = FailingStore::new(Arc::clone(&shared), Fault::Crash, 16);
    let dead = open(dying).await;
    back_up(&dead, "never", &image(33, 400_000))
        .await
        .unwrap_err();
    let (gone, _) = kept.remove(0);
    repository.delete_point(&gone).await.unwrap();
    let aging = AgingStore::new(Arc::new(store.fork()));
    aging.pass(LONG);
    let calm = open(Arc::clone(&aging) as _).await;
    let before = pack_bytes(&*aging).await;
    let report = collect(&calm).await.unwrap();
    assert!(
        report.dead_packs > 0 && report.sparse_packs > 0,
        "{report:?}"
    );
    let needed = pack_bytes(&*aging).await;
    assert!(needed < before, "{needed} of {before}");
    Scene {
        store: store.fork(),
        kept,
        needed,
    }
}

/// False when a collection has fewer calls.
async fn strike(scene: &Scene, fault: Fault, call: u64) -> bool {
    let case = format!("{fault:?} at call {call}");
    let aging = AgingStore::new(Arc::new(scene.store.fork()));
    let store: Arc<dyn ObjectStore> = Arc::clone(&aging) as _;
    aging.pass(LONG);
    let failing = FailingStore::new(Arc::clone(&store), fault, call);
    let struck = match Repository::open(Arc::clone(&failing), &key(), env()).await {
        Ok(repository) => collect(&repository).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &struck {
        assert!(failing.has_struck(), "{case}: {error:?}");
    }
    let repository = open(Arc::clone(&store)).await;
    if fault == Fault::Torn {
        // Half a pack is damage that harms nobody.
        for (id, image) in &scene.kept {
            assert!(restore(&repository, id).await.unwrap() == *image, "{case}");
        }
    } else {
        check(&repository, &scene.kept).await;
    }
    aging.pass(LONG);
    let repository = open(Arc::clone(&store)).await;
    let again = match collect(&repository).await {
        // Half a record is a riddle: nothing is removed then.
        Err(Error::Corrupt { .. }) if fault == Fault::Torn => return true,
        again => again.unwrap_or_else(|error| panic!("{case}: {error:?}")),
    };
    if fault == Fault::Torn {
        // Half an index segment stays until it is repaired.
        for (id, image) in &scene.kept {
            assert!(restore(&repository, id).await.unwrap() == *image, "{case}");
        }
        return failing.has_struck();
    }
    check(&repository, &scene.kept).await;
    let left = pack_bytes(&*store).await;
    assert!(
        left <= scene.needed * 11 / 10 && again.bytes_pending == 0,
        "{case}: {left} bytes are left of {}: {again:?}",
        scene.needed
    );
    let idle = collect(&repository).await.unwrap();
    assert_eq!(
        idle.packs_deleted + idle.sparse_packs,
        0,
        "{case}: {idle:?}"
    );
    failing.has_struck()
}

#[tokio::test]
async fn a_collection_survives_every_fault_at_every_call() {
    let scene = scene().await;
    for fault in Fault::ALL {
        let mut call = 1;
        while strike(&scene, fault, call).await {
            call += 1;
        }
        assert!(call > 30, "{fault:?}: {call} calls");
    }
}
