//! A bucket behaves as a folder does, and outages are survived or reported.

use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::future::{join_all, try_join_all};
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use strongroom_testkit::{FaultProxy, ProxyFault, SeaweedFs, SeededIds, s3_server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::*;

const SHORT: Duration = Duration::from_millis(400);
const FAULTS: [ProxyFault; 7] = [
    ProxyFault::Refuse,
    ProxyFault::Answer(500),
    ProxyFault::Answer(503),
    ProxyFault::Answer(429),
    ProxyFault::CutRequest(300),
    ProxyFault::LoseAnswer,
    ProxyFault::CutAnswer(250),
];

fn open(server: &SeaweedFs, endpoint: &str, patience: Duration) -> Storage {
    open_as(server, endpoint, patience, server.secret_key())
}

/// A place whose server is given so much time for an answer.
fn open_for(server: &SeaweedFs, endpoint: &str, silence: Duration) -> Storage {
    let limits = Limits {
        silence,
        ..Limits::default()
    };
    let access = access(server, endpoint, server.secret_key());
    open_s3(server.bucket(), &server.fresh_prefix(), &access, limits).unwrap()
}

fn access(server: &SeaweedFs, endpoint: &str, secret: &str) -> S3Access {
    S3Access::Server(S3Server {
        endpoint: endpoint.to_owned(),
        region: server.region().to_owned(),
        access_key: server.access_key().to_owned(),
        secret_key: secret.to_owned(),
    })
}

fn open_as(server: &SeaweedFs, endpoint: &str, patience: Duration, secret: &str) -> Storage {
    let access = access(server, endpoint, secret);
    let limits = Limits {
        patience,
        ..Limits::default()
    };
    open_s3(server.bucket(), &server.fresh_prefix(), &access, limits).unwrap()
}

async fn create(storage: &Storage, name: &str, content: Bytes) -> object_store::Result<()> {
    let options = PutOptions {
        mode: PutMode::Create,
        ..PutOptions::default()
    };
    let path = Path::from(name);
    let put = storage.objects.put_opts(&path, content.into(), options);
    put.await.map(drop)
}

async fn read(storage: &Storage, name: &str) -> Bytes {
    let result = storage.objects.get(&Path::from(name)).await.unwrap();
    result.bytes().await.unwrap()
}

async fn tail(storage: &Storage, name: &str, length: u64) -> Bytes {
    let options = GetOptions {
        range: Some(GetRange::Suffix(length)),
        ..GetOptions::default()
    };
    let result = storage.objects.get_opts(&Path::from(name), options).await;
    result.unwrap().bytes().await.unwrap()
}

fn pattern(length: usize) -> Bytes {
    (0..length)
        .map(|i| u8::try_from(i % 251).unwrap())
        .collect()
}

#[tokio::test]
async fn objects_are_created_once_and_read_in_parts() {
    let Some(server) = s3_server() else { return };
    let storage = open(server, &server.endpoint(), SHORT);
    let content = pattern(3_000_000);
    create(&storage, "a/b", content.clone()).await.unwrap();
    let again = create(&storage, "a/b", Bytes::from_static(b"other")).await;
    assert!(matches!(
        again,
        Err(object_store::Error::AlreadyExists { .. })
    ));
    // Not even with the content that it has: who asks is told the truth.
    let again = create(&storage, "a/b", content.clone()).await;
    assert!(matches!(
        again,
        Err(object_store::Error::AlreadyExists { .. })
    ));
    assert_eq!(read(&storage, "a/b").await, content);
    let path = Path::from("a/b");
    let ranges = [10..20, 15..300, 2_500_000..3_000_000];
    let parts = storage.objects.get_ranges(&path, &ranges).await.unwrap();
    for (part, range) in parts.iter().zip([10..20, 15..300, 2_500_000..3_000_000]) {
        assert_eq!(*part, content.slice(range));
    }
    assert_eq!(
        tail(&storage, "a/b", 1000).await,
        content.slice(2_999_000..)
    );
    assert_eq!(tail(&storage, "a/b", 1 << 30).await, content);
    create(&storage, "a/empty", Bytes::new()).await.unwrap();
    assert_eq!(tail(&storage, "a/empty", 1000).await.len(), 0);
    storage
        .objects
        .put(&path, PutPayload::from_static(b"healed"))
        .await
        .unwrap();
    assert_eq!(read(&storage, "a/b").await, "healed");
    let missing = storage.objects.get(&Path::from("a/c")).await.unwrap_err();
    assert_eq!(fault_of(&missing), Fault::Missing);
    storage.objects.delete(&path).await.unwrap();
    assert_eq!(
        storage
            .objects
            .head(&Path::from("a/empty"))
            .await
            .unwrap()
            .size,
        0
    );
    let counts = storage.requests().unwrap();
    assert_eq!((counts.put, counts.delete, counts.repeated), (5, 1, 0));
}

#[tokio::test]
async fn long_listings_come_in_pages() {
    let Some(server) = s3_server() else { return };
    let storage = open(server, &server.endpoint(), Duration::from_secs(30));
    let count = 1010;
    let writes = (0..count).map(|i| {
        let storage = &storage;
        async move { create(storage, &format!("list/{:02x}/{i}", i % 7), pattern(10)).await }
    });
    try_join_all(writes).await.unwrap();
    create(&storage, "listing", pattern(1)).await.unwrap();
    let before = storage.requests().unwrap().list;
    let prefix = Path::from("list");
    let mut names: Vec<_> = storage
        .objects
        .list(Some(&prefix))
        .map_ok(|object| object.location)
        .try_collect()
        .await
        .unwrap();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
    assert!(storage.requests().unwrap().list - before <= 3);
    let nothing = storage.objects.list(Some(&Path::from("nothing")));
    assert_eq!(nothing.try_collect::<Vec<_>>().await.unwrap().len(), 0);
}

#[tokio::test]
async fn a_server_that_honours_conditions_is_proven_once() {
    let Some(server) = s3_server() else { return };
    let storage = open(server, &server.endpoint(), SHORT);
    let ids = SeededIds::default();
    storage.prove_exclusive_create(&ids).await.unwrap();
    let requests = storage.requests().unwrap();
    storage.prove_exclusive_create(&ids).await.unwrap();
    assert_eq!(storage.requests().unwrap(), requests);
    let left: Vec<_> = storage.objects.list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn every_call_survives_faults_that_pass() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    for (number, fault) in FAULTS.into_iter().enumerate() {
        let storage = open(server, proxy.endpoint(), Duration::from_secs(30));
        let struck = proxy.struck();
        let name = format!("{number}");
        let content = pattern(200_000);
        proxy.fail_next(2, fault);
        // The answer to an attempt that had its effect was lost: still it is ours, and no one else's.
        create(&storage, &name, content.clone()).await.unwrap();
        assert_eq!(proxy.struck() - struck, 2, "{fault:?}");
        proxy.fail_next(1, fault);
        assert_eq!(read(&storage, &name).await, content, "{fault:?}");
        proxy.fail_next(1, fault);
        let listed: Vec<_> = storage.objects.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), 1, "{fault:?}");
        proxy.fail_next(1, fault);
        storage.objects.delete(&Path::from(name)).await.unwrap();
        let counts = storage.requests().unwrap();
        assert!(counts.repeated >= 5, "{fault:?}: {counts:?}");
    }
}

