use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use strongroom_testkit::SeededIds;
use strongroom_types::{SystemClock, SystemIds};

use crate::*;

pub(super) fn env() -> Env {
    Env {
        clock: Arc::new(SystemClock),
        ids: Arc::new(SystemIds),
    }
}

pub(super) fn key() -> Secret {
    Secret::KeyFile(generate_key_file(&SeededIds::new(9)).into_bytes())
}

pub(super) const SMALL_PACKS: Options = Options {
    profile: Profile::Default,
    pack_bytes_target: 1 << 20,
    parity: false,
};

pub(super) async fn in_memory() -> (Arc<dyn ObjectStore>, Repository) {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let repository = init(&store, SMALL_PACKS).await;
    (store, repository)
}

/// A repository whose keys are the same in every run, and so its cuts; later ids differ.
pub(super) async fn init(store: &Arc<dyn ObjectStore>, options: Options) -> Repository {
    let seeded = Env {
        ids: Arc::new(SeededIds::new(1)),
        ..env()
    };
    Repository::init(Arc::clone(store), &key(), options, seeded)
        .await
        .unwrap();
    Repository::open(Arc::clone(store), &key(), env())
        .await
        .unwrap()
}

/// An image of holes, random, compressible and repeated stretches; not a multiple of the grid.
pub(super) fn image(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(length);
    let mut state = seed | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    while bytes.len() < length {
        let stretch = usize::try_from(next() % 300_000).unwrap() + 1;
        match next() % 8 {
            0 => bytes.extend(std::iter::repeat_n(0, stretch)),
            1..=5 => bytes.extend((0..stretch / 8).flat_map(|_| next().to_le_bytes())),
            6 => bytes.extend((0..stretch / 8).flat_map(|_| (next() % 1000).to_le_bytes())),
            _ => {
                let from = bytes.len().saturating_sub(300_000) / 4096 * 4096;
                bytes.resize(bytes.len().next_multiple_of(4096), 7);
                bytes.extend_from_within(from..);
            }
        }
    }
    bytes.truncate(length);
    bytes
}

pub(super) fn new_point(name: &str, size_bytes: usize) -> NewPoint {
    NewPoint {
        name: name.to_owned(),
        lineage: "disk".to_owned(),
        size_bytes: size_bytes as u64,
        attributes: serde_json::json!({"purpose": "test"}),
    }
}

pub(super) async fn back_up(repository: &Repository, name: &str, image: &[u8]) -> Result<Commit> {
    let mut writer = repository.begin_point(new_point(name, image.len())).await?;
    for portion in image.chunks(1 << 20) {
        writer.write(Bytes::copy_from_slice(portion)).await?;
    }
    writer.commit().await
}

pub(super) async fn restore(repository: &Repository, id: &PointId) -> Result<Vec<u8>> {
    let mut reader = repository.read_point(id).await?;
    let mut bytes = Vec::new();
    while let Some(segment) = reader.next().await? {
        assert_eq!(segment.offset, bytes.len() as u64);
        match segment.content {
            Content::Data(data) => bytes.extend(data),
            Content::Hole(length) => {
                bytes.resize(bytes.len() + usize::try_from(length).unwrap(), 0);
            }
        }
    }
    assert_eq!(bytes.len() as u64, reader.size_bytes());
    Ok(bytes)
}
