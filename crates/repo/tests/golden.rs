//! Repositories that were written by this version of the format stay readable, and repairable, for ever.
//!
//! `cargo run -p strongroom-repo --example golden -- FOLDER` made them. The keyring of `plain` was wrapped anew since, when
//! its format got a mac: keyrings without were never released.

#![expect(
    clippy::unwrap_used,
    reason = "a test that panics has failed, and says where"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strongroom_repo::{
    CollectOptions, Content, Env, Error, PointId, RepairReport, Repository, ScrubOptions, Secret,
    VerifyDepth, VerifyReport, scrub,
};
use strongroom_store::{Create, open_local};
use strongroom_types::{SystemClock, SystemIds};

/// A copy that the test may change.
struct Golden {
    folder: tempfile::TempDir,
    kept: PathBuf,
}

impl Golden {
    /// By its version and name.
    fn copy(name: &str) -> Self {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(name);
        let folder = tempfile::tempdir().unwrap();
        copy(&kept.join("repository"), folder.path());
        Self { folder, kept }
    }

    fn key(&self, name: &str) -> Secret {
        Secret::KeyFile(fs::read(self.kept.join(name)).unwrap())
    }

    async fn open(&self, secret: &Secret) -> Result<Repository, Error> {
        let env = Env {
            clock: Arc::new(SystemClock),
            ids: Arc::new(SystemIds),
        };
        let storage = open_local(self.folder.path(), Create::Never).unwrap();
        Repository::open(storage, secret, env).await
    }

    /// Id, name and hash of every point.
    fn expected(&self) -> Vec<[String; 3]> {
        let text = fs::read_to_string(self.kept.join("expected.txt")).unwrap();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
        text.lines()
            .map(|line| words(line).try_into().unwrap())
            .collect()
    }

    async fn check(&self, repository: &Repository) {
        let mut points = repository.list_points().await.unwrap();
        points.sort_by_key(|point| point.id.to_string());
        let mut expected = self.expected();
        expected.sort();
        assert_eq!(points.len(), expected.len());
        for (point, [id, name, sum]) in points.iter().zip(&expected) {
            assert_eq!((&point.id.to_string(), &point.name), (id, name));
            let bytes = restore(repository, &point.id).await;
            assert_eq!(
                hex::encode(strongroom_chunk::checksum(&bytes)),
                *sum,
                "{name}"
            );
        }
    }

    fn folder_is_empty(&self, name: &str) -> bool {
        let mut files = Vec::new();
        let folder = self.folder.path().join(name);
        if folder.is_dir() {
            walk(&folder, &mut files);
        }
        files.is_empty()
    }

    /// As if the objects of this folder had been put a day ago.
    fn age(&self, folder: &str) {
        let mut files = Vec::new();
        walk(&self.folder.path().join(folder), &mut files);
        for file in files {
            let file = fs::File::options().append(true).open(file).unwrap();
            let put = file.metadata().unwrap().modified().unwrap();
            file.set_modified(put - Duration::from_hours(24)).unwrap();
        }
    }

    /// The text that was written down beside the repository, and what is to be compared with it.
    fn check_told(&self, name: &str, told: &impl serde::Serialize) {
        let expected = fs::read_to_string(self.kept.join(name)).unwrap();
        let told = serde_json::to_string_pretty(told).unwrap() + "\n";
        assert_eq!(told, expected, "{name}");
    }