#[tokio::test]
async fn of_many_creators_one_wins_although_answers_are_lost() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let storage = open(server, proxy.endpoint(), Duration::from_secs(30));
    proxy.fail_next(6, ProxyFault::LoseAnswer);
    let creators = (0..8_u8).map(|creator| {
        let storage = &storage;
        async move { create(storage, "one", vec![creator; 100].into()).await }
    });
    let outcomes = join_all(creators).await;
    let winners: Vec<_> = (0..8_u8)
        .zip(&outcomes)
        .filter_map(|(creator, outcome)| outcome.is_ok().then_some(creator))
        .collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    assert_eq!(read(&storage, "one").await, vec![winners[0]; 100]);
}

#[tokio::test]
async fn an_outage_that_outlasts_patience_is_reported() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    for fault in FAULTS {
        let storage = open(server, proxy.endpoint(), SHORT);
        create(&storage, "before", pattern(100_000)).await.unwrap();
        proxy.fail(fault);
        let failed = read_error(&storage, "before").await;
        assert_eq!(fault_of(&failed), Fault::Failed, "{fault:?}");
        let text = strongroom_types::Chain(&failed).to_string();
        assert!(text.contains("attempts failed within"), "{fault:?}: {text}");
        proxy.heal();
        assert_eq!(read(&storage, "before").await, pattern(100_000));
    }
}

