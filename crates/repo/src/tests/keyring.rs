//! Who can write to the storage and has no key can put an old keyring back, and make none; what that hides is not
//! taken for damaged.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_testkit::{FailingStore, Fault, SeededIds};

use super::keys::{names, open, other_key};
use super::support::*;
use crate::keyring::{self, Keyring, Lock};
use crate::*;

const CONFIGS: [&str; 2] = ["config", "config-copy"];

fn ring(serial: u64) -> [String; 2] {
    ["", "-copy"].map(|copy| format!("keys/{serial:016x}{copy}"))
}

async fn get(store: &Arc<dyn ObjectStore>, name: &str) -> Vec<u8> {
    let object = store.get(&Path::from(name)).await.unwrap();
    object.bytes().await.unwrap().to_vec()
}

async fn put(store: &Arc<dyn ObjectStore>, name: &str, bytes: impl Into<Vec<u8>>) {
    let bytes: Vec<u8> = bytes.into();
    store.put(&Path::from(name), bytes.into()).await.unwrap();
}

/// Configs and keyrings as they are now.
async fn keep(store: &Arc<dyn ObjectStore>) -> BTreeMap<String, Vec<u8>> {
    let mut kept = BTreeMap::new();
    for name in names(store).await {
        if name.starts_with("keys/") || CONFIGS.contains(&name.as_str()) {
            let bytes = get(store, &name).await;
            kept.insert(name, bytes);
        }
    }
    kept
}

async fn roll_back(store: &Arc<dyn ObjectStore>, kept: &BTreeMap<String, Vec<u8>>) {
    for name in keep(store).await.keys() {
        store.delete(&Path::from(name.as_str())).await.unwrap();
    }
    for (name, bytes) in kept {
        put(store, name, bytes.clone()).await;
    }
}

/// The names of all objects but those that every process leaves.
async fn data(store: &Arc<dyn ObjectStore>) -> Vec<String> {
    let mut names = names(store).await;
    names.retain(|name| !name.starts_with("sessions/") && !name.starts_with("ended/"));
    names
}

async fn json(store: &Arc<dyn ObjectStore>, name: &str) -> serde_json::Value {
    let bytes = get(store, name).await;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap();
    serde_json::from_slice(line).unwrap()
}

fn text_object(content: &impl serde::Serialize) -> Vec<u8> {
    crate::text_object::encode(content)
}

async fn verify(repository: &Repository) -> VerifyReport {
    let report = repository.verify(VerifyDepth::ReadData, &|_| ());
    report.await.unwrap()
}

#[tokio::test]
async fn a_root_key_is_added_without_asking_for_the_secret_again() {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let secret = Secret::Passphrase("correct horse".to_owned());
    Repository::init(Arc::clone(&store), &secret, SMALL_PACKS, env())
        .await
        .unwrap();
    let repository = open(&store, &secret).await.unwrap();
    repository.add_root_key().await.unwrap();
    repository.add_root_key().await.unwrap();
    let opened = open(&store, &secret).await.unwrap();
    assert_eq!(opened.key_generation(), 2);
    repository.change_secret(&other_key()).await.unwrap();
    let refused = open(&store, &secret).await.unwrap_err();
    assert!(matches!(refused, Error::WrongKind { .. }), "{refused:?}");
}