    /// The file of the largest pack of chunks.
    fn largest_pack(&self) -> PathBuf {
        let mut files = Vec::new();
        walk(&self.folder.path().join("packs"), &mut files);
        let size = |file: &PathBuf| fs::metadata(file).unwrap().len();
        files.into_iter().max_by_key(size).unwrap()
    }
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else {
            files.push(path);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

async fn restore(repository: &Repository, id: &PointId) -> Vec<u8> {
    let mut reader = repository.read_point(id).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(segment) = reader.next().await.unwrap() {
        match segment.content {
            Content::Data(data) => bytes.extend(data),
            Content::Hole(length) => {
                bytes.resize(bytes.len() + usize::try_from(length).unwrap(), 0);
            }
        }
    }
    bytes
}

async fn verify(repository: &Repository) -> VerifyReport {
    let report = repository.verify(VerifyDepth::ReadData, &|_| ());
    report.await.unwrap()
}

#[tokio::test]
async fn a_repository_whose_keys_were_changed_is_read() {
    let golden = Golden::copy("1/plain");
    let repository = golden.open(&golden.key("key")).await.unwrap();
    assert_eq!(repository.key_generation(), 1);
    golden.check(&repository).await;
    assert!(verify(&repository).await.is_clean());
    let old = golden.open(&golden.key("old.key")).await;
    assert!(matches!(old, Err(Error::WrongKey)), "{old:?}");
}

#[tokio::test]
async fn a_repository_of_a_passphrase_is_read() {
    let golden = Golden::copy("1/passphrase");
    let secret = Secret::Passphrase("correct horse battery staple".to_owned());
    let repository = golden.open(&secret).await.unwrap();
    golden.check(&repository).await;
    assert!(verify(&repository).await.is_clean());
    repository.rotate_keys(&secret).await.unwrap();
    golden.check(&golden.open(&secret).await.unwrap()).await;
}

#[tokio::test]
async fn a_repository_with_parity_is_read_whole_or_damaged() {
    let golden = Golden::copy("1/parity");
    let repository = golden.open(&golden.key("key")).await.unwrap();
    golden.check(&repository).await;
    assert!(verify(&repository).await.is_clean());
    let pack = golden.largest_pack();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle - 20_000..middle + 20_000].fill(0);
    fs::write(&pack, bytes).unwrap();
    let repository = golden.open(&golden.key("key")).await.unwrap();
    golden.check(&repository).await;
}

#[tokio::test]
async fn damage_without_parity_is_found_and_named() {
    let golden = Golden::copy("1/plain");
    let pack = golden.largest_pack();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[1000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let repository = golden.open(&golden.key("key")).await.unwrap();
    let report = verify(&repository).await;
    let name = pack.file_name().unwrap().to_str().unwrap();
    assert!(
        report
            .damage
            .iter()
            .any(|damage| damage.object.ends_with(name)),
        "{report:?}"
    );
    assert!(
        report.damage.iter().any(|damage| !damage.hits.is_empty()),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_repository_with_every_kind_of_object_is_read_and_collected() {
    let golden = Golden::copy("2/complete");
    for folder in ["points-copy", "keys", "condemned", "damaged", "quarantine"] {
        assert!(!golden.folder_is_empty(folder), "{folder}");
    }
    let storage = open_local(golden.folder.path(), Create::Never).unwrap();
    let scrubbed = scrub(storage, ScrubOptions::default()).await.unwrap();
    assert!(scrubbed.is_clean(), "{scrubbed:?}");
    assert_eq!(scrubbed.objects_quarantined, 1);
    let repository = golden.open(&golden.key("key")).await.unwrap();
    golden.check(&repository).await;
    let verified = verify(&repository).await;
    assert!(verified.is_clean(), "{verified:?}");
    // The reader that the condemned packs waited for has been silent since.
    golden.age("sessions");
    let collected = repository
        .collect(&CollectOptions::default(), &|_| ())
        .await
        .unwrap();
    assert!(collected.packs_deleted > 0, "{collected:?}");
    assert_eq!(collected.packs_pending, 0, "{collected:?}");
    assert!(golden.folder_is_empty("sessions"));
    golden
        .check(&golden.open(&golden.key("key")).await.unwrap())
        .await;
}

/// A damaged repository is told and repaired as it was when it was made; the repaired one.
async fn repaired(name: &str) -> (Golden, RepairReport, Repository) {
    let golden = Golden::copy(name);
    let repository = golden.open(&golden.key("key")).await.unwrap();
    golden.check_told("verified.json", &verify(&repository).await.damage);
    let report = repository.repair(&|_| ()).await.unwrap();
    golden.check_told("repaired.json", &report);
    let again = golden.open(&golden.key("key")).await.unwrap();
    (golden, report, again)
}

#[tokio::test]
async fn flipped_bytes_in_a_pack_with_parity_are_repaired() {
    let (golden, report, repository) = repaired("2/flipped").await;
    assert_eq!(report.left, []);
    golden.check(&repository).await;
    assert_eq!(repository.packs_healed(), 0);
    assert!(verify(&repository).await.is_clean());
}

#[tokio::test]
async fn a_lost_index_segment_is_written_anew() {
    let (golden, report, repository) = repaired("2/unindexed").await;
    assert_eq!(report.left, []);
    golden.check(&repository).await;
    assert!(verify(&repository).await.is_clean());
}

#[tokio::test]
async fn a_truncated_pack_of_nodes_is_put_aside_and_what_it_hits_is_named() {
    let (golden, report, _) = repaired("2/truncated").await;
    assert!(!golden.folder_is_empty("quarantine"));
    let [left] = report.left.as_slice() else {
        panic!("{report:?}");
    };
    assert!(left.object.starts_with("nodes/"));
    let points = golden.expected();
    assert_eq!(left.hits[0].point.to_string(), points[0][0]);
}
