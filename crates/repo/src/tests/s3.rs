//! The engine on a bucket of a real server, and through a network that fails.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use strongroom_store::{Limits, S3Access, S3Server, Storage, open_s3};
use strongroom_testkit::{FaultProxy, ProxyFault, SeaweedFs, Shape, s3_server};

use super::support::*;
use crate::*;

pub(super) const PATIENT: Duration = Duration::from_mins(1);
pub(super) const IMPATIENT: Duration = Duration::from_millis(300);
pub(super) const TINY_PACKS: Options = Options {
    pack_bytes_target: 256 << 10,
    ..SMALL_PACKS
};

/// The same bucket and prefix, as a new process finds it.
pub(super) fn open_bucket(
    server: &SeaweedFs,
    endpoint: &str,
    prefix: &str,
    patience: Duration,
) -> Storage {
    let access = S3Access::Server(S3Server {
        endpoint: endpoint.to_owned(),
        region: server.region().to_owned(),
        access_key: server.access_key().to_owned(),
        secret_key: server.secret_key().to_owned(),
    });
    let limits = Limits {
        patience,
        // Who has little patience shall not spend it in half minutes.
        silence: patience.clamp(Duration::from_secs(5), Limits::default().silence),
        ..Limits::default()
    };
    open_s3(server.bucket(), prefix, &access, limits).unwrap()
}

