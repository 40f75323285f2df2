//! Repairs, scrubs and merges of the index meet every fault at every call: done again they succeed, and twice is like
//! once.

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_testkit::{FailingStore, Fault};

use super::damage::Case;
use super::support::*;
use crate::index::merge_segments;
use crate::*;

const OPTIONS: Options = Options {
    profile: Profile::Default,
    pack_bytes_target: 256 << 10,
    parity: true,
};

async fn case() -> Case {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, OPTIONS).await;
    Case::of(store, repository, image(31, 700_000)).await
}

async fn open(store: &Arc<dyn ObjectStore>) -> Repository {
    let repository = Repository::open(Arc::clone(store), &key(), env()).await;
    repository.unwrap()
}

/// A store of its own with the same objects.
async fn fork(store: &Arc<dyn ObjectStore>) -> InMemory {
    let copy = InMemory::new();
    for (path, bytes) in content(store).await {
        copy.put(&path, bytes.into()).await.unwrap();
    }
    copy
}

async fn content(store: &Arc<dyn ObjectStore>) -> Vec<(Path, Vec<u8>)> {
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut content = Vec::new();
    for meta in listed {
        let bytes = store.get(&meta.location).await.unwrap().bytes().await;
        content.push((meta.location, bytes.unwrap().to_vec()));
    }
    content.sort();
    content
}

/// But for what sessions leave, which says who has been there.
fn lasting(content: Vec<(Path, Vec<u8>)>) -> Vec<(Path, Vec<u8>)> {
    let is_lasting = |path: &Path| {
        let sessions = ["sessions/", "ended/"];
        !sessions.iter().any(|s| path.as_ref().starts_with(s))
    };
    content.into_iter().filter(|(p, _)| is_lasting(p)).collect()
}

/// Behind a repair that went through: nothing is damaged, and another one changes nothing.
async fn check_repaired(case: &Case, store: &Arc<dyn ObjectStore>, fault: Fault, what: &str) {
    let report = open(store).await.repair(&|_| ()).await.unwrap();
    let torn = fault == Fault::Torn;
    assert!(report.left.is_empty() || torn, "{what} {report:?}");
    let once = lasting(content(store).await);
    let repository = open(store).await;
    let again = repository.repair(&|_| ()).await.unwrap();
    assert_eq!(again.repaired, [], "{what}");
    assert!(lasting(content(store).await) == once, "{what}");
    let verified = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
    let verified = verified.unwrap();
    assert!(verified.is_clean() || torn, "{what} {verified:?}");
    match restore(&repository, &case.point.id).await {
        Ok(restored) => assert!(restored == case.image, "{what}"),
        // Of a pack that was healed only half was written: no store that keeps its promises does that.
        Err(Error::Corrupt { object, .. } | Error::Missing { object }) if torn => {
            let named = |damage: &Damage| damage.object == object;
            assert!(verified.damage.iter().any(named), "{what} {verified:?}");
        }
        Err(error) => panic!("{what} {error:?}"),
    }
}

#[tokio::test]
async fn a_repair_survives_every_fault_at_every_call() {
    let case = case().await;
    case.damage_all().await;
    let damaged = fork(&case.store).await;
    for fault in Fault::ALL {
        let mut call = 1;
        loop {
            let what = format!("{fault:?} {call}");
            let store: Arc<dyn ObjectStore> = Arc::new(damaged.fork());
            let failing = FailingStore::new(Arc::clone(&store), fault, call);
            let done = match Repository::open(failing.clone(), &key(), env()).await {
                Ok(repository) => repository.repair(&|_| ()).await.map(drop),
                Err(error) => Err(error),
            };
            assert!(done.is_ok() || failing.has_struck(), "{what} {done:?}");
            check_repaired(&case, &store, fault, &what).await;
            if !failing.has_struck() {
                break;
            }
            call += 1;
        }
        assert!(call > 20, "{fault:?} {call}");
    }
}

/// What a scrub can make good: a pack, a point and a config.
async fn damage_for_scrub(case: &Case) {
    let pack = case.objects("packs").await[0].clone();
    let mut bytes = case.read(&pack).await;
    bytes[3000..9000].fill(0);
    case.write(&pack, bytes).await;
    let point = case.objects("points").await[0].clone();
    case.write(&point, b"nonsense".to_vec()).await;
    case.write(&Path::from("config-copy"), b"nonsense".to_vec())
        .await;
}

