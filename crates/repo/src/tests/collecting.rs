//! Collections: what is not needed goes, what is needed stays, whoever else is at work.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_testkit::AgingStore;

use super::support::*;
use crate::*;

pub(super) const TINY_PACKS: Options = Options {
    pack_bytes_target: 64 << 10,
    ..SMALL_PACKS
};

pub(super) async fn collect(repository: &Repository) -> Result<CollectReport> {
    repository
        .collect(&CollectOptions::default(), &|_| ())
        .await
}

/// Names and lengths of all objects in some folders, or in all of them.
pub(super) async fn objects(store: &dyn ObjectStore, folders: &[&str]) -> Vec<(String, u64)> {
    let all: Vec<_> = store.list(None).try_collect().await.unwrap();
    let all = all.into_iter().map(|o| (o.location.to_string(), o.size));
    let mut wanted: Vec<_> = all
        .filter(|(name, _)| {
            folders.is_empty() || folders.iter().any(|f| name.starts_with(&format!("{f}/")))
        })
        .collect();
    wanted.sort();
    wanted
}

pub(super) async fn pack_bytes(store: &dyn ObjectStore) -> u64 {
    let packs = objects(store, &["packs", "nodes"]).await;
    packs.iter().map(|(_, length)| length).sum()
}

pub(super) async fn check(repository: &Repository, points: &[(PointId, Vec<u8>)]) {
    let report = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
    let report = report.unwrap();
    assert!(report.is_clean(), "{report:?}");
    for (id, image) in points {
        assert!(restore(repository, id).await.unwrap() == *image);
    }
}

pub(super) async fn open(store: &Arc<dyn ObjectStore>) -> Repository {
    let repository = Repository::open(Arc::clone(store), &key(), env()).await;
    repository.unwrap()
}

async fn memory() -> (Arc<dyn ObjectStore>, Repository) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, TINY_PACKS).await;
    (store, repository)
}

#[tokio::test]
async fn what_a_deleted_point_alone_needed_is_freed() {
    let (store, repository) = memory().await;
    let kept = image(81, 1_500_000);
    let kept = (
        back_up(&repository, "kept", &kept).await.unwrap().point.id,
        kept,
    );
    let before = pack_bytes(&*store).await;
    let other = back_up(&repository, "other", &image(82, 1_500_000)).await;
    repository
        .delete_point(&other.unwrap().point.id)
        .await
        .unwrap();
    let dry = CollectOptions {
        dry_run: true,
        ..CollectOptions::default()
    };
    let everything = objects(&*store, &[]).await;
    let expected = repository.collect(&dry, &|_| ()).await.unwrap();
    assert_eq!(objects(&*store, &[]).await, everything);
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.dead_bytes, expected.dead_bytes);
    assert_eq!(
        report.bytes_deleted,
        report.dead_bytes + report.sparse_bytes
    );
    assert_eq!(pack_bytes(&*store).await, before, "{report:?}");
    check(&repository, &[kept]).await;
    let again = collect(&repository).await.unwrap();
    assert_eq!((again.packs_deleted, again.packs_pending), (0, 0));
    assert!(objects(&*store, &["sessions", "ended"]).await.is_empty());
}

#[tokio::test]
async fn packs_of_which_little_is_needed_are_rewritten() {
    let (store, repository) = memory().await;
    let first = image(83, 4_000_000);
    let mut second = image(84, 4_000_000);
    // Every fourth quarter MiB is shared.
    for at in (0..4_000_000 - 65_536).step_by(262_144) {
        second[at..at + 65_536].copy_from_slice(&first[at..at + 65_536]);
    }
    let gone = back_up(&repository, "first", &first).await.unwrap();
    let kept = back_up(&repository, "second", &second).await.unwrap();
    repository.delete_point(&gone.point.id).await.unwrap();
    let before = pack_bytes(&*store).await;
    let report = collect(&repository).await.unwrap();
    assert!(
        report.sparse_packs > 0 && report.bytes_copied > 0,
        "{report:?}"
    );
    let after = pack_bytes(&*store).await;
    assert!(after < before * 2 / 3, "{before} {after} {report:?}");
    check(&repository, &[(kept.point.id, second)]).await;
    // Somebody who has never seen the old packs, and one who builds upon the new ones.
    let other = open(&store).await;
    let again = back_up(&other, "again", &first).await.unwrap();
    check(&other, &[(again.point.id, first)]).await;
}

#[tokio::test]
async fn a_writer_at_work_loses_nothing() {
    let (store, repository) = memory().await;
    let image = image(85, 3_000_000);
    let old = back_up(&repository, "old", &image).await.unwrap();
    let other = open(&store).await;
    let mut writer = other
        .begin_point(new_point("new", image.len()))
        .await
        .unwrap();
    writer
        .write(Bytes::copy_from_slice(&image[..2_000_000]))
        .await
        .unwrap();
    repository.delete_point(&old.point.id).await.unwrap();
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.packs_deleted, 0, "{report:?}");
    assert!(
        report.packs_pending > 0 && report.sessions_alive == 1,
        "{report:?}"
    );
    writer
        .write(Bytes::copy_from_slice(&image[2_000_000..]))
        .await
        .unwrap();
    let new = writer.commit().await.unwrap();
    check(&repository, &[(new.point.id.clone(), image.clone())]).await;
    // What it took from condemned packs is rescued before they go.
    let report = collect(&repository).await.unwrap();
    assert!(
        report.packs_deleted > 0 && report.packs_pending == 0,
        "{report:?}"
    );
    check(&open(&store).await, &[(new.point.id, image)]).await;
}

