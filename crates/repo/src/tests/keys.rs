//! Changing the keys while everything else goes on, and with faults at every call.

use std::sync::Arc;

use futures::future::join_all;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_testkit::{FailingStore, Fault, SeededIds};

use super::support::*;
use crate::keyring::{self, Keyring};
use crate::*;

pub(super) fn other_key() -> Secret {
    Secret::KeyFile(generate_key_file(&SeededIds::new(77)).into_bytes())
}

pub(super) async fn open(store: &Arc<dyn ObjectStore>, secret: &Secret) -> Result<Repository> {
    Repository::open(Arc::clone(store), secret, env()).await
}

pub(super) async fn names(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    use futures::TryStreamExt;
    let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut names: Vec<_> = listed.iter().map(|o| o.location.to_string()).collect();
    names.sort();
    names
}

/// The generations in the headers of all sealed objects.
async fn generations(store: &Arc<dyn ObjectStore>) -> Vec<u16> {
    let mut found = Vec::new();
    for name in names(store).await {
        let bytes = store.get(&Path::from(name)).await.unwrap();
        let bytes = bytes.bytes().await.unwrap();
        if let Ok(header) = strongroom_chunk::Header::decode(&bytes) {
            found.push(header.generation);
        }
    }
    found
}

#[tokio::test]
async fn after_a_rotation_old_data_is_read_and_new_data_is_sealed_anew() {
    let (store, repository) = in_memory().await;
    let first = image(71, 2_000_000);
    let before = back_up(&repository, "before", &first).await.unwrap();
    repository.rotate_keys(&other_key()).await.unwrap();
    assert_eq!(repository.key_generation(), 1);

    let refused = open(&store, &key()).await;
    assert!(matches!(refused, Err(Error::WrongKey)), "{refused:?}");
    let opened = open(&store, &other_key()).await.unwrap();
    assert_eq!(opened.key_generation(), 1);
    let same = back_up(&opened, "same", &first).await.unwrap();
    assert_eq!(same.bytes_new, 0, "names outlive a rotation");
    assert_eq!(same.point.root, before.point.root);
    let second = image(72, 1_000_000);
    let after = back_up(&repository, "after", &second).await.unwrap();
    let generations = generations(&store).await;
    assert!(generations.contains(&0) && generations.contains(&1));
    for repository in [&repository, &opened] {
        for (point, image) in [(&before, &first), (&same, &first), (&after, &second)] {
            assert!(restore(repository, &point.point.id).await.unwrap() == *image);
        }
        let report = repository
            .verify(VerifyDepth::ReadData, &|_| ())
            .await
            .unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[tokio::test]
async fn a_collection_seals_what_it_rewrites_under_the_newest_keys() {
    let (store, repository) = in_memory().await;
    let whole = image(76, 3_000_000);
    let mut part = whole.clone();
    part[600_000..].fill(0);
    let before = back_up(&repository, "whole", &whole).await.unwrap();
    // A process that does not know of the rotation yet.
    let collector = open(&store, &key()).await.unwrap();
    repository.rotate_keys(&key()).await.unwrap();
    let kept = back_up(&repository, "part", &part).await.unwrap();
    assert!(generations(&store).await.contains(&0));
    repository.delete_point(&before.point.id).await.unwrap();
    let report = super::collecting::collect(&collector).await.unwrap();
    assert!(report.bytes_copied > 0, "{report:?}");
    let packs = names(&store).await;
    for name in packs.iter().filter(|name| name.starts_with("packs/")) {
        let bytes = store.get(&Path::from(name.as_str())).await.unwrap();
        let header = strongroom_chunk::Header::decode(&bytes.bytes().await.unwrap()).unwrap();
        assert_eq!(header.generation, 1, "{name}");
    }
    for repository in [&repository, &collector] {
        assert!(restore(repository, &kept.point.id).await.unwrap() == part);
    }
}

#[tokio::test]
async fn nothing_of_the_old_lock_stays_in_the_store() {
    let (store, repository) = in_memory().await;
    repository.rotate_keys(&key()).await.unwrap();
    repository.change_secret(&other_key()).await.unwrap();
    assert_eq!(repository.key_generation(), 1);
    let ring = "keys/0000000000000002";
    let copy = format!("{ring}-copy");
    assert_eq!(
        names(&store).await,
        ["config", "config-copy", ring, copy.as_str()]
    );
    for config in ["config", "config-copy"].map(Path::from) {
        let bytes = store.get(&config).await.unwrap().bytes().await.unwrap();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        assert!(!text.contains("wrapped"), "{text}");
    }
}

#[tokio::test]
async fn a_process_with_the_same_secret_learns_newer_keys_as_it_meets_them() {
    for secret in [key(), Secret::Passphrase("correct horse".to_owned())] {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let old = Repository::init(Arc::clone(&store), &secret, SMALL_PACKS, env())
            .await
            .unwrap();
        let image = image(73, 1_500_000);
        let other = open(&store, &secret).await.unwrap();
        other.rotate_keys(&secret).await.unwrap();
        let commit = back_up(&other, "p", &image).await.unwrap();
        assert_eq!(old.key_generation(), 0);
        assert_eq!(old.list_points().await.unwrap().len(), 1);
        assert!(restore(&old, &commit.point.id).await.unwrap() == image);
        assert_eq!(old.key_generation(), 1);
    }
}

#[tokio::test]
async fn a_repair_takes_nothing_that_newer_keys_sealed_for_damaged() {
    let (store, repository) = in_memory().await;
    back_up(&repository, "before", &image(81, 300_000))
        .await
        .unwrap();
    let other = open(&store, &key()).await.unwrap();
    other.rotate_keys(&key()).await.unwrap();
    let image = image(82, 900_000);
    let point = back_up(&other, "after", &image).await.unwrap().point;
    let planned = repository.plan_repair(&|_| ()).await.unwrap();
    assert_eq!((planned.damage_count, planned.left.len()), (0, 0));
    let repaired = repository.repair(&|_| ()).await.unwrap();
    assert_eq!((repaired.damage_count, repaired.left.len()), (0, 0));
    assert_eq!(repository.key_generation(), 1);
    assert!(restore(&repository, &point.id).await.unwrap() == image);
}

#[tokio::test]
async fn a_process_with_the_old_secret_is_told_so() {
    let (store, old) = in_memory().await;
    let mut writer = old.begin_point(new_point("begun", 5)).await.unwrap();
    let other = open(&store, &key()).await.unwrap();
    other.rotate_keys(&other_key()).await.unwrap();
    let after = back_up(&other, "after", &image(74, 300_000)).await.unwrap();
    // What was begun is brought to its end.
    writer
        .write(bytes::Bytes::from_static(b"begun"))
        .await
        .unwrap();
    let begun = writer.commit().await.unwrap();
    assert!(restore(&other, &begun.point.id).await.unwrap() == b"begun");
    let refused = [
        old.list_points().await.unwrap_err(),
        old.read_point(&after.point.id).await.unwrap_err(),
        old.begin_point(new_point("q", 5)).await.unwrap_err(),
        old.rotate_keys(&key()).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::KeysChanged), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_rotations_at_once_each_is_done_or_refused_and_writers_go_on() {
    let (store, repository) = in_memory().await;
    let rotations = (0..6).map(|_| {
        let store = Arc::clone(&store);
        async move {
            let repository = open(&store, &key()).await.unwrap();
            match repository.rotate_keys(&key()).await {
                Ok(()) => 1,
                Err(Error::KeysChanged) => 0,
                Err(error) => panic!("{error:?}"),
            }
        }
    });
    let writers = (0..4).map(|number| {
        let repository = repository.clone();
        async move {
            let image = image(80 + number, 700_000);
            let commit = back_up(&repository, &format!("p{number}"), &image).await;
            (commit.unwrap().point, image)
        }
    });
    let (done, written) = futures::join!(join_all(rotations), join_all(writers));
    let done: u16 = done.into_iter().sum();
    let opened = open(&store, &key()).await.unwrap();
    assert!((1..=opened.key_generation()).contains(&done), "{done}");
    for (point, image) in written {
        assert!(restore(&opened, &point.id).await.unwrap() == image);
    }
    let report = opened.verify(VerifyDepth::ReadData, &|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// True when the fault came to pass.
async fn strike(fault: Fault, call: u64, changed_before: bool) -> bool {
    let (store, repository) = in_memory().await;
    let image = image(75, 400_000);
    let point = back_up(&repository, "p", &image).await.unwrap().point;
    if changed_before {
        repository.rotate_keys(&key()).await.unwrap();
    }
    let failing = FailingStore::new(Arc::clone(&store), fault, call);
    let changed = async {
        let repository = Repository::open(failing.clone(), &key(), env()).await?;
        repository.rotate_keys(&other_key()).await
    };
    let changed = changed.await;

    // One of the two opens it, the new one if that was said.
    let old = open(&store, &key()).await;
    let new = open(&store, &other_key()).await;
    assert!(old.is_ok() != new.is_ok(), "{fault:?} {call}");
    assert!(new.is_ok() || changed.is_err(), "{fault:?} {call}");
    let secret_is_new = new.is_ok();
    let (repository, secret) = match (old, new) {
        (_, Ok(repository)) => (repository, other_key()),
        (old, _) => (old.unwrap(), key()),
    };
    assert!(restore(&repository, &point.id).await.unwrap() == image);
    // Opening it has tidied up.
    let rings = names(&store).await;
    let rings = rings
        .iter()
        .filter(|name| name.starts_with("keys/"))
        .count();
    let expected = if changed_before || secret_is_new {
        2
    } else {
        0
    };
    assert_eq!(rings, expected, "{fault:?} {call}");
    let report = repository
        .verify(VerifyDepth::ReadData, &|_| ())
        .await
        .unwrap();
    assert!(report.is_clean(), "{fault:?} {call}: {report:?}");
    repository.rotate_keys(&secret).await.unwrap();
    back_up(&repository, "q", &image).await.unwrap();
    failing.has_struck()
}

#[tokio::test]
async fn a_change_of_the_keys_that_fails_at_any_call_loses_nothing() {
    for changed_before in [false, true] {
        for fault in [Fault::Fail, Fault::FailAfterEffect, Fault::Crash] {
            let mut call = 1;
            while strike(fault, call, changed_before).await {
                call += 1;
            }
            assert!(call > 10, "{fault:?} {call}");
        }
    }
}

#[tokio::test]
async fn a_change_that_comes_late_does_not_take_a_serial_that_was_used_up() {
    let (store, repository) = in_memory().await;
    for _ in 0..3 {
        repository.rotate_keys(&key()).await.unwrap();
    }
    let before = names(&store).await;
    let late = store.get(&Path::from("keys/0000000000000003")).await;
    let late = late.unwrap().bytes().await.unwrap();
    let text = String::from_utf8(late.to_vec()).unwrap();
    let json = text.lines().next().unwrap();
    let json = json.replace("\"serial\":3", "\"serial\":2");
    let sum = hex::encode(strongroom_chunk::checksum(json.as_bytes()));
    let ring = Keyring::decode(format!("{json}\n{sum}\n").as_bytes(), "late").unwrap();
    let place = crate::store::Store::new(Arc::clone(&store).into());
    let refused = keyring::create(&place, &ring).await;
    assert!(matches!(refused, Err(Error::KeysChanged)), "{refused:?}");
    assert_eq!(names(&store).await, before);
    open(&store, &key()).await.unwrap();
}

#[tokio::test]
async fn a_damaged_or_lost_keyring_is_made_good_from_its_copy() {
    for lost in ["keys/0000000000000001", "keys/0000000000000001-copy"].map(Path::from) {
        for damaged in [false, true] {
            let (store, repository) = in_memory().await;
            repository.rotate_keys(&key()).await.unwrap();
            if damaged {
                store.put(&lost, "nonsense".into()).await.unwrap();
            } else {
                store.delete(&lost).await.unwrap();
            }
            let report = repository.verify(VerifyDepth::Structure, &|_| ()).await;
            assert_eq!(report.unwrap().damage[0].object, lost.as_ref());
            let opened = open(&store, &key()).await.unwrap();
            let report = opened.verify(VerifyDepth::Structure, &|_| ()).await;
            assert!(report.unwrap().is_clean());
        }
    }
    let (store, repository) = in_memory().await;
    repository.rotate_keys(&key()).await.unwrap();
    for name in ["keys/0000000000000001", "keys/0000000000000001-copy"] {
        store.delete(&Path::from(name)).await.unwrap();
    }
    let report = repository.verify(VerifyDepth::Structure, &|_| ()).await;
    assert_eq!(report.unwrap().damage[0].object, "keys");
    let refused = open(&store, &key()).await;
    assert!(matches!(refused, Err(Error::Missing { .. })), "{refused:?}");
}

/// One of each text that the fuzzer begins with.
#[test]
fn every_text_of_a_repository_is_taken_whole_and_cut() {
    let id = "22".repeat(16);
    let (root, host) = (
        "33".repeat(32),
        serde_json::json!({
            "boot": "b", "pid_namespace": "pid:[1]", "pid": 1, "started": 1,
        }),
    );
    let texts = [
        serde_json::json!({"kind": "writer", "generation": 3, "point": "p", "host": &host}),
        serde_json::json!({"end": "fenced"}),
        serde_json::json!({"end": "committing", "point": "p", "root": &root, "root_place": [&id, 7], "host": &host}),
        serde_json::json!({"data_packs": [&id], "node_packs": ["nonsense"]}),
        serde_json::json!({
            "name": "p", "lineage": "l", "size_bytes": 1, "created_at_us": 1, "profile": "default", "root": &root,
            "root_place": [&id, 7], "attributes": {}, "bytes_scanned": 1, "bytes_new": 1, "bytes_stored": 1,
        }),
    ];
    let key_file = generate_key_file(&strongroom_testkit::SeededIds::new(9));
    for text in texts.map(|text| text.to_string()).iter().chain([&key_file]) {
        for end in 0..=text.len() {
            crate::fuzzing::decode_all(&text.as_bytes()[..end]);
        }
    }
}

proptest::proptest! {
    #[test]
    fn configs_keyrings_and_points_take_any_text(text in "[ -~\n]{0,200}") {
        crate::fuzzing::decode_all(text.as_bytes());
    }

    #[test]
    fn a_keyring_takes_any_number_and_length_of_keys(
        serial in proptest::prelude::any::<u64>(),
        salt in "[0-9a-f]{60,66}",
        wrapped in proptest::collection::vec("[0-9a-f]{0,100}", 0..5),
    ) {
        let ring = serde_json::json!({
            "format": "strongroom keyring", "version": 1, "serial": serial,
            "repository": "11111111-1111-1111-1111-111111111111",
            "lock": {
                "kind": "passphrase", "salt": &salt,
                "argon2": {"memory_kib": 1, "passes": 1, "lanes": 1},
            },
            "wrap_salt": &salt, "wrapped": wrapped,
        });
        crate::fuzzing::decode_all(ring.to_string().as_bytes());
    }
}
