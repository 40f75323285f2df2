use std::sync::Arc;

use bytes::Bytes;

use super::support::*;
use crate::*;

#[tokio::test]
async fn what_was_written_is_read() {
    let (_, repository) = in_memory().await;
    for (number, length) in [0, 1, 4095, 4096, 4097, 5_000_000, 21_000_001]
        .into_iter()
        .enumerate()
    {
        let image = image(number as u64 + 1, length);
        let commit = back_up(&repository, &format!("p{number}"), &image)
            .await
            .unwrap();
        let restored = restore(&repository, &commit.point.id).await.unwrap();
        assert!(restored == image, "{length}");
    }
    assert_eq!(repository.list_points().await.unwrap().len(), 7);
}

#[tokio::test]
async fn same_content_gives_the_same_root_whatever_the_portions() {
    let (_, repository) = in_memory().await;
    let image = image(3, 9_000_123);
    let first = back_up(&repository, "first", &image).await.unwrap();
    assert!(first.bytes_new > 0 && first.bytes_stored > 0);
    let mut writer = repository
        .begin_point(new_point("second", image.len()))
        .await
        .unwrap();
    let mut rest = Bytes::from(image.clone());
    for length in [1, 5000, 70_000, 3, 2_000_000].into_iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let portion = rest.split_to(rest.len().min(length));
        if portion.iter().all(|byte| *byte == 0) {
            writer.hole(portion.len() as u64).await.unwrap();
        } else {
            writer.write(portion).await.unwrap();
        }
    }
    let second = writer.commit().await.unwrap();
    assert_eq!(first.point.root, second.point.root);
    assert_eq!((second.bytes_new, second.bytes_stored), (0, 0));
    assert_eq!(second.bytes_scanned, first.bytes_scanned);
}

#[tokio::test]
async fn a_reopened_repository_knows_everything() {
    let (store, repository) = in_memory().await;
    let image = image(5, 6_000_000);
    let first = back_up(&repository, "first", &image).await.unwrap();
    drop(repository);
    let repository = Repository::open(Arc::clone(&store), &key(), env())
        .await
        .unwrap();
    let restored = restore(&repository, &first.point.id).await.unwrap();
    assert!(restored == image);
    let second = back_up(&repository, "second", &image).await.unwrap();
    assert_eq!(second.bytes_stored, 0);
    assert_eq!(
        repository.find_point("second").await.unwrap(),
        Some(second.point.clone())
    );
    let prefix = &second.point.id.as_str()[..8];
    assert_eq!(
        repository.find_point(prefix).await.unwrap(),
        Some(second.point.clone())
    );
    assert_eq!(repository.find_point("third").await.unwrap(), None);
}

#[tokio::test]
async fn a_retry_finds_the_committed_point() {
    let (_, repository) = in_memory().await;
    let image = image(5, 100_000);
    let first = back_up(&repository, "job", &image).await.unwrap();
    let again = back_up(&repository, "job", &image).await;
    assert!(matches!(again, Err(Error::PointExists(point)) if *point == first.point));
    repository.delete_point(&first.point.id).await.unwrap();
    repository.delete_point(&first.point.id).await.unwrap();
    let gone = repository.get_point(&first.point.id).await;
    assert!(matches!(gone, Err(Error::PointNotFound(_))));
    back_up(&repository, "job", &image).await.unwrap();
}

#[tokio::test]
async fn sizes_must_be_as_announced() {
    let (_, repository) = in_memory().await;
    let mut writer = repository.begin_point(new_point("p", 10)).await.unwrap();
    let much = writer.write(Bytes::from_static(&[1; 11])).await;
    assert!(matches!(much, Err(Error::Invalid(_))));
    let writer = repository.begin_point(new_point("p", 10)).await.unwrap();
    assert!(matches!(writer.commit().await, Err(Error::Invalid(_))));
    assert!(repository.list_points().await.unwrap().is_empty());
}
