//! What a place or a defect may do to us at worst.

use std::sync::Arc;

use object_store::ObjectStoreExt;
use strongroom_store::{Create, open_local};
use strongroom_testkit::{FailingStore, Fault};

use super::damage::Case;
use super::support::*;
use crate::*;

#[tokio::test]
async fn a_reader_whose_planner_panics_ends_with_an_error() {
    let (store, repository) = in_memory().await;
    let case = Case::new(store, repository).await;
    let mut call = 1;
    let mut failed = 0;
    loop {
        let failing = FailingStore::new(Arc::clone(&case.store), Fault::Panic, call);
        let (place, id) = (failing.clone(), case.point.id.clone());
        // Calls of this task itself panic too.
        let restored = tokio::spawn(async move {
            let repository = Repository::open(place, &key(), env()).await?;
            restore(&repository, &id).await
        });
        match restored.await {
            Ok(Ok(bytes)) => assert!(bytes == case.image, "{call}: wrong bytes were restored"),
            Ok(Err(Error::Broken(_))) => failed += 1,
            Ok(Err(_)) => {}
            Err(panicked) => assert!(panicked.is_panic()),
        }
        if !failing.has_struck() {
            break;
        }
        call += 1;
    }
    assert!(failed > 2, "{failed}");
}

#[tokio::test]
async fn a_file_that_looks_large_is_damaged_and_takes_no_memory() {
    for parity in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let storage = || open_local(folder.path(), Create::IfMissing).unwrap();
        let options = Options {
            parity,
            ..SMALL_PACKS
        };
        let repository = Repository::init(storage(), &key(), options, env()).await;
        let repository = repository.unwrap();
        let store = Arc::clone(&repository.storage().objects);
        let case = Case::new(store, repository).await;
        case.repository.add_root_key().await.unwrap();
        let mut names = Vec::new();
        for kind in ["points", "packs", "nodes", "keys"] {
            names.push(case.objects(kind).await[0].to_string());
        }
        names.push("config".to_owned());
        for name in &names {
            let file = std::fs::OpenOptions::new()
                .write(true)
                .open(folder.path().join(name))
                .unwrap();
            file.set_len(1 << 40).unwrap();
        }
        assert_eq!(case.repository.list_points().await.unwrap().len(), 1);
        let report = case.verify(VerifyDepth::ReadData).await;
        let found = |name: &String| report.damage.iter().any(|d| d.object == *name);
        for name in &names {
            assert!(found(name), "{name} {report:?}");
        }
        let scrubbed = scrub(storage(), ScrubOptions::default()).await.unwrap();
        assert!(scrubbed.damage_count >= 5, "{scrubbed:?}");
        let repaired = case.repository.repair(&|_| ()).await.unwrap();
        // Put aside without being brought into memory.
        assert!(repaired.left.iter().any(|d| d.object == names[1]));
        let aside = |r: &Repaired| r.object == names[1] && r.action == RepairAction::Quarantined;
        assert!(repaired.repaired.iter().any(aside), "{repaired:?}");
        Repository::open(storage(), &key(), env()).await.unwrap();
    }
}

#[tokio::test]
async fn a_pack_that_appears_while_packs_are_checked_is_not_missing() {
    let (store, repository) = in_memory().await;
    let case = Case::new(store, repository).await;
    let pack = case.objects("packs").await[0].clone();
    let sound = case.read(&pack).await;
    for damaged in [false, true] {
        let mut bytes = sound.clone();
        if damaged {
            bytes[3000] ^= 1;
        }
        case.store.delete(&pack).await.unwrap();
        let appear = |progress: VerifyProgress| {
            if progress.packs_total > 0 && progress.packs_checked == 0 {
                futures::executor::block_on(case.write(&pack, bytes.clone()));
            }
        };
        let report = case.repository.verify(VerifyDepth::ReadData, &appear).await;
        let report = report.unwrap();
        assert_eq!(report.is_clean(), !damaged, "{report:?}");
        if damaged {
            assert_eq!(report.damage[0].object, pack.as_ref());
            assert_ne!(report.damage[0].problem, "missing");
            assert!(report.damage[0].hits[0].bytes > 0);
        }
    }
}
