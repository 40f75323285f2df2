//! A server that is away for a minute, in all the ways in which servers are.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use strongroom_testkit::{FaultProxy, ProxyFault, SeaweedFs, s3_server};

use super::s3::{TINY_PACKS, open_bucket};
use super::support::*;
use crate::*;

const OUTAGE: Duration = Duration::from_mins(1);
/// As long as it is without a word of the user's.
const PATIENT: Duration = Duration::from_mins(3);
/// Enough for a server that is busy, and less than any outage here.
const IMPATIENT: Duration = Duration::from_secs(2);
const FAULTS: [ProxyFault; 8] = [
    ProxyFault::Refuse,
    ProxyFault::Answer(500),
    ProxyFault::Answer(503),
    ProxyFault::Silence,
    ProxyFault::CutRequest(300),
    ProxyFault::LoseAnswer,
    ProxyFault::CutAnswer(150),
    ProxyFault::Slow(2000),
];

/// A bucket behind a proxy, with two points, one of which is forgotten: there is something to read, and something to
/// collect.
struct World {
    server: &'static SeaweedFs,
    proxy: FaultProxy,
    prefix: String,
    fault: ProxyFault,
    kept: (PointId, Bytes),
    /// What is to be backed up.
    next: Bytes,
}

impl World {
    async fn new(server: &'static SeaweedFs, fault: ProxyFault) -> Self {
        let proxy = FaultProxy::start(&server.endpoint()).await;
        let prefix = server.fresh_prefix();
        let bucket = open_bucket(server, proxy.endpoint(), &prefix, PATIENT);
        let repository = Repository::init(bucket, &key(), TINY_PACKS, env())
            .await
            .unwrap();
        let image = Bytes::from(image(41, 4_000_000));
        let old = back_up(&repository, "old", &image).await.unwrap().point;
        let kept = image.slice(1_500_000..);
        let point = back_up(&repository, "kept", &kept).await.unwrap().point;
        repository.delete_point(&old.id).await.unwrap();
        Self {
            server,
            proxy,
            prefix,
            fault,
            kept: (point.id, kept),
            next: super::support::image(42, 6_000_000).into(),
        }
    }

    /// As another process finds it.
    async fn open(&self, patience: Duration) -> Repository {
        let endpoint = self.proxy.endpoint();
        let bucket = open_bucket(self.server, endpoint, &self.prefix, patience);
        Repository::open(bucket, &key(), env()).await.unwrap()
    }

    /// Begins a backup, a restore and a collection, and lets `outage` happen; returns how they ended.
    async fn meet(&self, patience: Duration, outage: impl Fn()) -> [Result<()>; 3] {
        let [writing, reading, collecting] = join_all((0..3).map(|_| self.open(patience)))
            .await
            .try_into()
            .unwrap();
        let new = new_point("next", self.next.len());
        let mut writer = writing.begin_point(new).await.unwrap();
        // Queues are bounded, so some of this has been stored when the last of it is accepted.
        writer.write(self.next.slice(..4_000_000)).await.unwrap();
        let mut reader = reading.read_point(&self.kept.0).await.unwrap();
        let first = reader.next().await.unwrap().unwrap();
        outage();
        let back_up = async {
            writer.write(self.next.slice(4_000_000..)).await?;
            writer.commit().await.map(drop)
        };
        let restore = async {
            let mut read = length(&first);
            while let Some(segment) = reader.next().await? {
                read += length(&segment);
            }
            assert_eq!(read, reader.size_bytes());
            // A whole one, from its beginning.
            let again = restore(&reading, &self.kept.0).await?;
            assert!(again == self.kept.1, "{:?}", self.fault);
            Ok(())
        };
        let options = CollectOptions {
            compact_below_percent: 90,
            ..CollectOptions::default()
        };
        let collect = async { collecting.collect(&options, &|_| ()).await.map(drop) };
        let (back_up, restore, collect) = tokio::join!(back_up, restore, collect);
        [back_up, restore, collect]
    }

    /// Nothing that was acknowledged is lost, and nothing is damaged.
    async fn check(&self) {
        let repository = self.open(PATIENT).await;
        for point in repository.list_points().await.unwrap() {
            let image = if point.id == self.kept.0 {
                &self.kept.1
            } else {
                &self.next
            };
            let restored = restore(&repository, &point.id).await.unwrap();
            assert!(restored == *image, "{:?}", self.fault);
        }
        repository.get_point(&self.kept.0).await.unwrap();
        let verified = repository.verify(VerifyDepth::ReadData, &|_| ()).await;
        let report = verified.unwrap();
        assert!(report.is_clean(), "{:?}: {report:?}", self.fault);
    }
}

fn length(segment: &Segment) -> u64 {
    match &segment.content {
        Content::Data(bytes) => bytes.len() as u64,
        Content::Hole(length) => *length,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_a_minute_is_waited_for() {
    let Some(server) = s3_server() else { return };
    let outages = FAULTS.map(|fault| async move {
        let world = World::new(server, fault).await;
        let clock = env().clock;
        let began = clock.now();
        let outage = || world.proxy.fail_for(OUTAGE, fault);
        let ended = Box::pin(world.meet(PATIENT, outage)).await;
        for outcome in ended {
            outcome.unwrap_or_else(|error| panic!("{fault:?}: {error:?}"));
        }
        assert!(world.proxy.struck() > 0);
        // Who is served slowly may be done before.
        if !matches!(fault, ProxyFault::Slow(_)) {
            assert!(clock.now().since(began) >= OUTAGE, "{fault:?}");
        }
        world.check().await;
        let repository = world.open(PATIENT).await;
        assert_eq!(repository.list_points().await.unwrap().len(), 2);
    });
    join_all(outages).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_that_is_too_long_is_told_and_the_next_run_goes_on() {
    let Some(server) = s3_server() else { return };
    // A server that is slow is not away.
    let away = FAULTS
        .into_iter()
        .filter(|fault| !matches!(fault, ProxyFault::Slow(_)));
    let outages = away.map(|fault| async move {
        let world = World::new(server, fault).await;
        let ended = Box::pin(world.meet(IMPATIENT, || world.proxy.fail(fault))).await;
        for outcome in ended {
            let error = outcome.expect_err("nobody can wait for that");
            assert!(
                matches!(error, Error::Unavailable { .. }),
                "{fault:?}: {error:?}"
            );
            let text = strongroom_types::Chain(&error).to_string();
            assert!(text.contains("attempts failed within"), "{fault:?}: {text}");
            if fault == ProxyFault::Silence {
                assert!(text.contains("no answer came within"), "{text}");
            }
        }
        world.proxy.heal();
        world.check().await;
        let repository = world.open(PATIENT).await;
        let again = back_up(&repository, "next", &world.next).await.unwrap();
        let size = world.next.len() as u64;
        // What was stored before the outage is not stored again.
        assert!(
            again.bytes_new < size - TINY_PACKS.pack_bytes_target,
            "{fault:?}: {again:?}"
        );
        repository
            .collect(&CollectOptions::default(), &|_| ())
            .await
            .unwrap();
        world.check().await;
    });
    join_all(outages).await;
}
