//! Index segments in a bucket, merged into some that are too large for one request.

use std::collections::HashSet;
use std::ops::Range;

use strongroom_chunk::{Kind, ObjectId};
use strongroom_store::Storage;
use strongroom_testkit::{FaultProxy, ProxyFault, s3_server};

use super::indexing::{finds, refresh, segment_of};
use super::s3::{IMPATIENT, PATIENT, TINY_PACKS, objects, open_bucket};
use super::support::*;
use crate::index::merge_segments;
use crate::*;

/// Together they make two parts of 8 MiB, and a last one.
const SEGMENTS: u64 = 8;
const ENTRIES_EACH: u64 = 100_000;

/// A repository with one point, and with segments of entries that say of a pack of it what nobody will ask.
async fn with_segments(storage: &Storage, image: &[u8]) -> Repository {
    let repository = Repository::init(storage.clone(), &key(), TINY_PACKS, env())
        .await
        .unwrap();
    back_up(&repository, "p", image).await.unwrap();
    let engine = &repository.engine;
    let packs = engine.store.list(Kind::DataPack).await.unwrap();
    for number in 0..SEGMENTS {
        let entries = segment_of(numbers(number), packs[0].id);
        crate::segments::store(engine, entries).await.unwrap();
    }
    repository
}

fn numbers(segment: u64) -> Range<u64> {
    segment * ENTRIES_EACH..(segment + 1) * ENTRIES_EACH
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_are_merged_in_parts_through_a_network_that_fails() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let image = image(61, 1_000_000);
    let none = HashSet::<ObjectId>::new();
    for fault in [
        ProxyFault::Answer(503),
        ProxyFault::LoseAnswer,
        // Small requests go through: a part is cut.
        ProxyFault::CutRequest(1_000_000),
    ] {
        let prefix = server.fresh_prefix();
        let storage = open_bucket(server, proxy.endpoint(), &prefix, PATIENT);
        let repository = with_segments(&storage, &image).await;
        let before = storage.requests().unwrap();
        proxy.fail_next(3, fault);
        merge_segments(&repository.engine, &none).await.unwrap();
        let after = storage.requests().unwrap();
        assert!(after.repeated - before.repeated >= 3, "{fault:?}");
        assert!(after.other - before.other >= 2, "it is begun and completed");
        assert!(after.put - before.put >= 3, "in parts");
        proxy.heal();
        // What was written by the backup is left as it is: there are few of that size.
        let left = objects(&storage.objects, "index").await.len();
        assert!(left < 4, "{fault:?}: {left}");
        let fresh = Repository::open(storage, &key(), env()).await.unwrap();
        assert_eq!(refresh(&fresh).await, 0);
        for repository in [&repository, &fresh] {
            assert!(finds(repository, 0..SEGMENTS * ENTRIES_EACH), "{fault:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_that_fails_in_a_part_takes_nothing_away_and_is_made_later() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let storage = open_bucket(server, proxy.endpoint(), &server.fresh_prefix(), IMPATIENT);
    let image = image(62, 1_000_000);
    let repository = with_segments(&storage, &image).await;
    let before = objects(&storage.objects, "index").await;
    // Parts are too long for it, all else is not.
    proxy.fail(ProxyFault::CutRequest(1_000_000));
    let none = HashSet::<ObjectId>::new();
    let failed = merge_segments(&repository.engine, &none).await.unwrap_err();
    assert!(matches!(failed, Error::Unavailable { .. }), "{failed:?}");
    proxy.heal();
    assert_eq!(objects(&storage.objects, "index").await, before);
    assert!(finds(&repository, 0..SEGMENTS * ENTRIES_EACH));
    merge_segments(&repository.engine, &none).await.unwrap();
    assert!(objects(&storage.objects, "index").await.len() < 4);
    assert!(finds(&repository, 0..SEGMENTS * ENTRIES_EACH));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collection_in_a_bucket_merges_segments_of_several_parts() {
    let Some(server) = s3_server() else { return };
    let storage = open_bucket(server, &server.endpoint(), &server.fresh_prefix(), PATIENT);
    let image = image(63, 1_000_000);
    let repository = with_segments(&storage, &image).await;
    let before = storage.requests().unwrap();
    repository
        .collect(&CollectOptions::default(), &|_| ())
        .await
        .unwrap();
    let after = storage.requests().unwrap();
    assert!(after.other - before.other >= 2, "it is begun and completed");
    assert!(objects(&storage.objects, "index").await.len() < 4);
    let fresh = Repository::open(storage, &key(), env()).await.unwrap();
    assert_eq!(refresh(&fresh).await, 0);
    assert!(finds(&fresh, 0..SEGMENTS * ENTRIES_EACH));
    let point = fresh.list_points().await.unwrap().remove(0);
    assert!(restore(&fresh, &point.id).await.unwrap() == image);
    let report = fresh.verify(VerifyDepth::ReadData, &|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}
