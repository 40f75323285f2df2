//! A point that is served, and what it fetches before anybody asks.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_nbd::{Client, ClientOptions, Target};
use strongroom_repo::{Env, NewPoint, Options, PointId, Repository, Secret, generate_key_file};
use strongroom_testkit::{Call, CountingStore, MockClock, SeededIds};

use crate::{OpenPoint, Place, Plan};

const DISK_BYTES: usize = 4 << 20;
const AREA_BYTES: usize = 256 << 10;
/// Far from each other, and in no order.
const AREAS: [usize; 2] = [9, 3];
const PAUSE: Duration = Duration::from_millis(10);
const ATTEMPTS: u32 = 1000;

/// A repository with one disk of random bytes.
async fn repository() -> (Arc<CountingStore>, Repository, PointId, Vec<u8>) {
    let counting = CountingStore::new(Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = counting.clone();
    let ids = Arc::new(SeededIds::new(1));
    let secret = Secret::KeyFile(generate_key_file(&*ids).into_bytes());
    let env = Env {
        clock: Arc::new(MockClock::default()),
        ids: ids.clone(),
    };
    let repository = Repository::init(store, &secret, Options::default(), env).await;
    let repository = repository.unwrap();
    let disk = random();
    let new = NewPoint {
        name: "disk".to_owned(),
        lineage: "disk".to_owned(),
        size_bytes: DISK_BYTES as u64,
        attributes: serde_json::json!({}),
    };
    let mut writer = repository.begin_point(new).await.unwrap();
    writer.write(Bytes::copy_from_slice(&disk)).await.unwrap();
    let point = writer.commit().await.unwrap().point.id;
    (counting, repository, point, disk)
}

fn random() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..DISK_BYTES / 8).flat_map(|_| next()).collect()
}

/// What reading both areas costs, by a view that has nothing yet.
async fn fetches(store: &CountingStore, repository: &Repository, point: &PointId) -> u64 {
    let view = repository.view_point(point, 64 << 20).await.unwrap();
    let before = store.calls(Call::Get, "packs");
    for area in AREAS {
        let mut bytes = vec![0; AREA_BYTES];
        let offset = (area * AREA_BYTES) as u64;
        view.read_at(offset, &mut bytes).await.unwrap();
    }
    view.end().await;
    store.calls(Call::Get, "packs") - before
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_last_start_read_is_fetched_before_the_next_one_asks() {
    let (store, repository, point, disk) = repository().await;
    let folder = tempfile::tempdir().unwrap();
    let start = folder.path().join("start");
    fs::write(&start, "9\n3\n").unwrap();
    let socket = folder.path().join("socket");
    let plan = Plan {
        place: Place::Socket {
            path: socket.clone(),
            mode: 0o600,
        },
        overlay: None,
        cache_bytes: 64 << 20,
        start: Some(start),
    };
    // The first to read also learns what is in the packs.
    fetches(&store, &repository, &point).await;
    let expected = fetches(&store, &repository, &point).await;
    let fetched = store.calls(Call::Get, "packs") + expected;
    assert!(expected > 0);
    let open = OpenPoint::open(&repository, &point, plan).await.unwrap();
    let served = open.serve().unwrap();
    let mut attempts = 0..ATTEMPTS;
    while store.calls(Call::Get, "packs") < fetched {
        assert!(attempts.next().is_some(), "it is not fetched");
        tokio::time::sleep(PAUSE).await;
    }

    let read = tokio::task::spawn_blocking(move || {
        let target = Target::unix(&socket, "");
        let mut client = Client::connect(&target, &ClientOptions::default()).unwrap();
        AREAS.map(|area| {
            let mut bytes = vec![0; AREA_BYTES];
            client
                .read_at((area * AREA_BYTES) as u64, &mut bytes)
                .unwrap();
            (area, bytes)
        })
    });
    for (area, bytes) in read.await.unwrap() {
        assert!(bytes == disk[area * AREA_BYTES..(area + 1) * AREA_BYTES]);
    }
    assert_eq!(store.calls(Call::Get, "packs"), fetched);
    served.end().await.unwrap();
    assert_eq!(
        store.calls(Call::Put, "sessions"),
        store.calls(Call::Delete, "sessions")
    );
}
