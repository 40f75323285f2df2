//! What parity can bring back is restored as if nothing had happened.

use std::sync::Arc;

use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::damage::Case;
use super::support::*;
use crate::*;

pub(super) const HOLE: usize = 64 << 10;

pub(super) async fn case() -> Case {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let options = Options {
        parity: true,
        ..SMALL_PACKS
    };
    let repository = init(&store, options).await;
    Case::new(store, repository).await
}

impl Case {
    /// The image is restored; returns how many times a pack had to be healed for it.
    async fn restores(&self, what: &str) -> u64 {
        let store = Arc::clone(&self.store);
        let repository = Repository::open(store, &key(), env()).await.unwrap();
        let restored = restore(&repository, &self.point.id).await;
        assert!(restored.is_ok(), "{what}: {restored:?}");
        assert!(restored.unwrap() == self.image, "{what}");
        repository.packs_healed()
    }

    async fn packs(&self) -> Vec<Path> {
        let mut packs = self.objects("packs").await;
        packs.extend(self.objects("nodes").await);
        packs
    }
}

#[tokio::test]
async fn a_hole_in_any_pack_does_not_hinder_a_restore() {
    let case = case().await;
    for path in case.packs().await {
        let sound = case.read(&path).await;
        let last = sound.len() - HOLE;
        let mut healed = 0;
        for place in [0, 50, last / 3, last / 2, last - last / 50, last] {
            let mut bytes = sound.clone();
            bytes[place..place + HOLE].fill(0);
            case.write(&path, bytes).await;
            healed += case
                .restores(&format!("{path} {place}/{}", sound.len()))
                .await;
        }
        assert!(healed >= 3, "{path} {healed}");
        case.write(&path, sound[..sound.len() - 1000].to_vec())
            .await;
        assert!(case.restores(&format!("{path} cut off")).await > 0);
        case.write(&path, sound).await;
    }
}

#[tokio::test]
async fn what_parity_cannot_heal_is_named_as_before() {
    let case = case().await;
    let path = case.objects("packs").await[0].clone();
    let mut bytes = case.read(&path).await;
    let half = bytes.len() / 2;
    bytes[200..half].fill(0);
    case.write(&path, bytes).await;
    assert!(case.restore_names(&path).await);
}

#[tokio::test]
async fn another_pack_under_a_name_is_not_healed_into_it() {
    let case = case().await;
    let packs = case.objects("packs").await;
    let mut other = case.read(&packs[1]).await;
    other[500] ^= 1;
    case.write(&packs[0], other).await;
    assert!(case.restore_names(&packs[0]).await);
    assert!(case.store.get(&packs[0]).await.is_ok());
}