/// A keyring that somebody without the key made of the one of this serial.
async fn forge(change: impl Fn(&mut serde_json::Map<String, serde_json::Value>)) -> Error {
    let (store, repository) = in_memory().await;
    repository.add_root_key().await.unwrap();
    repository.add_root_key().await.unwrap();
    let mut object = json(&store, &ring(2)[0]).await;
    change(object.as_object_mut().unwrap());
    // In the order of the format.
    let order = [
        "format",
        "version",
        "repository",
        "serial",
        "lock",
        "wrap_salt",
        "wrapped",
        "mac",
    ];
    let members = order.iter().filter_map(|name| {
        let value = object.get(name)?;
        Some(format!("\"{name}\":{value}"))
    });
    let line = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let sum = hex::encode(strongroom_chunk::checksum(line.as_bytes()));
    let serial = object["serial"].as_u64().unwrap();
    for name in ring(2) {
        store.delete(&Path::from(name)).await.unwrap();
    }
    for name in ring(serial) {
        put(&store, &name, format!("{line}\n{sum}\n")).await;
    }
    let running = repository.refresh_keys().await.unwrap_err();
    assert!(matches!(running, Error::Corrupt { .. }), "{running:?}");
    open(&store, &key()).await.unwrap_err()
}

#[tokio::test]
async fn a_keyring_that_was_changed_without_the_key_is_refused() {
    let unchanged_but_older = forge(|ring| {
        ring["wrapped"].as_array_mut().unwrap().pop();
        ring["serial"] = 9.into();
    });
    let without_mac = forge(|ring| {
        ring["wrapped"].as_array_mut().unwrap().pop();
        ring.remove("mac");
    });
    let of_version_1 = forge(|ring| {
        ring.remove("mac");
        ring["version"] = 1.into();
    });
    let later = forge(|ring| ring["serial"] = 3.into());
    let exchanged = forge(|ring| {
        let wrapped = ring["wrapped"].as_array_mut().unwrap();
        wrapped.swap(1, 2);
    });
    for error in [
        unchanged_but_older.await,
        without_mac.await,
        of_version_1.await,
        later.await,
        exchanged.await,
    ] {
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn no_config_can_be_made_of_a_part_of_a_keyring() {
    let (store, repository) = in_memory().await;
    let mut config = json(&store, "config").await;
    repository.add_root_key().await.unwrap();
    let keyring = json(&store, &ring(1)[0]).await;
    config["key"]["salt"] = keyring["wrap_salt"].clone();
    config["key"]["wrapped"] = keyring["wrapped"][0].clone();
    let forged = CONFIGS.map(|name| (name.to_owned(), text_object(&config)));
    roll_back(&store, &forged.into()).await;
    let refused = open(&store, &key()).await;
    assert!(matches!(refused, Err(Error::WrongKey)), "{refused:?}");
}

#[tokio::test]
async fn a_process_accepts_no_keyring_with_fewer_keys_than_it_knows() {
    let (store, repository) = in_memory().await;
    repository.add_root_key().await.unwrap();
    let kept = keep(&store).await;
    repository.add_root_key().await.unwrap();
    roll_back(&store, &kept).await;
    let other = open(&store, &key()).await.unwrap();
    for _ in 0..2 {
        other.change_secret(&key()).await.unwrap();
    }
    assert!(names(&store).await.contains(&ring(3)[0]));
    let refused = [
        repository.refresh_keys().await.unwrap_err(),
        repository.begin_point(new_point("p", 5)).await.unwrap_err(),
        repository.repair(&|_| ()).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
    }
    let report = verify(&repository).await;
    assert_eq!(report.damage[0].object, "keys");
}

#[tokio::test]
async fn what_is_sealed_under_keys_that_were_rolled_back_is_left_as_it_is() {
    let (store, repository) = in_memory().await;
    let first = image(91, 1_500_000);
    let before = back_up(&repository, "before", &first).await.unwrap().point;
    let old = keep(&store).await;
    repository.add_root_key().await.unwrap();
    let new = keep(&store).await;
    let second = image(92, 1_500_000);
    let after = back_up(&repository, "after", &second).await.unwrap().point;
    let there = data(&store).await;

    roll_back(&store, &old).await;
    let behind = open(&store, &key()).await.unwrap();
    assert_eq!(behind.key_generation(), 0);
    assert!(restore(&behind, &before.id).await.unwrap() == first);
    assert_eq!(behind.list_points().await.unwrap().len(), 1);
    let report = verify(&behind).await;
    assert!(!report.is_clean());
    let refused = [
        restore(&behind, &after.id).await.unwrap_err(),
        super::collecting::collect(&behind).await.unwrap_err(),
        back_up(&behind, "later", &first).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, Error::NewerKeys { .. }), "{error:?}");
    }
    let _ = behind.repair(&|_| ()).await;

    roll_back(&store, &new).await;
    assert_eq!(data(&store).await, there, "nothing is marked or put aside");
    let repository = open(&store, &key()).await.unwrap();
    let report = verify(&repository).await;
    assert!(report.is_clean(), "{report:?}");
    assert!(restore(&repository, &after.id).await.unwrap() == second);
}

