//! The content of disks as clients copy it out; what the disks hold is played.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use serde_json::Value;
use strongroom_service::contents::{ContentStore, ContentStream, DiskContent};
use strongroom_service::rows::Backup;
use strongroom_service::{App, Error};
use strongroom_types::VolumeFormat;

use super::golden::backed_up;
use super::server::{Answer, TestServer, Who, on_each_server};

const SIZE: u64 = 100_000;
const PIECE: usize = 1000;
/// Where an image in qcow2 breaks off.
const BROKEN_AT: u64 = 50_000;

/// Disks of letters, which come in pieces.
#[derive(Debug)]
pub(crate) struct PlayedContents;

#[derive(Debug)]
struct Letters(VolumeFormat);

#[async_trait]
impl ContentStore for PlayedContents {
    async fn find(
        &self,
        _: &App,
        _: &Backup,
        format: VolumeFormat,
    ) -> Result<Box<dyn DiskContent>, Error> {
        Ok(Box::new(Letters(format)))
    }
}

impl DiskContent for Letters {
    fn size_bytes(&self) -> u64 {
        SIZE
    }

    fn read(self: Box<Self>, range: Range<u64>) -> ContentStream {
        let pieces = range.step_by(PIECE).map(move |at| match self.0 {
            VolumeFormat::Qcow2 if at >= BROKEN_AT => {
                Err(Error::StorageUnavailable("it is gone".into()))
            }
            _ => Ok(letters(at..SIZE.min(at + PIECE as u64))),
        });
        stream::iter(pieces).boxed()
    }
}

fn letters(range: Range<u64>) -> Bytes {
    range
        .map(|at| b"abcdefghijklmnopqrstuvwxyz!"[usize::try_from(at % 27).unwrap()])
        .collect()
}

struct Disk {
    backup: String,
    content: String,
}

/// Of a server's backup, the only disk.
async fn disk(server: &TestServer) -> Disk {
    backed_up(server).await;
    let listed = server.get("/v3/{project_id}/backups").await.expect(200);
    let backup = listed["backups"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/v3/{{project_id}}/backups/{backup}");
    let shown = server.get(&path).await.expect(200);
    let disk = shown["backup"]["children"][0]["resource_id"]
        .as_str()
        .unwrap()
        .to_owned();
    Disk {
        content: format!("/strongroom/v1/{{project_id}}/backups/{backup}/disks/{disk}/content"),
        backup: path,
    }
}

async fn ask(server: &TestServer, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = server.request(Who::Admin, method, path);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    server.send(request.body(Body::empty()).unwrap()).await
}

async fn begin(server: &TestServer, path: &str) -> Response {
    let request = server.request(Who::Admin, "GET", path);
    server.respond(request.body(Body::empty()).unwrap()).await
}

fn told(answer: &Answer, name: &str) -> String {
    let value = answer.headers.get(name);
    value
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_disk_is_copied_out_as_a_whole_or_in_part() {
    on_each_server(async |server| {
        let path = disk(&server).await.content;
        let whole = ask(&server, "GET", &path, &[]).await;
        assert_eq!(
            (whole.status.as_u16(), whole.text.as_bytes()),
            (200, &letters(0..SIZE)[..])
        );
        let etag = told(&whole, "etag");
        assert!(etag.starts_with('"') && etag.ends_with(".raw\""), "{etag}");
        assert_eq!(told(&whole, "accept-ranges"), "bytes");
        assert_eq!(told(&whole, "content-type"), "application/octet-stream");
        let head = ask(&server, "HEAD", &path, &[("range", "bytes=5-9")]).await;
        assert_eq!((head.status.as_u16(), &head.text[..]), (200, ""));
        assert_eq!(told(&head, "content-length"), SIZE.to_string());
        assert_eq!(told(&head, "etag"), etag);

        let range = [("range", "bytes=99990-"), ("if-range", &etag)];
        let part = ask(&server, "GET", &path, &range).await;
        assert_eq!(
            (part.status.as_u16(), part.text.as_bytes()),
            (206, &letters(99_990..SIZE)[..])
        );
        assert_eq!(told(&part, "content-range"), "bytes 99990-99999/100000");
        assert_eq!(told(&part, "content-length"), "10");
        let other = ask(
            &server,
            "GET",
            &path,
            &[range[0], ("if-range", "\"other\"")],
        )
        .await;
        assert_eq!(other.status, 200);
        let behind = ask(&server, "GET", &path, &[("range", "bytes=100000-")]).await;
        assert_eq!(told(&behind, "content-range"), "bytes */100000");
        assert_eq!(behind.refusal(), "Strongroom.1025 416");
        let other = ask(&server, "HEAD", &format!("{path}?format=qcow2"), &[]).await;
        assert_ne!(told(&other, "etag"), etag);
    })
    .await;
}

#[tokio::test]
async fn a_backup_is_not_deleted_while_a_disk_of_it_is_copied_out() {
    on_each_server(async |server| {
        let disk = disk(&server).await;
        let reading = begin(&server, &disk.content).await;
        assert_eq!(server.delete(&disk.backup).await.refusal(), "6216 400");
        let again = begin(&server, &disk.content)
            .await
            .into_body()
            .collect()
            .await;
        assert_eq!(again.unwrap().to_bytes(), letters(0..SIZE));
        assert_eq!(server.delete(&disk.backup).await.refusal(), "6216 400");
        drop(reading);
        let deleting = async {
            while server.delete(&disk.backup).await.status != 204 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), deleting)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_read_breaks_the_body_off() {
    on_each_server(async |server| {
        let path = disk(&server).await.content + "?format=qcow2";
        let mut body = begin(&server, &path).await.into_body();
        let mut read = 0;
        let end = loop {
            match body.frame().await {
                Some(Ok(frame)) => read += frame.into_data().unwrap().len() as u64,
                end => break end,
            }
        };
        assert!(end.unwrap().is_err());
        assert_eq!(read, BROKEN_AT);
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_copied_out_is_refused() {
    on_each_server(async |server| {
        let disk = disk(&server).await;
        let unknown = "11111111-2222-4333-8444-555555555555";
        let root = "/strongroom/v1/{project_id}/backups";
        let other_disk = disk.content.rsplit('/').nth(1).unwrap();
        let cases = [
            (
                format!("{root}/{unknown}/disks/{unknown}/content"),
                "6200 404",
            ),
            (disk.content.replace(other_disk, unknown), "6302 404"),
            (disk.content.replace(other_disk, "NO-ID"), "6302 404"),
            (format!("{}?format=vmdk", disk.content), "9900 400"),
        ];
        for (path, refusal) in cases {
            assert_eq!(server.get(&path).await.refusal(), refusal, "{path}");
        }
        let reader = server
            .call(Who::Reader, "GET", &disk.content, &Value::Null)
            .await;
        assert_eq!(reader.refusal(), "APIGW.0302 403");
        server.delete(&disk.backup).await.expect(204);
        assert_eq!(server.get(&disk.content).await.refusal(), "2005 400");
    })
    .await;
}