async fn read_error(storage: &Storage, name: &str) -> object_store::Error {
    storage.objects.get(&Path::from(name)).await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_secret_is_refused_at_once() {
    let Some(server) = s3_server() else { return };
    let hour = Duration::from_hours(1);
    let storage = open_as(server, &server.endpoint(), hour, "wrong");
    let refused = create(&storage, "x", pattern(10)).await.unwrap_err();
    assert_eq!(fault_of(&refused), Fault::Refused);
    assert_eq!(storage.requests().unwrap().repeated, 0);
}

const PART_BYTES: usize = 5 << 20;

#[tokio::test]
async fn a_large_object_is_stored_in_parts_whatever_passes() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let content = pattern(2 * PART_BYTES + 1000);
    let path = Path::from("large");
    for fault in FAULTS {
        let storage = open(server, proxy.endpoint(), Duration::from_secs(30));
        // One after another: each request meets the fault before it succeeds.
        proxy.fail_next(1, fault);
        let mut upload = storage.objects.put_multipart(&path).await.unwrap();
        for start in (0..content.len()).step_by(PART_BYTES) {
            proxy.fail_next(1, fault);
            let end = content.len().min(start + PART_BYTES);
            let part = upload.put_part(content.slice(start..end).into());
            part.await.unwrap();
        }
        let there = storage.objects.head(&path).await;
        assert!(there.is_err(), "it was to be seen before it was whole");
        proxy.fail_next(1, fault);
        upload.complete().await.unwrap();
        assert!(read(&storage, "large").await == content, "{fault:?}");
        let counts = storage.requests().unwrap();
        assert!(counts.repeated >= 5, "{fault:?}: {counts:?}");
    }
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing_behind() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let storage = open(server, proxy.endpoint(), SHORT);
    let path = Path::from("large");
    let mut upload = storage.objects.put_multipart(&path).await.unwrap();
    upload.put_part(pattern(PART_BYTES).into()).await.unwrap();
    proxy.fail(ProxyFault::Answer(503));
    let failed = upload.put_part(pattern(10).into()).await.unwrap_err();
    let text = strongroom_types::Chain(&failed).to_string();
    assert!(text.contains("attempts failed within"), "{text}");
    // Nor is it completed without a part.
    proxy.heal();
    let incomplete = upload.complete().await.unwrap_err();
    let text = strongroom_types::Chain(&incomplete).to_string();
    assert!(text.contains("1 of 2 parts were stored"), "{text}");
    proxy.fail_next(1, ProxyFault::LoseAnswer);
    upload.abort().await.unwrap();
    let gone = upload.put_part(pattern(10).into()).await.unwrap_err();
    assert_eq!(fault_of(&gone), Fault::Missing, "{gone:?}");
    let left: Vec<_> = storage.objects.list(None).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn silence_ends() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let storage = open_for(server, proxy.endpoint(), Duration::from_secs(2));
    let content = pattern(200_000);
    proxy.fail_next(1, ProxyFault::Silence);
    create(&storage, "a", content.clone()).await.unwrap();
    proxy.fail_next(1, ProxyFault::Silence);
    assert_eq!(read(&storage, "a").await, content);
    proxy.fail_next(1, ProxyFault::Silence);
    let listed: Vec<_> = storage.objects.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    proxy.fail_next(1, ProxyFault::Silence);
    storage.objects.delete(&Path::from("a")).await.unwrap();
    assert_eq!(proxy.struck(), 4);
}

