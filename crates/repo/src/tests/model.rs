//! Random histories of a repository against a plain map of images.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;
use strongroom_testkit::{FailingStore, Fault};

use super::support::*;
use crate::*;

#[derive(Debug, Clone)]
enum Step {
    /// Changes a part of the disk; may cross every border there is.
    Edit {
        offset: usize,
        length: usize,
        seed: u64,
    },
    /// Moves the disk's end.
    Resize(usize),
    BackUp,
    /// Backs up and dies at a call to the store.
    DyingBackUp(u64),
    /// Deletes one of the points, if there are any.
    Delete(prop::sample::Index),
    Reopen,
}

const SIZE_MAX: usize = 3_000_000;

fn step() -> impl Strategy<Value = Step> {
    let edit =
        (0..SIZE_MAX, 1usize..300_000, 1u64..1000).prop_map(|(offset, length, seed)| Step::Edit {
            offset,
            length,
            seed,
        });
    prop_oneof![
        4 => edit,
        1 => (0..SIZE_MAX).prop_map(Step::Resize),
        4 => Just(Step::BackUp),
        2 => (1u64..30).prop_map(Step::DyingBackUp),
        1 => any::<prop::sample::Index>().prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

struct Model {
    store: Arc<dyn ObjectStore>,
    repository: Repository,
    disk: Vec<u8>,
    names: u32,
    points: BTreeMap<PointId, Vec<u8>>,
}

impl Model {
    async fn new() -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let options = Options {
            pack_bytes_target: 256 << 10,
            ..Options::default()
        };
        Self {
            repository: init(&store, options).await,
            store,
            disk: image(61, 1_500_000),
            names: 0,
            points: BTreeMap::new(),
        }
    }

    async fn open(&self, store: Arc<dyn ObjectStore>) -> Result<Repository> {
        Repository::open(store, &key(), env()).await
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Edit {
                offset,
                length,
                seed,
            } => {
                let offset = offset.min(self.disk.len());
                let end = (offset + length).min(self.disk.len());
                let new = image(seed, end - offset);
                self.disk[offset..end].copy_from_slice(&new);
            }
            Step::Resize(size) => self.disk.resize(size, 9),
            Step::BackUp => {
                let name = self.next_name();
                let commit = back_up(&self.repository, &name, &self.disk).await.unwrap();
                self.points.insert(commit.point.id, self.disk.clone());
            }
            Step::DyingBackUp(call) => {
                let name = self.next_name();
                let failing = FailingStore::new(Arc::clone(&self.store), Fault::Crash, call);
                if let Ok(repository) = self.open(failing).await
                    && let Ok(commit) = back_up(&repository, &name, &self.disk).await
                {
                    self.points.insert(commit.point.id, self.disk.clone());
                }
            }
            Step::Delete(index) => {
                if !self.points.is_empty() {
                    let id = self.points.keys().nth(index.index(self.points.len()));
                    let id = id.unwrap().clone();
                    self.repository.delete_point(&id).await.unwrap();
                    self.points.remove(&id);
                }
            }
            Step::Reopen => self.repository = self.open(Arc::clone(&self.store)).await.unwrap(),
        }
    }

    fn next_name(&mut self) -> String {
        self.names += 1;
        format!("p{}", self.names)
    }

    async fn check(&self) {
        let report = self.repository.verify(VerifyDepth::ReadData, &|_| ());
        let report = report.await.unwrap();
        assert!(report.is_clean(), "{report:?}");
        let listed = self.repository.list_points().await.unwrap();
        assert_eq!(listed.len(), self.points.len());
        for (id, image) in &self.points {
            let restored = restore(&self.repository, id).await.unwrap();
            assert!(restored == *image, "{id}");
        }
        let ids: Vec<PointId> = self.points.keys().cloned().collect();
        self.repository.occupied(&ids).await.unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_history_restores_what_was_backed_up(steps in prop::collection::vec(step(), 1..14)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut model = Model::new().await;
            for step in steps {
                model.step(step).await;
            }
            model.check().await;
        });
    }
}
