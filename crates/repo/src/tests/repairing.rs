//! A repair makes good what can be made good, whatever interrupts it, and tells what cannot.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_testkit::{FailingStore, Fault};

use super::damage::Case;
use super::healing::{HOLE, case};
use super::support::*;
use crate::*;

impl Case {
    async fn repair(&self) -> RepairReport {
        self.repository.repair(&|_| ()).await.unwrap()
    }

    /// Damages one object of each kind that can be made good; returns their names.
    pub(super) async fn damage_all(&self) -> Vec<String> {
        let first = async |folder: &str| self.objects(folder).await[0].clone();
        let pack = first("packs").await;
        let mut bytes = self.read(&pack).await;
        bytes[3000..3000 + HOLE].fill(0);
        self.write(&pack, bytes).await;
        let segment = first("index").await;
        let mut bytes = self.read(&segment).await;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.write(&segment, bytes).await;
        let point = first("points").await;
        self.write(&point, b"nonsense".to_vec()).await;
        let config = Path::from("config");
        self.write(&config, b"nonsense".to_vec()).await;
        let all = [pack, segment, point, config];
        let mut names: Vec<_> = all.iter().map(Path::to_string).collect();
        names.sort();
        names
    }
}

#[tokio::test]
async fn what_can_be_made_good_is() {
    let case = case().await;
    let damaged = case.damage_all().await;
    let plan = case.repository.plan_repair(&|_| ()).await.unwrap();
    let report = case.repair().await;
    assert_eq!(plan, report);
    assert_eq!(report.left, []);
    for name in &damaged {
        assert!(
            report.repaired.iter().any(|r| r.object == *name),
            "{name} {report:?}"
        );
    }
    let verified = case.verify(VerifyDepth::ReadData).await;
    assert!(verified.is_clean(), "{verified:?}");
    assert_eq!(case.repair().await, RepairReport::default());
    let repository = Repository::open(Arc::clone(&case.store), &key(), env())
        .await
        .unwrap();
    assert!(restore(&repository, &case.point.id).await.unwrap() == case.image);
    assert_eq!(repository.packs_healed(), 0);
    // What the damaged segment said is known: nothing is stored again.
    let again = back_up(&repository, "again", &case.image).await.unwrap();
    assert_eq!(again.bytes_new, 0);
}

#[tokio::test]
async fn a_damaged_point_is_listed_restored_and_kept_until_it_is_repaired() {
    let case = case().await;
    let path = case.objects("points").await[0].clone();
    case.write(&path, b"nonsense".to_vec()).await;
    let listed = case.repository.list_points().await.unwrap();
    assert_eq!(listed, std::slice::from_ref(&case.point));
    assert!(restore(&case.repository, &case.point.id).await.unwrap() == case.image);
    let report = case.verify(VerifyDepth::Structure).await;
    assert_eq!(report.damage[0].remedy, Some(Remedy::Copy));
    case.repair().await;
    assert!(case.verify(VerifyDepth::Structure).await.is_clean());
    // A deletion takes both.
    case.repository.delete_point(&case.point.id).await.unwrap();
    assert!(case.repository.list_points().await.unwrap().is_empty());
    assert_eq!(case.objects("points-copy").await, []);
}

#[tokio::test]
async fn a_copy_without_its_point_is_no_point_and_is_collected() {
    let case = case().await;
    let path = case.objects("points").await[0].clone();
    case.store.delete(&path).await.unwrap();
    assert!(case.repository.list_points().await.unwrap().is_empty());
    let report = case.verify(VerifyDepth::Structure).await;
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.lone_copies, std::slice::from_ref(&case.point.id));
    let options = CollectOptions::default();
    case.repository.collect(&options, &|_| ()).await.unwrap();
    assert_eq!(case.objects("points-copy").await, []);
}