#[tokio::test]
async fn a_body_that_is_changed_on_its_way_is_refused_and_sent_again() {
    let Some(server) = s3_server() else { return };
    let proxy = FaultProxy::start(&server.endpoint()).await;
    let storage = open(server, proxy.endpoint(), Duration::from_secs(30));
    let content = pattern(300_000);
    let in_the_body = ProxyFault::FlipRequest(150_000);
    proxy.fail_next(1, in_the_body);
    create(&storage, "a", content.clone()).await.unwrap();
    assert_eq!(proxy.struck(), 1);
    assert!(storage.requests().unwrap().repeated >= 1);
    assert_eq!(read(&storage, "a").await, content);
    // Of several parts too.
    let path = Path::from("b");
    let mut upload = storage.objects.put_multipart(&path).await.unwrap();
    proxy.fail_next(1, in_the_body);
    upload.put_part(content.clone().into()).await.unwrap();
    upload.complete().await.unwrap();
    assert_eq!(read(&storage, "b").await, content);

    // The server refuses it, and nothing of it is there.
    let prefix = server.fresh_prefix();
    let [once, patient] = [Duration::ZERO, Duration::from_secs(30)].map(|patience| {
        let access = access(server, proxy.endpoint(), server.secret_key());
        let limits = Limits {
            patience,
            ..Limits::default()
        };
        open_s3(server.bucket(), &prefix, &access, limits).unwrap()
    });
    proxy.fail(in_the_body);
    let failed = create(&once, "c", content).await.unwrap_err();
    let text = strongroom_types::Chain(&failed).to_string();
    assert!(text.contains("the server answered 400"), "{text}");
    proxy.heal();
    let missing = patient.objects.head(&Path::from("c")).await.unwrap_err();
    assert_eq!(fault_of(&missing), Fault::Missing);
}

/// Answers one request, after it has been read to its end; returns its head.
async fn answer_one(listener: TcpListener, body: &[u8]) -> String {
    let (mut client, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(body) {
        assert!(client.read_buf(&mut request).await.unwrap() > 0);
    }
    let answer = b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n";
    client.write_all(answer).await.unwrap();
    String::from_utf8_lossy(&request).to_lowercase()
}

#[tokio::test]
async fn uploads_carry_the_hash_of_their_body() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let access = S3Access::Server(S3Server {
        endpoint: format!("http://{}", listener.local_addr().unwrap()),
        region: "r".to_owned(),
        access_key: "a".to_owned(),
        secret_key: "s".to_owned(),
    });
    let storage = open_s3("bucket", "prefix", &access, Limits::default()).unwrap();
    // The hash of "abc" is the first example of FIPS 180-2.
    let body = Bytes::from_static(b"abc");
    let (head, created) = tokio::join!(
        answer_one(listener, b"\r\n\r\nabc"),
        create(&storage, "x", body)
    );
    created.unwrap();
    let base64 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=".to_lowercase();
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for line in [
        format!("x-amz-checksum-sha256: {base64}"),
        format!("x-amz-content-sha256: {hex}"),
        "if-none-match: *".to_owned(),
    ] {
        assert!(head.contains(&line), "{line}: {head}");
    }
    assert!(
        head.contains("x-amz-checksum-sha256;"),
        "it is signed: {head}"
    );
}