#[tokio::test]
async fn a_scrub_survives_every_fault_at_every_call() {
    let case = case().await;
    let sound = lasting(content(&case.store).await);
    damage_for_scrub(&case).await;
    let damaged = fork(&case.store).await;
    for fault in Fault::ALL {
        let mut call = 1;
        loop {
            let what = format!("{fault:?} {call}");
            let store: Arc<dyn ObjectStore> = Arc::new(damaged.fork());
            let failing = FailingStore::new(Arc::clone(&store), fault, call);
            let done = scrub(failing.clone(), ScrubOptions::default()).await;
            assert!(done.is_ok() || failing.has_struck(), "{what} {done:?}");
            let again = scrub(Arc::clone(&store), ScrubOptions::default()).await;
            let heals = again.unwrap().damage.iter().all(|damage| damage.heals);
            assert!(heals || fault == Fault::Torn, "{what}");
            let once = lasting(content(&store).await);
            assert!(once == sound || fault == Fault::Torn, "{what}");
            // Half a pack may be more than its parity brings back; nothing else is lost by it.
            let third = scrub(Arc::clone(&store), ScrubOptions::default()).await;
            let third = third.unwrap();
            assert!(third.damage_count == u64::from(!heals), "{what} {third:?}");
            assert!(lasting(content(&store).await) == once, "{what}");
            if !failing.has_struck() {
                break;
            }
            call += 1;
        }
        assert!(call > 10, "{fault:?} {call}");
    }
}

/// With the segments that backups have merged still there, as if each had died before it removed them.
async fn unmerged() -> Case {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, Options::default()).await;
    let case = Case::of(store, repository, image(31, 300_000)).await;
    let mut segments = Vec::new();
    for number in 0..9 {
        let name = format!("p{number}");
        let image = image(40 + number, 60_000);
        back_up(&open(&case.store).await, &name, &image)
            .await
            .unwrap();
        for path in case.objects("index").await {
            segments.push((path.clone(), case.read(&path).await));
        }
    }
    for (path, bytes) in segments {
        case.write(&path, bytes).await;
    }
    case
}

async fn merge(repository: &Repository) -> Result<()> {
    merge_segments(&repository.engine, &std::collections::HashSet::new()).await
}

#[tokio::test]
async fn a_merge_survives_every_fault_at_every_call() {
    let case = unmerged().await;
    let before = case.objects("index").await.len();
    let scene = fork(&case.store).await;
    for fault in Fault::ALL {
        let mut call = 1;
        loop {
            let what = format!("{fault:?} {call} of {before} segments");
            let store: Arc<dyn ObjectStore> = Arc::new(scene.fork());
            let failing = FailingStore::new(Arc::clone(&store), fault, call);
            let done = match Repository::open(failing.clone(), &key(), env()).await {
                Ok(repository) => merge(&repository).await,
                Err(error) => Err(error),
            };
            assert!(done.is_ok() || failing.has_struck(), "{what} {done:?}");
            check_merged(&case, &store, fault, &what).await;
            if !failing.has_struck() {
                break;
            }
            call += 1;
        }
        assert!(call > 15, "{fault:?} {call}");
    }
}

async fn check_merged(case: &Case, store: &Arc<dyn ObjectStore>, fault: Fault, what: &str) {
    let repository = open(store).await;
    let verified = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
    let verified = verified.unwrap();
    let torn_segment = |damage: &Damage| damage.object.starts_with("index/");
    let torn = fault == Fault::Torn && verified.damage.iter().all(torn_segment);
    assert!(verified.is_clean() || torn, "{what} {verified:?}");
    if torn {
        let repaired = repository.repair(&|_| ()).await.unwrap();
        assert_eq!(repaired.left, [], "{what}");
    }
    for _ in 0..2 {
        let repository = open(store).await;
        merge(&repository).await.unwrap();
        let verified = repository.verify(VerifyDepth::Structure, &|_| ()).await;
        assert!(verified.unwrap().is_clean(), "{what}");
        let restored = restore(&repository, &case.point.id).await;
        assert!(restored.unwrap() == case.image, "{what}");
    }
    // Nothing that was indexed is stored again.
    let repository = open(store).await;
    let again = back_up(&repository, "again", &case.image).await.unwrap();
    assert_eq!(again.bytes_new, 0, "{what}");
}
