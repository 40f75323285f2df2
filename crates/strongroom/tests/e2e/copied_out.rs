//! Disks that are copied out of backups, as raw and as qcow2: what comes is what was saved, and stays until it has come.

use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, IF_RANGE, RANGE};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api::{Api, refusal};
use crate::disks::{self, flattened, run, text};
use crate::live::until;
use crate::server::{BINARY, Server};

/// More than what sockets hold for a client that does not read.
const LARGE: usize = 64 << 20;

/// A backup of a server of two disks, of which one is sparse.
struct Saved {
    server: Server,
    api: Api,
    backup: String,
    /// Ids of the disks, and the bytes of each.
    disks: [(String, PathBuf); 2],
    /// Last, since the server writes its log there.
    folder: TempDir,
}

impl Saved {
    async fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (system, data) = (
            folder.path().join("system.qcow2"),
            folder.path().join("data.raw"),
        );
        let raw = folder.path().join("system.raw");
        disks::ext4(&raw, 96 << 20, 6 << 20);
        disks::to_qcow2(&raw, &system);
        disks::random(&data, bytes, 3);
        let server = Server::start_in(&folder.path().join("data"));
        let api = Api::sign_in(&server).await;
        let added = server.add_server("web", &[&system, &data]);
        let vault = api
            .make_vault("server", &[added["id"].as_str().unwrap()])
            .await;
        let backup = api.back_up(&vault).await;
        let (_, shown) = api.get(&format!("/backups/{backup}")).await;
        let disks = [(0, flattened(&system, "qcow2")), (1, data)].map(|(n, bytes)| {
            let child = &shown["backup"]["children"][n];
            (child["resource_id"].as_str().unwrap().to_owned(), bytes)
        });
        Self {
            server,
            api,
            backup,
            disks,
            folder,
        }
    }

    fn path(&self, disk: usize, format: &str) -> String {
        let (project, disk) = (&self.api.project, &self.disks[disk].0);
        let backup = &self.backup;
        format!("//strongroom/v1/{project}/backups/{backup}/disks/{disk}/content?format={format}")
    }

    fn export(&self, arguments: &[&str]) -> Value {
        self.server
            .verb(&[&["backup", "export", &self.backup], arguments].concat())
    }

    /// The ranges of an image are what lies in the file.
    async fn parts_are_those_of(&self, disk: usize, file: &Path, format: &str) {
        let whole = std::fs::read(file).unwrap();
        let end = whole.len();
        let path = self.path(disk, format);
        let head = self.api.request(Method::HEAD, &path).send().await.unwrap();
        assert_eq!(head.headers()[CONTENT_LENGTH], end.to_string());
        for (start, last) in [
            (0, 9),
            (65_000, 400_000),
            (end / 2, end / 2 + 70_000),
            (end - 5, end),
        ] {
            let range = format!("bytes={start}-{last}");
            let asked = self.api.request(Method::GET, &path).header(RANGE, &range);
            let answer = asked
                .header(IF_RANGE, &head.headers()[ETAG])
                .send()
                .await
                .unwrap();
            assert_eq!(answer.status(), 206);
            let stop = end.min(last + 1);
            let part = format!("bytes {start}-{}/{end}", stop - 1);
            assert_eq!(answer.headers()[CONTENT_RANGE], part);
            assert!(
                answer.bytes().await.unwrap() == whole[start..stop],
                "{range}"
            );
        }
    }

    /// Asks for the large disk, and reads none of it yet.
    async fn begin(&self) -> reqwest::Response {
        let request = self.api.request(Method::GET, &self.path(1, "raw"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer
    }

    async fn delete(&self) -> (u16, Value) {
        self.api.delete(&format!("/backups/{}", self.backup)).await
    }

    async fn delete_as_soon_as_possible(&self) {
        let deleting = async {
            while self.delete().await.0 != 204 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), deleting)
            .await
            .unwrap();
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    std::fs::read(one).unwrap() == std::fs::read(other).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_are_copied_out_as_they_were_in_both_formats() {
    // It ends within a cluster.
    let saved = Saved::new((3 << 20) + 1536).await;
    let place = |name: &str| saved.folder.path().join(name);
    for (n, (disk, bytes)) in saved.disks.iter().enumerate() {
        let raw = place(&format!("{n}.raw"));
        let told = saved.export(&["--disk", disk, text(&raw)]);
        assert_eq!(told["size_bytes"], bytes.metadata().unwrap().len());
        assert!(is_same(&raw, bytes));
        let qcow2 = place(&format!("{n}.qcow2"));
        saved.export(&["--disk", disk, "--format", "qcow2", text(&qcow2)]);
        run("qemu-img", &["check", "-q", text(&qcow2)]);
        let compare = [
            "compare",
            "-f",
            "qcow2",
            "-F",
            "raw",
            text(&qcow2),
            text(bytes),
        ];
        run("qemu-img", &compare);
        for parts in [(raw, "raw"), (qcow2, "qcow2")] {
            saved.parts_are_those_of(n, &parts.0, parts.1).await;
        }
    }
    assert!(place("0.raw").metadata().unwrap().blocks() * 512 < 32 << 20);
    let disk = &saved.disks[1];
    let export = ["backup", "export", &saved.backup, "--disk", &disk.0, "-"];
    let piped = saved.server.try_verb(&export);
    assert!(piped.status.success() && piped.stdout == std::fs::read(&disk.1).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_cannot_be_says_why_and_leaves_nothing() {
    let saved = Saved::new(1 << 20).await;
    let place = |name: &str| saved.folder.path().join(name);
    let refused = |arguments: &[&str], why: &str| {
        let export = ["backup", "export", &saved.backup];
        let output = saved.server.try_verb(&[&export, arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    let new = place("new.raw");
    refused(&[text(&new)], &saved.disks[1].0);
    let disk = ["--disk", &saved.disks[0].0];
    refused(
        &[&disk[..], &[text(&place("data.raw"))]].concat(),
        "is there already",
    );
    refused(
        &[&disk[..], &[text(&place("nowhere/new.raw"))]].concat(),
        "cannot be made",
    );
    refused(&["--disk", &saved.backup, text(&new)], "BackupService.6302");
    let entries = std::fs::read_dir(saved.folder.path()).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names
        .filter(|name| name == "new.raw" || name.as_encoded_bytes().starts_with(b"."))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_stays_until_whoever_copies_it_out_has_all_or_goes() {
    let saved = Saved::new(LARGE).await;
    let mut reading = saved.begin().await;
    assert!(reading.chunk().await.unwrap().is_some());
    assert_eq!(refusal(&saved.delete().await), (400, "BackupService.6216"));
    let rest = saved.begin().await.bytes().await.unwrap();
    assert!(rest == std::fs::read(&saved.disks[1].1).unwrap());
    assert_eq!(refusal(&saved.delete().await), (400, "BackupService.6216"));
    drop(reading);
    saved.delete_as_soon_as_possible().await;
    saved
        .api
        .wait_until_gone(&format!("/backups/{}", saved.backup))
        .await;
    saved.server.repositories_are_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_killed_breaks_the_copy_off_and_holds_nothing_when_it_starts() {
    let mut saved = Saved::new(LARGE).await;
    let reading = saved.begin().await;
    let data_dir = saved.server.data_dir().to_owned();
    saved.server.kill();
    assert!(reading.bytes().await.is_err());
    saved.server = Server::start_in(&data_dir);
    saved.api = saved.api.at(&saved.server);
    assert_eq!(saved.delete().await, (204, json!("")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_goes_on_where_it_was_when_the_service_is_there_again() {
    let mut saved = Saved::new(LARGE).await;
    let (disk, content) = &saved.disks[1];
    let mut export = Command::new(BINARY);
    export.args([
        "backup",
        "export",
        &saved.backup,
        "--disk",
        disk,
        "-",
        "--credentials",
    ]);
    export
        .arg(saved.server.credentials_path())
        .stdout(Stdio::piped());
    let mut export = export.spawn().unwrap();
    let mut output = export.stdout.take().unwrap();
    let mut copied = vec![0; 1 << 20];
    output.read_exact(&mut copied).unwrap();

    let address = saved
        .server
        .endpoint
        .strip_prefix("http://")
        .unwrap()
        .to_owned();
    let data_dir = saved.server.data_dir().to_owned();
    saved.server.kill();
    saved.server = Server::start_at(Command::new(BINARY), &address, &data_dir, &[]);
    output.read_to_end(&mut copied).unwrap();
    assert!(export.wait().unwrap().success());
    assert!(copied == std::fs::read(content).unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_nobody_reads_ends_with_a_signal_and_holds_nothing() {
    let saved = Saved::new(LARGE).await;
    let mut export = Command::new(BINARY);
    export.args(["backup", "export", &saved.backup, "-", "--disk"]);
    export.args([&saved.disks[1].0, "--credentials"]);
    export
        .arg(saved.server.credentials_path())
        .stdout(Stdio::piped());
    let mut export = export.spawn().unwrap();
    let _output = export.stdout.take().unwrap();
    let threads = format!("/proc/{}/task", export.id());
    let waits = || {
        let mut threads = std::fs::read_dir(&threads).unwrap();
        threads.any(|thread| {
            let place = std::fs::read_to_string(thread.unwrap().path().join("wchan"));
            place.is_ok_and(|place| place.contains("pipe_write"))
        })
    };
    until("the pipe is full", waits).await;
    let pid = Pid::from_raw(i32::try_from(export.id()).unwrap());
    kill(pid, Signal::SIGINT).unwrap();
    let ended = tokio::task::spawn_blocking(move || export.wait().unwrap());
    let ended = tokio::time::timeout(Duration::from_mins(1), ended).await;
    assert_eq!(ended.unwrap().unwrap().code(), Some(1));
    saved.delete_as_soon_as_possible().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_that_fails_breaks_the_copy_off_and_is_told_in_the_log() {
    let saved = Saved::new(LARGE).await;
    let packs = saved
        .server
        .data_dir()
        .join("repositories")
        .join(&saved.api.project)
        .join("packs");
    std::fs::rename(&packs, saved.folder.path().join("away")).unwrap();
    let answer = saved
        .api
        .request(Method::GET, &saved.path(1, "raw"))
        .send()
        .await
        .unwrap();
    let (_, shown) = saved.api.get(&format!("/backups/{}", saved.backup)).await;
    let child = shown["backup"]["children"][1]["id"].as_str().unwrap();
    assert!(!answer.status().is_success() || answer.bytes().await.is_err());
    let log = saved.server.log();
    let line = log
        .lines()
        .find(|line| line.contains("that is copied out cannot be read"));
    assert!(line.unwrap().contains(child), "{log}");
    saved.delete_as_soon_as_possible().await;
}