pub(super) async fn objects(store: &Arc<dyn ObjectStore>, folder: &str) -> Vec<Path> {
    let listed = store.list(Some(&Path::from(folder)));
    let objects: Vec<_> = listed
        .map_ok(|meta| meta.location)
        .try_collect()
        .await
        .unwrap();
    objects
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_of_several_processes_share_a_bucket() {
    let Some(server) = s3_server() else { return };
    let prefix = server.fresh_prefix();
    let bucket = || open_bucket(server, &server.endpoint(), &prefix, PATIENT);
    let repository = Repository::init(bucket(), &key(), TINY_PACKS, env())
        .await
        .unwrap();
    let again = Repository::init(bucket(), &key(), TINY_PACKS, env()).await;
    assert!(matches!(again, Err(Error::Exists)));
    let common = image(71, 2_000_000);
    let writers = (0..3).map(|number| {
        let bucket = bucket();
        let mut image = common.clone();
        image.extend(super::support::image(number + 72, 400_000));
        async move {
            let repository = Repository::open(bucket, &key(), env()).await.unwrap();
            let commit = back_up(&repository, &format!("p{number}"), &image).await;
            (commit.unwrap().point, image)
        }
    });
    let written = join_all(writers).await;
    for (point, image) in &written {
        assert!(restore(&repository, &point.id).await.unwrap() == *image);
    }
    let unchanged = back_up(&repository, "again", &written[0].1).await.unwrap();
    assert_eq!(unchanged.bytes_new, 0);
    repository.delete_point(&written[0].0.id).await.unwrap();
    assert_eq!(repository.list_points().await.unwrap().len(), 3);
    let report = repository
        .verify(VerifyDepth::ReadData, &|_| ())
        .await
        .unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_in_a_bucket_is_found() {
    let Some(server) = s3_server() else { return };
    let storage = open_bucket(server, &server.endpoint(), &server.fresh_prefix(), PATIENT);
    let store = Arc::clone(&storage.objects);
    let repository = Repository::init(storage.clone(), &key(), TINY_PACKS, env())
        .await
        .unwrap();
    let image = image(75, 1_500_000);
    let point = back_up(&repository, "p", &image).await.unwrap().point;
    for folder in ["packs", "nodes", "points"] {
        let path = objects(&store, folder).await[0].clone();
        let sound = store.get(&path).await.unwrap().bytes().await.unwrap();
        let mut flipped = sound.to_vec();
        flipped[sound.len() / 2] ^= 1;
        let damages = [
            Some(Bytes::from(flipped)),
            Some(sound.slice(..sound.len() / 3)),
            Some(Bytes::new()),
            None,
        ];
        for damaged in damages {
            match damaged {
                Some(bytes) => drop(store.put(&path, PutPayload::from(bytes)).await.unwrap()),
                None => store.delete(&path).await.unwrap(),
            }
            let fresh = Repository::open(storage.clone(), &key(), env())
                .await
                .unwrap();
            if let Ok(bytes) = restore(&fresh, &point.id).await {
                assert!(bytes == image, "wrong bytes were restored");
            }
            if folder != "points" {
                let report = fresh.verify(VerifyDepth::ReadData, &|_| ()).await.unwrap();
                let named = report
                    .damage
                    .iter()
                    .any(|damage| damage.object == path.as_ref());
                assert!(named, "{path}: {report:?}");
            }
            store
                .put(&path, PutPayload::from(sound.clone()))
                .await
                .unwrap();
        }
    }
    let report = repository
        .verify(VerifyDepth::ReadData, &|_| ())
        .await
        .unwrap();
    assert!(report.is_clean(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_write_tries_out_conditional_writes_once_and_readers_do_not() {
    let Some(server) = s3_server() else { return };
    let prefix = server.fresh_prefix();
    let bucket = || open_bucket(server, &server.endpoint(), &prefix, PATIENT);
    Repository::init(bucket(), &key(), TINY_PACKS, env())
        .await
        .unwrap();
    let puts = |repository: &Repository| repository.storage().requests().unwrap().put;
    let [planning, repairing, rotating] = [bucket(), bucket(), bucket()]
        .map(|bucket| async move { Repository::open(bucket, &key(), env()).await.unwrap() });
    let (planning, repairing, rotating) = (planning.await, repairing.await, rotating.await);
    planning.plan_repair(&|_| ()).await.unwrap();
    // A probe takes six writes.
    assert!(puts(&planning) < 6, "{}", puts(&planning));
    repairing.repair(&|_| ()).await.unwrap();
    let proven = puts(&repairing);
    assert!(proven >= 6, "{proven}");
    repairing.repair(&|_| ()).await.unwrap();
    assert!(puts(&repairing) < proven + 6);
    rotating.rotate_keys(&key()).await.unwrap();
    assert!((6..12).contains(&puts(&rotating)), "{}", puts(&rotating));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_that_patience_outlasts_are_survived() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let image = Bytes::from(image(81, 4_000_000));
    let thorough = CollectOptions {
        compact_below_percent: 90,
        // A restore ends its session behind the caller's back, and as long as requests fail that takes a while.
        wait: Duration::from_mins(1),
        ..CollectOptions::default()
    };
    for fault in [
        ProxyFault::Refuse,
        ProxyFault::Answer(503),
        ProxyFault::CutRequest(100_000),
        ProxyFault::LoseAnswer,
        ProxyFault::CutAnswer(50_000),
        ProxyFault::Delay(Duration::from_millis(50)),
    ] {
        let storage = open_bucket(server, proxy.endpoint(), &server.fresh_prefix(), PATIENT);
        let repository = Repository::init(storage.clone(), &key(), TINY_PACKS, env())
            .await
            .unwrap();
        let mut writer = repository
            .begin_point(new_point("p", image.len()))
            .await
            .unwrap();
        writer.write(image.slice(..1_000_000)).await.unwrap();
        proxy.fail_next(5, fault);
        writer.write(image.slice(1_000_000..)).await.unwrap();
        let point = writer.commit().await.unwrap().point;
        proxy.fail_next(3, fault);
        assert!(
            restore(&repository, &point.id).await.unwrap() == image,
            "{fault:?}"
        );
        proxy.fail_next(3, fault);
        let report = repository
            .verify(VerifyDepth::ReadData, &|_| ())
            .await
            .unwrap();
        assert!(report.is_clean(), "{fault:?}: {report:?}");
        assert_eq!(repository.list_points().await.unwrap().len(), 1);

        let next = image.slice(1_500_000..);
        let kept = back_up(&repository, "q", &next).await.unwrap().point;
        proxy.fail_next(3, fault);
        repository.delete_point(&point.id).await.unwrap();
        proxy.fail_next(5, fault);
        let report = repository.collect(&thorough, &|_| ()).await.unwrap();
        assert!(report.bytes_deleted > 0, "{fault:?}: {report:?}");
        assert!(
            restore(&repository, &kept.id).await.unwrap() == next,
            "{fault:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_outage_that_was_too_long_the_next_run_goes_on_where_it_ended() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let prefix = server.fresh_prefix();
    let bucket = || open_bucket(server, proxy.endpoint(), &prefix, IMPATIENT);
    let repository = Repository::init(bucket(), &key(), TINY_PACKS, env())
        .await
        .unwrap();
    let image = Bytes::from(image(82, 12_000_000));
    let mut writer = repository
        .begin_point(new_point("p", image.len()))
        .await
        .unwrap();
    // Queues are bounded, so most of this has been stored when the last of it is accepted.
    writer.write(image.slice(..10_000_000)).await.unwrap();
    let stored = objects(&repository.storage().objects, "packs").await.len();
    proxy.fail(ProxyFault::Answer(503));
    let rest = async {
        writer.write(image.slice(10_000_000..)).await?;
        writer.commit().await
    };
    let failed = rest.await.unwrap_err();
    assert!(matches!(failed, Error::Unavailable { .. }), "{failed:?}");
    proxy.heal();

    let repository = Repository::open(bucket(), &key(), env()).await.unwrap();
    assert!(repository.list_points().await.unwrap().is_empty());
    let again = back_up(&repository, "p", &image).await.unwrap();
    let size = image.len() as u64;
    let kept = stored as u64 * TINY_PACKS.pack_bytes_target / 2;
    assert!(
        again.bytes_new <= size - kept.min(size / 2),
        "{stored} {again:?}"
    );
    assert!(restore(&repository, &again.point.id).await.unwrap() == image);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_volume_server_that_dies_takes_nothing_with_it() {
    if s3_server().is_none() {
        return;
    }
    let start = || SeaweedFs::start(Shape::Cluster).expect("it is installed");
    let mut cluster = tokio::task::spawn_blocking(start).await.unwrap();
    let prefix = cluster.fresh_prefix();
    let endpoint = cluster.endpoint();
    let storage = open_bucket(&cluster, &endpoint, &prefix, PATIENT);
    let repository = Repository::init(storage, &key(), TINY_PACKS, env())
        .await
        .unwrap();
    let image = Bytes::from(image(91, 12_000_000));
    let new = new_point("p", image.len());
    let mut writer = repository.begin_point(new).await.unwrap();
    writer.write(image.slice(..6_000_000)).await.unwrap();
    cluster.kill_volume_server(1);
    writer.write(image.slice(6_000_000..)).await.unwrap();
    let point = writer.commit().await.unwrap().point;
    let storage = open_bucket(&cluster, &endpoint, &prefix, PATIENT);
    let fresh = Repository::open(storage, &key(), env()).await.unwrap();
    assert!(restore(&fresh, &point.id).await.unwrap() == image);
    let report = fresh.verify(VerifyDepth::ReadData, &|_| ()).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
}
