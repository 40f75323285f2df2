use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use strongroom_types::SystemIds;

use super::support::*;
use crate::*;

fn empty() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

#[tokio::test]
async fn a_place_is_a_repository_once() {
    let store = empty();
    let absent = Repository::open(Arc::clone(&store), &key(), env()).await;
    assert!(matches!(absent, Err(Error::NotARepository)));
    let made = Repository::init(Arc::clone(&store), &key(), Options::default(), env())
        .await
        .unwrap();
    let again = Repository::init(Arc::clone(&store), &key(), Options::default(), env()).await;
    assert!(matches!(again, Err(Error::Exists)));
    let opened = Repository::open(store, &key(), env()).await.unwrap();
    assert_eq!(opened.id(), made.id());
}

#[tokio::test]
async fn only_its_own_secret_opens_it() {
    let store = empty();
    let secret = Secret::Passphrase("correct horse".to_owned());
    let options = Options {
        profile: Profile::Dense,
        ..Options::default()
    };
    let repository = Repository::init(Arc::clone(&store), &secret, options, env())
        .await
        .unwrap();
    let image = image(1, 300_000);
    let commit = back_up(&repository, "p", &image).await.unwrap();
    let opened = Repository::open(Arc::clone(&store), &secret, env())
        .await
        .unwrap();
    assert!(restore(&opened, &commit.point.id).await.unwrap() == image);
    let other = Secret::Passphrase("battery staple".to_owned());
    let refused = Repository::open(Arc::clone(&store), &other, env()).await;
    assert!(matches!(refused, Err(Error::WrongKey)), "{refused:?}");
    for other in [
        key(),
        Secret::KeyFile(generate_key_file(&SystemIds).into_bytes()),
    ] {
        let refused = Repository::open(Arc::clone(&store), &other, env()).await;
        let said = refused.unwrap_err().to_string();
        assert_eq!(said, "wrong key: this repository is opened by a passphrase");
    }
}

#[tokio::test]
async fn another_key_file_is_refused() {
    let (store, _) = in_memory().await;
    let other = Secret::KeyFile(generate_key_file(&SystemIds).into_bytes());
    let refused = Repository::open(Arc::clone(&store), &other, env()).await;
    assert!(matches!(refused, Err(Error::WrongKey)));
    for text in [
        "",
        "secret",
        "strongroom key file 1\nabc\n",
        "strongroom key file 1\n",
    ] {
        let secret = Secret::KeyFile(text.as_bytes().to_vec());
        let refused = Repository::open(Arc::clone(&store), &secret, env()).await;
        assert!(
            matches!(refused, Err(Error::InvalidKeyFile { .. })),
            "{text}"
        );
    }
    assert_eq!(format!("{other:?}"), "Secret::KeyFile(..)");
    let words = Secret::Passphrase("correct horse".to_owned());
    let refused = Repository::open(store, &words, env()).await;
    let said = refused.unwrap_err().to_string();
    assert_eq!(said, "wrong key: this repository is opened by a key file");
}

#[tokio::test]
async fn newer_and_damaged_configs_are_told_apart() {
    let (store, repository) = in_memory().await;
    let [path, copy] = ["config", "config-copy"].map(Path::from);
    let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let json = text.lines().next().unwrap();

    let newer = json.replace("\"version\":1", "\"version\":3");
    let sum = hex::encode(strongroom_chunk::checksum(newer.as_bytes()));
    let newer = format!("{newer}\n{sum}\n");
    store.put(&path, newer.into()).await.unwrap();
    let refused = Repository::open(Arc::clone(&store), &key(), env()).await;
    assert!(matches!(
        refused,
        Err(Error::NewerVersion { version: 3, .. })
    ));

    // One damaged config is no harm, but told; two are.
    let damaged = text.replace("default", "archive");
    store.put(&path, damaged.clone().into()).await.unwrap();
    Repository::open(Arc::clone(&store), &key(), env())
        .await
        .unwrap();
    let report = repository
        .verify(VerifyDepth::Structure, &|_| ())
        .await
        .unwrap();
    assert_eq!(report.damage_count, 1);
    assert_eq!(report.damage[0].object, "config");
    store.put(&copy, damaged.into()).await.unwrap();
    let refused = Repository::open(Arc::clone(&store), &key(), env()).await;
    assert!(matches!(refused, Err(Error::Corrupt { .. })));
}

#[tokio::test]
async fn a_lost_config_is_put_back_from_its_copy() {
    for lost in ["config", "config-copy"].map(Path::from) {
        let (store, _) = in_memory().await;
        store.delete(&lost).await.unwrap();
        let init = Repository::init(Arc::clone(&store), &key(), SMALL_PACKS, env()).await;
        assert!(matches!(init, Err(Error::Exists)));
        Repository::open(Arc::clone(&store), &key(), env())
            .await
            .unwrap();
        store.get(&lost).await.unwrap();
    }
}

#[tokio::test]
async fn a_config_of_another_repository_is_refused() {
    for foreign in ["config", "config-copy"].map(Path::from) {
        let (store, repository) = in_memory().await;
        let other = empty();
        Repository::init(Arc::clone(&other), &key(), SMALL_PACKS, env())
            .await
            .unwrap();
        let bytes = other.get(&foreign).await.unwrap().bytes().await.unwrap();
        store.put(&foreign, bytes.into()).await.unwrap();
        let refused = Repository::open(Arc::clone(&store), &key(), env()).await;
        assert!(
            matches!(&refused, Err(Error::Corrupt { object, .. }) if object == "config"),
            "{refused:?}"
        );
        let report = repository
            .verify(VerifyDepth::Structure, &|_| ())
            .await
            .unwrap();
        assert_eq!(report.damage_count, 1);
        assert_eq!(report.damage[0].object, foreign.as_ref());
    }
}

#[tokio::test]
async fn a_repository_without_configs_is_not_made_anew() {
    let (store, repository) = in_memory().await;
    back_up(&repository, "p", &image(1, 100_000)).await.unwrap();
    for name in ["config", "config-copy"].map(Path::from) {
        store.delete(&name).await.unwrap();
    }
    let init = Repository::init(Arc::clone(&store), &key(), SMALL_PACKS, env()).await;
    let open = Repository::open(store, &key(), env()).await;
    for refused in [init, open] {
        assert!(
            matches!(&refused, Err(Error::Missing { object }) if object == "config"),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_config_cannot_make_packs_that_no_memory_holds() {
    for target in [0, 1, 1u64 << 40] {
        let (store, _) = in_memory().await;
        for path in ["config", "config-copy"].map(Path::from) {
            let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let json = text.lines().next().unwrap();
            let json = json.replace(
                &format!("\"pack_bytes_target\":{}", SMALL_PACKS.pack_bytes_target),
                &format!("\"pack_bytes_target\":{target}"),
            );
            let sum = hex::encode(strongroom_chunk::checksum(json.as_bytes()));
            let changed = format!("{json}\n{sum}\n");
            assert_ne!(changed, text);
            store.put(&path, changed.into()).await.unwrap();
        }
        let refused = Repository::open(Arc::clone(&store), &key(), env()).await;
        assert!(matches!(refused, Err(Error::Corrupt { .. })), "{target}");
    }
}
