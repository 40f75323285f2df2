//! A writer takes over what the lineage's last point has at the same place, and nothing else changes by that.

use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::collecting::objects;
use super::support::*;
use crate::*;

/// Overwrites, inserted and removed holes, a moved stretch, and another length.
fn changed(image: &[u8]) -> Vec<u8> {
    let mut changed = image.to_vec();
    for (number, offset) in (0..changed.len()).step_by(1_700_000).enumerate() {
        let end = changed.len().min(offset + 1 + 5000 * number);
        changed[offset..end].fill(u8::try_from(number % 3).unwrap());
    }
    let from = 5 << 20;
    changed.copy_within(from..from + 300_000, 9 << 20);
    changed.extend_from_slice(&image[..12_345]);
    changed
}

/// The root that the image has in a repository that knows nothing before it.
async fn root_alone(image: &[u8]) -> String {
    let (_, repository) = in_memory().await;
    let commit = back_up(&repository, "alone", image).await.unwrap();
    commit.point.root
}

#[tokio::test]
async fn a_changed_image_has_the_root_that_it_has_without_a_parent() {
    let (_, repository) = in_memory().await;
    let first = image(61, 23_000_001);
    let second = changed(&first);
    let before = back_up(&repository, "first", &first).await.unwrap();
    let after = back_up(&repository, "second", &second).await.unwrap();
    assert_eq!(after.point.root, root_alone(&second).await);
    assert!(restore(&repository, &after.point.id).await.unwrap() == second);
    assert!(restore(&repository, &before.point.id).await.unwrap() == first);
    let scanned = after.bytes_scanned;
    assert!((1..scanned / 2).contains(&after.bytes_new), "{after:?}");

    // Portions that end anywhere, inside of grid blocks too.
    let third = changed(&second);
    let new = new_point("third", third.len());
    let mut writer = repository.begin_point(new).await.unwrap();
    for portion in third.chunks(777_777) {
        writer.write(Bytes::copy_from_slice(portion)).await.unwrap();
    }
    let after = writer.commit().await.unwrap();
    assert_eq!(after.point.root, root_alone(&third).await);
    assert!(restore(&repository, &after.point.id).await.unwrap() == third);
}

#[tokio::test]
async fn a_parent_that_cannot_be_read_costs_time_only() {
    let (store, repository) = in_memory().await;
    let first = image(62, 12_000_000);
    back_up(&repository, "first", &first).await.unwrap();
    for (name, _) in objects(&*store, &["nodes"]).await {
        store.delete(&Path::from(name)).await.unwrap();
    }
    let repository = Repository::open(Arc::clone(&store), &key(), env())
        .await
        .unwrap();
    let second = changed(&first);
    let after = back_up(&repository, "second", &second).await.unwrap();
    assert_eq!(after.point.root, root_alone(&second).await);
    assert!(restore(&repository, &after.point.id).await.unwrap() == second);
}

#[tokio::test]
async fn what_a_parent_lost_is_stored_again() {
    let (store, repository) = in_memory().await;
    let image = image(63, 12_000_000);
    back_up(&repository, "first", &image).await.unwrap();
    let packs = objects(&*store, &["packs"]).await;
    assert!(packs.len() > 3, "{packs:?}");
    store
        .delete(&Path::from(packs[1].0.as_str()))
        .await
        .unwrap();
    let repository = Repository::open(Arc::clone(&store), &key(), env())
        .await
        .unwrap();
    let second = back_up(&repository, "second", &image).await.unwrap();
    assert!(second.bytes_new > 0);
    assert!(restore(&repository, &second.point.id).await.unwrap() == image);
}
