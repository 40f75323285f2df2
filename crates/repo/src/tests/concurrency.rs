//! What the table of `lib.rs` allows, done at once.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;

use super::support::*;
use crate::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_one_process_and_of_several_overlap() {
    let (store, repository) = in_memory().await;
    let common = image(41, 3_000_000);
    let writers = (0..6).map(|number| {
        let (store, repository) = (Arc::clone(&store), repository.clone());
        let mut image = common.clone();
        image.extend(super::support::image(number + 50, 400_000));
        async move {
            // Half of them share an instance, the others open the repository themselves.
            let repository = match number % 2 {
                0 => repository,
                _ => Repository::open(store, &key(), env()).await.unwrap(),
            };
            let point = back_up(&repository, &format!("p{number}"), &image).await;
            (point.unwrap().point, image)
        }
    });
    let written = join_all(writers).await;
    let report = repository
        .verify(VerifyDepth::ReadData, &|_| ())
        .await
        .unwrap();
    assert!(report.is_clean(), "{report:?}");
    for (point, image) in written {
        assert!(restore(&repository, &point.id).await.unwrap() == image);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_of_one_name_one_commits() {
    let (_, repository) = in_memory().await;
    let image = image(42, 1_000_000);
    let both = [0, 1].map(|_| back_up(&repository, "same", &image));
    let results = join_all(both).await;
    let commits = results.iter().filter(|result| result.is_ok()).count();
    assert_eq!(commits, 1);
    let other = results.into_iter().find_map(Result::err).unwrap();
    assert!(matches!(other, Error::PointExists(_)), "{other:?}");
}

#[tokio::test]
async fn a_dropped_writer_leaves_no_point() {
    let (_, repository) = in_memory().await;
    let image = Bytes::from(image(43, 5_000_000));
    let mut writer = repository
        .begin_point(new_point("p", image.len()))
        .await
        .unwrap();
    writer.write(image.slice(..4_000_000)).await.unwrap();
    drop(writer);
    assert!(repository.list_points().await.unwrap().is_empty());
    let commit = back_up(&repository, "p", &image).await.unwrap();
    assert!(restore(&repository, &commit.point.id).await.unwrap() == image);
    let report = repository
        .verify(VerifyDepth::ReadData, &|_| ())
        .await
        .unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test]
async fn a_dropped_reader_disturbs_nobody() {
    let (_, repository) = in_memory().await;
    let image = image(44, 8_000_000);
    let id = back_up(&repository, "p", &image).await.unwrap().point.id;
    let mut reader = repository.read_point(&id).await.unwrap();
    reader.next().await.unwrap();
    drop(reader);
    assert!(restore(&repository, &id).await.unwrap() == image);
}

#[tokio::test]
async fn a_point_is_read_to_its_end_although_it_is_deleted_meanwhile() {
    let (_, repository) = in_memory().await;
    let image = image(45, 8_000_000);
    let id = back_up(&repository, "p", &image).await.unwrap().point.id;
    let mut reader = repository.read_point(&id).await.unwrap();
    repository.delete_point(&id).await.unwrap();
    let mut length = 0;
    while let Some(segment) = reader.next().await.unwrap() {
        length = segment.offset
            + match segment.content {
                Content::Data(bytes) => bytes.len() as u64,
                Content::Hole(length) => length,
            };
    }
    assert_eq!(length, image.len() as u64);
    let gone = repository.read_point(&id).await;
    assert!(matches!(gone, Err(Error::PointNotFound(_))));
}

#[tokio::test]
async fn a_huge_sparse_disk_costs_what_it_holds() {
    let (_, repository) = in_memory().await;
    let size = 5 << 40;
    let mut writer = repository
        .begin_point(NewPoint {
            size_bytes: size,
            ..new_point("p", 0)
        })
        .await
        .unwrap();
    let data = Bytes::from(vec![7; 10_000]);
    let places = [4096, 3 << 30, size - 10_000];
    let mut position = 0;
    for place in places {
        writer.hole(place - position).await.unwrap();
        writer.write(data.clone()).await.unwrap();
        position = place + 10_000;
    }
    let commit = writer.commit().await.unwrap();
    assert!(commit.bytes_stored < 20_000, "{commit:?}");
    let mut reader = repository.read_point(&commit.point.id).await.unwrap();
    let mut holes = 0;
    let mut found = Vec::new();
    while let Some(segment) = reader.next().await.unwrap() {
        match segment.content {
            Content::Hole(length) => holes += length,
            Content::Data(bytes) => found.push((segment.offset, bytes)),
        }
    }
    // The last stretch does not begin on the grid, so that its first block begins with zeros.
    let ends: Vec<u64> = found.iter().map(|(at, b)| at + b.len() as u64).collect();
    assert_eq!(ends.last(), Some(&size));
    assert_eq!(
        holes + found.iter().map(|(_, b)| b.len() as u64).sum::<u64>(),
        size
    );
    assert!(holes > size - 100_000);
}

#[tokio::test]
async fn every_profile_and_a_hole_only_image_restore() {
    for profile in [Profile::Default, Profile::Dense, Profile::Archive] {
        let store: Arc<dyn object_store::ObjectStore> =
            Arc::new(object_store::memory::InMemory::new());
        let options = Options {
            profile,
            ..Options::default()
        };
        let repository = init(&store, options).await;
        let image = image(46, 7_000_000);
        let commit = back_up(&repository, "p", &image).await.unwrap();
        assert!(restore(&repository, &commit.point.id).await.unwrap() == image);
        let zeros = vec![0; 9_000_001];
        let commit = back_up(&repository, "zeros", &zeros).await.unwrap();
        assert_eq!((commit.bytes_scanned, commit.bytes_stored), (0, 0));
        assert_eq!(commit.point.root, "0".repeat(64));
        assert!(restore(&repository, &commit.point.id).await.unwrap() == zeros);
    }
}
