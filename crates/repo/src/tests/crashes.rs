//! At every call to a local folder a backup dies; nothing is ever lost by it. `faults` has the other faults.

use std::path::Path;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_store::{Create, open_local};
use strongroom_testkit::{FailingStore, Fault};

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