#[tokio::test]
async fn at_every_moment_of_a_repair_some_segment_speaks_of_the_packs() {
    let case = case().await;
    for segment in case.objects("index").await {
        let mut bytes = case.read(&segment).await;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        case.write(&segment, bytes).await;
    }
    let damaged: Arc<InMemory> = Arc::new(fork(&case).await);
    let mut call = 1;
    loop {
        let store: Arc<dyn ObjectStore> = Arc::new(damaged.fork());
        let failing = FailingStore::new(Arc::clone(&store), Fault::Crash, call);
        let opened = Repository::open(failing.clone(), &key(), env()).await;
        let done = match opened {
            Ok(repository) => repository.repair(&|_| ()).await.map(drop),
            Err(error) => Err(error),
        };
        let index = Path::from("index");
        let segments = store.list_with_delimiter(Some(&index)).await.unwrap();
        assert_ne!(segments.objects, [], "{call}");
        if !failing.has_struck() {
            done.unwrap();
            break;
        }
        call += 1;
    }
}

#[tokio::test]
async fn a_segment_that_is_good_by_now_stays() {
    let case = case().await;
    let segment = case.objects("index").await[0].clone();
    let sound = case.read(&segment).await;
    case.write(&segment, b"nonsense".to_vec()).await;
    let put_back = |progress: VerifyProgress| {
        if progress.points_checked == progress.points_total {
            futures::executor::block_on(case.write(&segment, sound.clone()));
        }
    };
    let report = case.repository.repair(&put_back).await.unwrap();
    let of_segment = |repaired: &Repaired| repaired.object == segment.as_ref();
    assert!(!report.repaired.iter().any(of_segment), "{report:?}");
    assert_eq!(case.objects("quarantine").await, []);
    assert!(case.read(&segment).await == sound);
}

#[tokio::test]
async fn a_repair_brings_no_point_back_that_is_deleted_meanwhile() {
    let case = case().await;
    let point = case.objects("points").await[0].clone();
    case.write(&point, b"nonsense".to_vec()).await;
    // Of a deletion, the first half: the copy goes behind the point.
    let delete = |progress: VerifyProgress| {
        if progress.points_checked == progress.points_total {
            futures::executor::block_on(case.store.delete(&point)).unwrap();
        }
    };
    case.repository.repair(&delete).await.unwrap();
    assert_eq!(case.objects("points").await, []);
}

#[tokio::test]
async fn a_copy_of_another_point_of_that_name_is_found_and_made_good() {
    let case = case().await;
    let copy = case.objects("points-copy").await[0].clone();
    let stale = case.read(&copy).await;
    case.repository.delete_point(&case.point.id).await.unwrap();
    // A late request of the writer, or a deletion that was interrupted.
    case.write(&copy, stale.clone()).await;
    let other = super::support::image(32, 1_000_000);
    back_up(&case.repository, "p", &other).await.unwrap();
    let point = case.objects("points").await[0].clone();
    assert!(case.read(&copy).await == case.read(&point).await);

    case.write(&copy, stale).await;
    let report = case.verify(VerifyDepth::Structure).await;
    assert_eq!(report.damage[0].object, copy.as_ref());
    assert_eq!(report.damage[0].remedy, Some(Remedy::Copy));
    let report = case.repair().await;
    assert_eq!(report.left, []);
    assert!(case.read(&copy).await == case.read(&point).await);
    assert!(case.verify(VerifyDepth::Structure).await.is_clean());
}

/// A store of its own with the same objects.
async fn fork(case: &Case) -> InMemory {
    let store = InMemory::new();
    for path in case.objects("").await {
        let bytes = case.read(&path).await;
        store.put(&path, bytes.into()).await.unwrap();
    }
    store
}

#[tokio::test]
async fn what_cannot_be_read_is_put_aside_and_what_is_lost_is_named() {
    let case = case().await;
    let path = case.objects("packs").await[0].clone();
    let garbage = vec![7; 300_000];
    case.write(&path, garbage.clone()).await;
    let report = case.repair().await;
    assert_eq!(report.repaired[0].action, RepairAction::Quarantined);
    assert_eq!(report.left[0].object, path.as_ref());
    assert_eq!(report.left[0].hits[0].point, case.point.id);
    assert!(report.left[0].hits[0].bytes > 0);
    let aside = Path::from(format!("quarantine/{path}"));
    assert!(case.read(&aside).await == garbage);
    // The same disk, backed up again, brings it back.
    back_up(&case.repository, "again", &case.image)
        .await
        .unwrap();
    let repository = Repository::open(Arc::clone(&case.store), &key(), env())
        .await
        .unwrap();
    assert!(restore(&repository, &case.point.id).await.unwrap() == case.image);
}