#[tokio::test]
async fn a_running_process_calls_no_rolled_back_keyring_clean_and_repairs_nothing() {
    let (store, repository) = in_memory().await;
    back_up(&repository, "p", &image(93, 300_000))
        .await
        .unwrap();
    repository.add_root_key().await.unwrap();
    let kept = keep(&store).await;
    repository.add_root_key().await.unwrap();
    roll_back(&store, &kept).await;
    let pack = data(&store).await;
    let pack = pack.iter().find(|name| name.starts_with("packs/")).unwrap();
    put(&store, pack, "nonsense").await;
    let report = verify(&repository).await;
    assert_eq!(report.damage[0].object, "keys");
    let refused = repository.repair(&|_| ()).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    assert_eq!(get(&store, pack).await, b"nonsense");
}

#[tokio::test]
async fn a_config_with_a_key_beside_a_damaged_keyring_is_no_reason_to_repair() {
    let (store, repository) = in_memory().await;
    back_up(&repository, "old", &image(94, 300_000))
        .await
        .unwrap();
    let old = keep(&store).await;
    repository.rotate_keys(&other_key()).await.unwrap();
    back_up(&repository, "new", &image(95, 300_000))
        .await
        .unwrap();
    for name in ring(1) {
        put(&store, &name, "nonsense").await;
    }
    for (name, bytes) in old {
        put(&store, &name, bytes).await;
    }
    // The right secret is not called wrong.
    let refused = open(&store, &other_key()).await;
    assert!(
        matches!(&refused, Err(Error::Corrupt { object, .. }) if object.starts_with("keys/")),
        "{refused:?}"
    );
    let before = data(&store).await;
    for repository in [open(&store, &key()).await.unwrap(), repository] {
        let report = verify(&repository).await;
        assert_eq!(report.damage[0].object, "keys");
        let refused = repository.repair(&|_| ()).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    }
    assert_eq!(data(&store).await, before, "nothing is marked or put aside");
}

#[tokio::test]
async fn an_older_keyring_beside_a_damaged_newer_one_is_told_and_stops_repairs() {
    let (store, repository) = in_memory().await;
    repository.add_root_key().await.unwrap();
    let kept = keep(&store).await;
    repository.add_root_key().await.unwrap();
    roll_back(&store, &kept).await;
    for name in ring(2) {
        put(&store, &name, "nonsense").await;
    }
    let opened = open(&store, &key()).await.unwrap();
    assert_eq!(opened.key_generation(), 1);
    assert_eq!(verify(&opened).await.damage[0].object, "keys");
    let refused = opened.repair(&|_| ()).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    // Who knows that it is lost for good makes a new one.
    opened.add_root_key().await.unwrap();
    assert!(verify(&opened).await.is_clean());
}

#[tokio::test]
async fn a_damaged_config_gives_its_key_up_too() {
    for damaged in CONFIGS {
        let (store, repository) = in_memory().await;
        let mut bytes = get(&store, damaged).await;
        bytes.push(b'x');
        put(&store, damaged, bytes).await;
        repository.rotate_keys(&other_key()).await.unwrap();
        for name in CONFIGS {
            let text = String::from_utf8(get(&store, name).await).unwrap();
            assert!(!text.contains("wrapped"), "{name} {text}");
        }
        let opened = open(&store, &other_key()).await.unwrap();
        assert!(verify(&opened).await.is_clean());
    }
}

