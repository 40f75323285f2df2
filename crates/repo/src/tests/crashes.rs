//! At every call to a local folder a backup dies, and other faults strike it and a collection; nothing is ever lost by
//! it. `faults` has all calls.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_store::{Create, open_local};
use strongroom_testkit::{AgingStore, FailingStore, Fault};

use super::support::*;
use crate::*;

/// One image backed up before the fault, one that changes parts of it during the fault.
struct Images {
    before: Vec<u8>,
    during: Vec<u8>,
}

fn images() -> Images {
    let before = image(11, 2_500_000);
    let mut during = before.clone();
    during[1_000_000..1_900_000].copy_from_slice(&image(12, 2_000_000)[..900_000]);
    Images { before, during }
}

async fn backup_through(store: Arc<dyn ObjectStore>, image: &[u8]) -> Result<Commit> {
    let repository = Repository::open(store, &key(), env()).await?;
    back_up(&repository, "during", image).await
}

/// True when the fault came to pass.
async fn strike(store: &Arc<dyn ObjectStore>, fault: Fault, call: u64, images: &Images) -> bool {
    let options = Options {
        pack_bytes_target: 256 << 10,
        ..Options::default()
    };
    let repository = init(store, options).await;
    let before = back_up(&repository, "before", &images.before)
        .await
        .unwrap();
    let failing = FailingStore::new(Arc::clone(store), fault, call);
    let result = backup_through(failing.clone(), &images.during).await;

    let repository = Repository::open(Arc::clone(store), &key(), env())
        .await
        .unwrap();
    let report = repository
        .verify(VerifyDepth::ReadData, &|_| ())
        .await
        .unwrap();
    assert!(report.is_clean(), "{fault:?} {call}: {report:?}");
    let during = match back_up(&repository, "during", &images.during).await {
        Ok(commit) => commit.point,
        // The answer to the commit was lost, or the fault hit a call that the backup could spare.
        Err(Error::PointExists(point)) => *point,
        Err(error) => panic!("{fault:?} {call}: {error:?}"),
    };
    assert!(result.is_ok() || failing.has_struck());
    for (point, image) in [(&before.point, &images.before), (&during, &images.during)] {
        let restored = restore(&repository, &point.id).await.unwrap();
        assert!(restored == *image, "{fault:?} {call}");
    }
    let report = repository
        .verify(VerifyDepth::Structure, &|_| ())
        .await
        .unwrap();
    assert!(report.is_clean(), "{fault:?} {call}: {report:?}");
    failing.has_struck()
}

#[tokio::test]
async fn nothing_is_lost_at_any_call_on_disk() {
    let images = images();
    let mut call = 1;
    loop {
        let folder = tempfile::tempdir().unwrap();
        let store = open_local(folder.path(), Create::IfMissing)
            .unwrap()
            .objects;
        if !strike(&store, Fault::Crash, call, &images).await {
            break;
        }
        call += 1;
    }
    assert!(call > 15, "{call}");
}