#[tokio::test]
async fn a_scrub_needs_no_key_and_heals() {
    let case = case().await;
    let storage = || Arc::clone(&case.store);
    let clean = scrub(storage(), ScrubOptions::default()).await.unwrap();
    assert!(clean.is_clean() && clean.objects_checked > 8, "{clean:?}");
    let packs = case.objects("nodes").await;
    let sound = case.read(&packs[0]).await;
    let mut bytes = sound.clone();
    bytes[0..HOLE].fill(0);
    case.write(&packs[0], bytes).await;
    let plan = ScrubOptions {
        dry_run: true,
        ..ScrubOptions::default()
    };
    for options in [plan, ScrubOptions::default()] {
        let report = scrub(storage(), options).await.unwrap();
        assert_eq!(report.damage_count, 1);
        assert_eq!(report.damage[0].object, packs[0].as_ref());
        assert!(report.damage[0].heals);
    }
    assert!(case.read(&packs[0]).await == sound);
    let clean = scrub(storage(), ScrubOptions::default()).await.unwrap();
    assert!(clean.is_clean(), "{clean:?}");
}

async fn scrubbed(case: &Case, dry_run: bool) -> ScrubReport {
    let options = ScrubOptions {
        dry_run,
        ..ScrubOptions::default()
    };
    scrub(Arc::clone(&case.store), options).await.unwrap()
}

#[tokio::test]
async fn a_scrub_copies_back_what_lies_twice() {
    let case = case().await;
    case.repository.rotate_keys(&key()).await.unwrap();
    let mut paths = vec![Path::from("config"), Path::from("config-copy")];
    for folder in ["points", "points-copy", "keys"] {
        paths.extend(case.objects(folder).await);
    }
    assert_eq!(paths.len(), 6);
    for path in paths {
        let sound = case.read(&path).await;
        case.write(&path, b"nonsense".to_vec()).await;
        for dry_run in [true, false] {
            let report = scrubbed(&case, dry_run).await;
            assert_eq!(report.damage_count, 1, "{path}");
            assert_eq!(report.damage[0].object, path.as_ref());
            assert!(report.damage[0].heals, "{path}");
            assert_eq!(case.read(&path).await == sound, !dry_run, "{path}");
        }
        assert!(scrubbed(&case, false).await.is_clean(), "{path}");
    }
}

#[tokio::test]
async fn a_scrub_does_not_bring_back_a_deleted_point() {
    let case = case().await;
    let path = case.objects("points").await[0].clone();
    case.store.delete(&path).await.unwrap();
    assert!(scrubbed(&case, false).await.is_clean());
    assert_eq!(case.objects("points").await, []);
}

#[tokio::test]
async fn a_scrub_counts_what_was_put_aside() {
    let case = case().await;
    let pack = case.objects("packs").await[0].clone();
    case.write(&pack, vec![7; 300_000]).await;
    case.repair().await;
    let after = scrubbed(&case, false).await;
    assert!(after.is_clean(), "{after:?}");
    assert_eq!(after.objects_quarantined, 1);
}

#[tokio::test]
async fn a_keyring_damaged_while_the_repository_is_open_is_repaired() {
    let case = case().await;
    case.repository.rotate_keys(&key()).await.unwrap();
    for path in case.objects("keys").await {
        let sound = case.read(&path).await;
        for lost in [true, false] {
            if lost {
                case.store.delete(&path).await.unwrap();
            } else {
                case.write(&path, b"nonsense".to_vec()).await;
            }
            let plan = case.repository.plan_repair(&|_| ()).await.unwrap();
            let report = case.repair().await;
            assert_eq!(plan, report);
            assert_eq!(report.left, [], "{path}");
            assert_eq!(report.repaired[0].object, path.as_ref());
            assert_eq!(report.repaired[0].action, RepairAction::Copied);
            assert!(case.read(&path).await == sound, "{path}");
        }
    }
    assert!(case.verify(VerifyDepth::Structure).await.is_clean());
}
