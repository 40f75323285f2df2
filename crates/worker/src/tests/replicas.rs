use std::sync::Arc;

use strongroom_repo::Env;
use strongroom_service::Error;
use strongroom_service::peers::{BlockId, Comparison, Stretch};
use strongroom_service::replicas::{ReceivedDisk, ReplicaStore};
use strongroom_service::rows::Backup;
use strongroom_testkit::{MockClock, SeededIds};
use strongroom_types::{BackupStatus, ImageType, ResourceType, Timestamp};

use crate::StoredReplicas;
use crate::blocks::{BLOCK_BYTES, DiskHash, ZERO, block_ids};
use crate::repositories::Repositories;

const KEY: [u8; 32] = [7; 32];
const SIZE: usize = 5 * BLOCK_BYTES + 100;

/// A repository in a folder, and a disk that is being received into it.
struct Receiver {
    _folder: tempfile::TempDir,
    store: StoredReplicas,
    disk: ReceivedDisk,
}

impl Receiver {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys");
        std::fs::create_dir(&keys).unwrap();
        let env = Env {
            clock: Arc::new(MockClock::default()),
            ids: Arc::new(SeededIds::default()),
        };
        let repositories = Repositories::new(
            strongroom_store::Place::Folder(folder.path().join("repositories")),
            strongroom_store::Limits::default(),
            keys,
            folder.path().join("cache"),
            env,
        );
        Self {
            store: StoredReplicas {
                repositories: Arc::new(repositories),
            },
            disk: ReceivedDisk {
                backup: row(SIZE as u64),
                block_key: KEY,
                reference: None,
            },
            _folder: folder,
        }
    }

    fn stretch(&self, image: &[u8]) -> Stretch {
        Stretch {
            disk_id: self.disk.backup.id.clone(),
            number: 0,
            ids: block_ids(&KEY, image),
        }
    }

    async fn compare(&self, image: &[u8]) -> Comparison {
        let stretch = self.stretch(image);
        self.store.compare(&self.disk, &stretch).await.unwrap()
    }

    async fn receive(&self, image: &[u8], blocks: &[u8]) -> Result<(), Error> {
        self.store
            .receive(&self.disk, &self.stretch(image), blocks)
            .await
    }
}

fn row(size_bytes: u64) -> Backup {
    let now = Timestamp::from_seconds(1);
    let id = |n: u8| format!("00000000-0000-4000-8000-0000000000{n:02}");
    Backup {
        id: id(1).parse().unwrap(),
        project_id: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        vault_id: id(2).parse().unwrap(),
        checkpoint_id: id(3).parse().unwrap(),
        parent_id: Some(id(4).parse().unwrap()),
        resource_id: id(5).parse().unwrap(),
        resource_type: ResourceType::Volume,
        resource_name: "system".to_owned(),
        resource_size_gb: 1,
        name: "nightly".to_owned(),
        description: String::new(),
        status: BackupStatus::Protecting,
        image_type: ImageType::Replication,
        incremental: false,
        auto_trigger: false,
        system_disk: true,
        progress: 0,
        point_id: None,
        size_bytes,
        stored_bytes: 0,
        trouble: None,
        trouble_message: String::new(),
        created_at: now,
        updated_at: now,
        protected_at: Some(now),
        expired_at: None,
        policy_id: None,
        retention: None,
        quiesce: None,
    }
}

/// Five blocks and a short one: two alike, one of zeros.
fn image() -> Vec<u8> {
    let mut image = vec![1; SIZE];
    for (number, fill) in [1, 2, 1, 0, 4].into_iter().enumerate() {
        image[number * BLOCK_BYTES..(number + 1) * BLOCK_BYTES].fill(fill);
    }
    image
}

fn blocks(image: &[u8], numbers: &[usize]) -> Vec<u8> {
    let all: Vec<_> = image.chunks(BLOCK_BYTES).collect();
    numbers.iter().flat_map(|n| all[*n]).copied().collect()
}

#[tokio::test]
async fn only_what_is_lacking_is_asked_for_and_each_block_once() {
    let receiver = Receiver::new();
    let image = image();
    let lacking = Comparison::Lacking(vec![0, 1, 4, 5]);
    assert_eq!(receiver.compare(&image).await, lacking);
    receiver
        .receive(&image, &blocks(&image, &[0, 1, 4, 5]))
        .await
        .unwrap();
    assert_eq!(receiver.compare(&image).await, Comparison::Same);

    let mut changed = image.clone();
    changed[4 * BLOCK_BYTES + 7] = 9;
    assert_eq!(
        receiver.compare(&changed).await,
        Comparison::Lacking(vec![4])
    );
    receiver
        .receive(&changed, &blocks(&changed, &[4]))
        .await
        .unwrap();
    assert_eq!(receiver.compare(&changed).await, Comparison::Same);
}

#[tokio::test]
async fn what_became_zeros_is_kept_although_nothing_is_sent() {
    let receiver = Receiver::new();
    let image = image();
    receiver
        .receive(&image, &blocks(&image, &[0, 1, 4, 5]))
        .await
        .unwrap();
    let mut emptied = image;
    emptied[..2 * BLOCK_BYTES].fill(0);
    assert_eq!(
        receiver.compare(&emptied).await,
        Comparison::Lacking(vec![])
    );
    receiver.receive(&emptied, &[]).await.unwrap();
    assert_eq!(receiver.compare(&emptied).await, Comparison::Same);
}

#[tokio::test]
async fn blocks_that_are_not_what_their_ids_say_are_refused() {
    let receiver = Receiver::new();
    let image = image();
    let right = blocks(&image, &[0, 1, 4, 5]);
    let mut wrong = right.clone();
    wrong[BLOCK_BYTES] ^= 1;
    let long = [right.as_slice(), b"more"].concat();
    for sent in [&wrong[..], &right[..BLOCK_BYTES], &long] {
        let refused = receiver.receive(&image, sent).await;
        assert!(matches!(refused, Err(Error::ReplicaStale)), "{refused:?}");
    }
    assert_eq!(
        receiver.compare(&image).await,
        Comparison::Lacking(vec![0, 1, 4, 5]),
        "nothing of it was kept"
    );
}

#[tokio::test]
async fn a_stretch_that_the_disk_does_not_have_is_refused() {
    let receiver = Receiver::new();
    let mut stretch = receiver.stretch(&image());
    stretch.number = 1;
    let beyond = receiver.store.compare(&receiver.disk, &stretch).await;
    assert!(matches!(beyond, Err(Error::Invalid { .. })));
    let short = Stretch {
        number: 0,
        ids: vec![ZERO],
        ..stretch
    };
    let short = receiver.store.compare(&receiver.disk, &short).await;
    assert!(matches!(short, Err(Error::Invalid { .. })));
}

#[test]
fn the_hash_of_a_disk_knows_its_key_its_size_and_the_order() {
    let ids: [BlockId; 2] = [[1; 32], [2; 32]];
    let hash = |key: &[u8; 32], size: u64, ids: &[BlockId]| {
        let mut hash = DiskHash::new(key, size);
        hash.add(ids);
        hash.finish()
    };
    let first = hash(&KEY, 100, &ids);
    assert_eq!(first, hash(&KEY, 100, &ids));
    assert_ne!(first, hash(&[8; 32], 100, &ids));
    assert_ne!(first, hash(&KEY, 101, &ids));
    assert_ne!(first, hash(&KEY, 100, &[ids[1], ids[0]]));
}