/// A backup, and a collection of what a deleted point needed, with the fault at this call; false when both have fewer.
async fn strike_on_disk(fault: Fault, call: u64) -> bool {
    let case = format!("{fault:?} {call}");
    let folder = tempfile::tempdir().unwrap();
    let storage = open_local(folder.path(), Create::IfMissing).unwrap();
    let store = storage.objects;
    let options = Options {
        pack_bytes_target: 64 << 10,
        ..Options::default()
    };
    let repository = init(&store, options).await;
    let before = image(11, 300_000);
    let mut during = before.clone();
    during[100_000..200_000].copy_from_slice(&image(12, 200_000)[..100_000]);
    let gone = back_up(&repository, "gone", &image(13, 200_000)).await;
    let kept = back_up(&repository, "before", &before).await.unwrap().point;
    repository
        .delete_point(&gone.unwrap().point.id)
        .await
        .unwrap();
    let failing = FailingStore::new(Arc::clone(&store), fault, call);
    let acknowledged = back_up_and_collect(failing.clone(), &during).await;
    assert!(acknowledged.is_ok() || failing.has_struck(), "{case}");
    let repository = open(&store).await;
    let restored = restore(&repository, &kept.id).await.unwrap();
    assert!(restored == before, "{case}");
    if let Ok(Some(id)) = &acknowledged {
        assert!(restore(&repository, id).await.unwrap() == during, "{case}");
    }
    // Twice: what is done again may be done once more.
    for _ in 0..2 {
        let aging = AgingStore::new(Arc::clone(&store));
        aging.pass(std::time::Duration::from_hours(1));
        let again = back_up_and_collect(aging, &during).await;
        // Half a record is a riddle: nothing is removed then.
        let riddle = fault == Fault::Torn && matches!(again, Err(Error::Corrupt { .. }));
        assert!(again.is_ok() || riddle, "{case} {again:?}");
        let repository = open(&store).await;
        let report = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
        let report = report.unwrap();
        assert!(
            report.is_clean() || fault == Fault::Torn,
            "{case} {report:?}"
        );
        for (name, image) in [("before", &before), ("during", &during)] {
            let point = repository.find_point(name).await;
            match point {
                Ok(point) => {
                    let restored = restore(&repository, &point.unwrap().id).await;
                    assert!(restored.unwrap() == *image, "{case} {name}");
                }
                // Half a point says nothing, and was never acknowledged.
                Err(Error::Corrupt { .. }) => {
                    assert!(fault == Fault::Torn && name == "during", "{case}");
                }
                Err(error) => panic!("{case} {error:?}"),
            }
        }
    }
    failing.has_struck()
}

async fn open(store: &Arc<dyn ObjectStore>) -> Repository {
    let repository = Repository::open(Arc::clone(store), &key(), env()).await;
    repository.unwrap()
}

/// The point, if this attempt was told that it is there.
async fn back_up_and_collect(store: Arc<dyn ObjectStore>, image: &[u8]) -> Result<Option<PointId>> {
    let point = match backup_through(Arc::clone(&store), image).await {
        Ok(commit) => Some(commit.point.id),
        Err(Error::PointExists(point)) => Some(point.id),
        Err(error) => return Err(error),
    };
    let repository = Repository::open(store, &key(), env()).await?;
    let options = CollectOptions {
        wait: std::time::Duration::ZERO,
        ..CollectOptions::default()
    };
    repository.collect(&options, &|_| ()).await?;
    Ok(point)
}

/// Each kind at every seventh call, each beginning at another one.
#[tokio::test]
async fn every_fault_on_disk_is_survived() {
    for (first, fault) in (1..).zip(Fault::ALL) {
        let mut call = first;
        while strike_on_disk(fault, call).await {
            call += 7;
        }
        assert!(call > 30, "{fault:?} {call}");
    }
}

#[tokio::test]
async fn what_a_dead_writer_stored_is_not_stored_again() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let options = Options {
        pack_bytes_target: 256 << 10,
        ..Options::default()
    };
    init(&store, options).await;
    let image = image(21, 4_000_000);
    let counting = FailingStore::new(Arc::clone(&store), Fault::Crash, 0);
    let whole = backup_through(counting.clone(), &image).await.unwrap();
    // The last call that a backup cannot do without: its packs are there by then.
    let mut call = counting.calls();
    let other = loop {
        let other: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        init(&other, options).await;
        let dying = FailingStore::new(Arc::clone(&other), Fault::Crash, call);
        if backup_through(dying, &image).await.is_err() {
            break other;
        }
        call -= 1;
    };
    let again = backup_through(Arc::clone(&other), &image).await.unwrap();
    assert!(again.bytes_new < whole.bytes_new / 4, "{again:?}");
    let repository = Repository::open(other, &key(), env()).await.unwrap();
    assert!(restore(&repository, &again.point.id).await.unwrap() == image);
}

#[tokio::test]
async fn a_full_disk_is_called_so() {
    // A device that is always full stands in for a full disk.
    let error = std::fs::write(Path::new("/dev/full"), b"x").unwrap_err();
    let error = object_store::Error::Generic {
        store: "test",
        source: Box::new(error),
    };
    let error = Error::store("write", &"packs/x".into(), error);
    assert!(matches!(error, Error::Full(_)));
}
