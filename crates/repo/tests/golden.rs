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

use strongroom_repo::{
    Content, Env, Error, PointId, Repository, Secret, VerifyDepth, VerifyReport,
};
use strongroom_store::{Create, open_local};
use strongroom_types::{SystemClock, SystemIds};

/// A copy that the test may change.
struct Golden {
    folder: tempfile::TempDir,
    kept: PathBuf,
}

impl Golden {
    fn copy(name: &str) -> Self {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden/1")
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
    let golden = Golden::copy("plain");
    let repository = golden.open(&golden.key("key")).await.unwrap();
    assert_eq!(repository.key_generation(), 1);
    golden.check(&repository).await;
    assert!(verify(&repository).await.is_clean());
    let old = golden.open(&golden.key("old.key")).await;
    assert!(matches!(old, Err(Error::WrongKey)), "{old:?}");
}

#[tokio::test]
async fn a_repository_of_a_passphrase_is_read() {
    let golden = Golden::copy("passphrase");
    let secret = Secret::Passphrase("correct horse battery staple".to_owned());
    let repository = golden.open(&secret).await.unwrap();
    golden.check(&repository).await;
    assert!(verify(&repository).await.is_clean());
    repository.rotate_keys(&secret).await.unwrap();
    golden.check(&golden.open(&secret).await.unwrap()).await;
}

#[tokio::test]
async fn a_repository_with_parity_is_read_whole_or_damaged() {
    let golden = Golden::copy("parity");
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
    let golden = Golden::copy("plain");
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