#[tokio::test]
async fn who_was_overtaken_leaves_no_keyring_that_a_later_change_deleted() {
    let (store, repository) = in_memory().await;
    repository.rotate_keys(&key()).await.unwrap();
    store
        .delete(&Path::from(ring(1)[1].as_str()))
        .await
        .unwrap();
    let place = crate::store::Store::new(Arc::clone(&store).into());
    let newest = keyring::newest(&place, repository.id()).await.unwrap();
    let found = newest.found.unwrap();
    repository.rotate_keys(&other_key()).await.unwrap();
    let before = names(&store).await;
    keyring::finish(&place, &found).await.unwrap();
    assert_eq!(names(&store).await, before);
}

#[tokio::test]
async fn two_keyrings_of_one_serial_that_differ_are_told() {
    let (store, repository) = in_memory().await;
    repository.add_root_key().await.unwrap();
    let mut other = json(&store, &ring(1)[0]).await;
    other["wrap_salt"] = "00".repeat(32).into();
    put(&store, &ring(1)[1], text_object(&other)).await;
    let report = verify(&repository).await;
    assert_eq!(report.damage[0].object, ring(1)[1]);
}

#[tokio::test]
async fn a_scrub_looks_at_the_keyring() {
    let (store, repository) = in_memory().await;
    repository.add_root_key().await.unwrap();
    let scrubbed = async || {
        scrub(Arc::clone(&store), ScrubOptions::default())
            .await
            .unwrap()
    };
    assert!(scrubbed().await.is_clean());
    let [first, copy] = ring(1);
    put(&store, &copy, "nonsense").await;
    assert_eq!(scrubbed().await.damage[0].object, copy);
    // The copy was put back.
    assert!(scrubbed().await.is_clean());
    for name in [&first, &copy] {
        put(&store, name, "nonsense").await;
    }
    assert_eq!(scrubbed().await.damage[0].object, "keys");
    for name in [first, copy] {
        store.delete(&Path::from(name)).await.unwrap();
    }
    assert_eq!(scrubbed().await.damage[0].problem, "missing");
}

#[tokio::test]
async fn a_repository_is_made_although_an_answer_was_lost_and_the_request_repeated() {
    let mut call = 1;
    loop {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let failing = FailingStore::new(Arc::clone(&store), Fault::Twice, call);
        let made = Repository::init(failing.clone(), &key(), SMALL_PACKS, env()).await;
        if !failing.has_struck() {
            break;
        }
        match made {
            Ok(_) => drop(open(&store, &key()).await.unwrap()),
            // The proof that the place creates exclusively takes no repetition.
            Err(error) => assert!(matches!(error, Error::NotExclusive(_)), "{call} {error:?}"),
        }
        call += 1;
    }
    assert!(call > 5, "{call}");
}

#[test]
fn the_keyring_of_the_format_pages_is_what_is_written() {
    let secret =
        Secret::KeyFile(format!("strongroom key file 1\n{}\n", "44".repeat(32)).into_bytes());
    let ids = SeededIds::new(5);
    let lock = Lock::new(&secret, &ids);
    let wrapping = lock.open(&secret).unwrap();
    let mut root = strongroom_chunk::Key([0; 32]);
    root.0.iter_mut().zip(0..).for_each(|(byte, n)| *byte = n);
    let mut next = root.clone();
    next.0.reverse();
    let repository = "11111111-1111-1111-1111-111111111111";
    let ring = Keyring::wrap(repository, 1, (lock, &wrapping), &[root, next], &ids).unwrap();
    let text = String::from_utf8(ring.encode()).unwrap();
    let expected = include_str!("../../../../docs/formats/vectors/keyring.txt");
    assert_eq!(text, expected);
}
