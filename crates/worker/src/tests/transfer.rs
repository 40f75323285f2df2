use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::memory::InMemory;
use strongroom_block::create_raw;
use strongroom_repo::{Env, NewPoint, Options, Point, Repository, Secret, generate_key_file};
use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::VolumeFormat;
use tokio_util::sync::CancellationToken;

use crate::places::{open_sink, open_source};
use crate::transfer::{Progress, TransferError, back_up, restore};

pub(super) const MIB: usize = 1 << 20;

pub(super) struct Setting {
    pub(super) folder: tempfile::TempDir,
    pub(super) repository: Repository,
}

impl Setting {
    pub(super) async fn new() -> Self {
        let ids = Arc::new(SeededIds::default());
        let secret = Secret::KeyFile(generate_key_file(ids.as_ref()).into_bytes());
        let env = Env {
            clock: Arc::new(MockClock::default()),
            ids,
        };
        let store = Arc::new(InMemory::new());
        let repository = Repository::init(store, &secret, Options::default(), env)
            .await
            .unwrap();
        Self {
            folder: tempfile::tempdir().unwrap(),
            repository,
        }
    }

    pub(super) fn disk(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    pub(super) async fn save(&self, name: &str, disk: &Path) -> Point {
        let source = open_source(disk, VolumeFormat::Raw).unwrap();
        let new = NewPoint {
            name: name.to_owned(),
            lineage: "disk".to_owned(),
            size_bytes: source.size_bytes(),
            attributes: serde_json::Value::Null,
        };
        let progress = Progress::new(new.size_bytes);
        let backed_up = back_up(
            &self.repository,
            source,
            new,
            &progress,
            &CancellationToken::new(),
        )
        .await
        .unwrap();
        backed_up.commit.point
    }

    pub(super) async fn bring_back(
        &self,
        point: &Point,
        disk: &Path,
    ) -> Result<u64, TransferError> {
        let sink = open_sink(disk, VolumeFormat::Raw).unwrap();
        let progress = Progress::new(point.size_bytes);
        let restored = restore(
            &self.repository,
            &point.id,
            sink,
            &progress,
            &CancellationToken::new(),
        )
        .await?;
        assert_eq!(progress.percent(), 100);
        Ok(restored.written_bytes)
    }
}

/// Random bytes with zeros from a third to a half.
pub(super) fn content(bytes: usize, seed: u64) -> Vec<u8> {
    let mut content = vec![0; bytes];
    blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof()
        .fill(&mut content);
    content[bytes / 3..bytes / 2].fill(0);
    content
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_writes_only_what_differs() {
    let setting = Setting::new().await;
    let original = content(6 * MIB + 1234, 1);
    let disk = setting.disk("disk", &original);
    let point = setting.save("first", &disk).await;
    assert_eq!(setting.bring_back(&point, &disk).await.unwrap(), 0);

    let mut damaged = original.clone();
    damaged[5 * MIB] ^= 1;
    damaged[5 * MIB / 2] = 1;
    let disk = setting.disk("damaged", &damaged);
    let written = setting.bring_back(&point, &disk).await.unwrap();
    assert!(written > 0 && written <= 2 * (64 << 10), "{written}");
    assert!(std::fs::read(&disk).unwrap() == original);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_stays_sparse_and_a_larger_one_keeps_its_end() {
    let setting = Setting::new().await;
    let original = content(6 * MIB, 2);
    let point = setting
        .save("first", &setting.disk("disk", &original))
        .await;

    let new = setting.folder.path().join("new");
    drop(create_raw(&new, original.len() as u64).unwrap());
    setting.bring_back(&point, &new).await.unwrap();
    assert!(std::fs::read(&new).unwrap() == original);
    let blocks = std::os::unix::fs::MetadataExt::blocks(&std::fs::metadata(&new).unwrap());
    assert!(blocks * 512 < original.len() as u64, "zeros take no space");

    let larger = setting.disk("larger", &vec![7; 8 * MIB]);
    setting.bring_back(&point, &larger).await.unwrap();
    let restored = std::fs::read(&larger).unwrap();
    assert!(restored[..original.len()] == original);
    assert!(restored[original.len()..].iter().all(|byte| *byte == 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smaller_target_is_refused_before_a_byte_is_written() {
    let setting = Setting::new().await;
    let point = setting
        .save("first", &setting.disk("disk", &content(2 * MIB, 3)))
        .await;
    let small = setting.disk("small", &vec![7; MIB]);
    let error = setting.bring_back(&point, &small).await.unwrap_err();
    assert!(
        matches!(error, TransferError::TargetTooSmall { .. }),
        "{error}"
    );
    assert!(std::fs::read(&small).unwrap().iter().all(|byte| *byte == 7));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_attempt_adopts_the_point_of_the_first() {
    let setting = Setting::new().await;
    let disk = setting.disk("disk", &content(2 * MIB, 4));
    let first = setting.save("backup", &disk).await;
    std::fs::write(&disk, content(2 * MIB, 5)).unwrap();
    assert_eq!(setting.save("backup", &disk).await, first);
    assert_eq!(setting.repository.list_points().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_transfer_leaves_no_point() {
    let setting = Setting::new().await;
    let disk = setting.disk("disk", &content(4 * MIB, 6));
    let source = open_source(&disk, VolumeFormat::Raw).unwrap();
    let new = NewPoint {
        name: "x".to_owned(),
        lineage: "disk".to_owned(),
        size_bytes: source.size_bytes(),
        attributes: serde_json::Value::Null,
    };
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = back_up(
        &setting.repository,
        source,
        new,
        &Progress::default(),
        &cancel,
    )
    .await
    .unwrap_err();
    assert!(matches!(error, TransferError::Cancelled));
    assert!(setting.repository.list_points().await.unwrap().is_empty());
}

#[tokio::test]
async fn two_attempts_at_one_point_end_with_the_same_point() {
    let setting = Setting::new().await;
    let disk = setting.disk("disk", &vec![7; 3 * MIB]);
    let (first, second) = tokio::join!(setting.save("p", &disk), setting.save("p", &disk));
    assert_eq!(first, second);
}