#[tokio::test]
async fn a_reader_at_work_is_waited_for() {
    let (store, repository) = memory().await;
    let image = image(86, 12_000_000);
    let id = back_up(&repository, "p", &image).await.unwrap().point.id;
    let reading = open(&store).await;
    let mut reader = reading.read_point(&id).await.unwrap();
    repository.delete_point(&id).await.unwrap();
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.packs_deleted, 0, "{report:?}");
    let mut restored = Vec::new();
    while let Some(segment) = reader.next().await.unwrap() {
        match segment.content {
            Content::Data(data) => restored.extend(data),
            Content::Hole(length) => {
                restored.resize(restored.len() + usize::try_from(length).unwrap(), 0);
            }
        }
    }
    assert!(restored == image);
    drop(reader);
    let wait = CollectOptions {
        wait: Duration::from_mins(1),
        ..CollectOptions::default()
    };
    let report = repository.collect(&wait, &|_| ()).await.unwrap();
    assert_eq!(report.packs_pending, 0, "{report:?}");
    assert!(objects(&*store, &["packs", "nodes"]).await.is_empty());
}

#[tokio::test]
async fn a_reader_without_a_session_finds_what_was_rewritten() {
    let (store, repository) = memory().await;
    let first = image(88, 12_000_000);
    let mut second = image(90, 12_000_000);
    for at in (0..12_000_000 - 65_536).step_by(262_144) {
        second[at..at + 65_536].copy_from_slice(&first[at..at + 65_536]);
    }
    let gone = back_up(&repository, "first", &first).await.unwrap();
    let id = back_up(&repository, "second", &second)
        .await
        .unwrap()
        .point
        .id;
    let reading = open(&store).await;
    let mut reader = reading.read_point(&id).await.unwrap();
    let first_piece = reader.next().await.unwrap().unwrap();
    // As a store that refused its session would have it.
    for (session, _) in objects(&*store, &["sessions"]).await {
        let path = object_store::path::Path::from(session);
        object_store::ObjectStoreExt::delete(&*store, &path)
            .await
            .unwrap();
    }
    repository.delete_point(&gone.point.id).await.unwrap();
    let report = collect(&repository).await.unwrap();
    assert!(
        report.sparse_packs > 0 && report.packs_pending == 0,
        "{report:?}"
    );
    let mut restored = Vec::new();
    let mut segment = Some(first_piece);
    while let Some(Segment { content, .. }) = segment {
        match content {
            Content::Data(data) => restored.extend(data),
            Content::Hole(length) => {
                restored.resize(restored.len() + usize::try_from(length).unwrap(), 0);
            }
        }
        segment = reader.next().await.unwrap();
    }
    assert!(restored == second);
}

/// A repository on a store whose clock the test moves.
async fn aging() -> (Arc<AgingStore>, Arc<dyn ObjectStore>, Repository) {
    let aging = AgingStore::new(Arc::new(InMemory::new()));
    let store: Arc<dyn ObjectStore> = Arc::clone(&aging) as _;
    let repository = init(&store, TINY_PACKS).await;
    (aging, store, repository)
}

const LONG: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_writer_that_slept_too_long_commits_nothing() {
    let (aging, store, repository) = aging().await;
    let image = image(87, 2_000_000);
    let zombie = open(&store).await;
    let mut writer = zombie
        .begin_point(new_point("p", image.len()))
        .await
        .unwrap();
    writer.write(Bytes::from(image.clone())).await.unwrap();
    aging.pass(LONG);
    let report = collect(&repository).await.unwrap();
    assert_eq!(report.sessions_ended, 1, "{report:?}");
    let refused = writer.commit().await.unwrap_err();
    assert!(matches!(refused, Error::Fenced), "{refused:?}");
    assert!(repository.list_points().await.unwrap().is_empty());
    // A retry of the same name is not in its way.
    let retry = back_up(&repository, "p", &image).await.unwrap();
    collect(&repository).await.unwrap();
    check(&repository, &[(retry.point.id, image)]).await;
    aging.pass(Duration::from_hours(31 * 24));
    collect(&repository).await.unwrap();
    assert!(objects(&*store, &["sessions", "ended"]).await.is_empty());
}

#[tokio::test]
async fn of_two_collections_one_stops() {
    let (_, repository) = memory().await;
    let one = || Box::pin(collect(&repository));
    let both = futures::future::join(one(), one()).await;
    let stopped = |result: &Result<CollectReport>| matches!(result, Err(Error::Busy));
    assert!(stopped(&both.0) || stopped(&both.1) || (both.0.is_ok() && both.1.is_ok()));
}
