//! Statistics of random histories against forgetting, collecting and looking again.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;
use proptest::prelude::*;

use super::collecting::{TINY_PACKS, open};
use super::support::*;
use crate::*;

#[derive(Debug, Clone)]
enum Step {
    Edit {
        disk: usize,
        offset: usize,
        length: usize,
        seed: u64,
    },
    /// One disk becomes a copy of another one.
    Clone(usize, usize),
    /// Backs a disk up into its own lineage.
    BackUp(usize),
    Forget(prop::sample::Index),
}

const SIZE: usize = 6_000_000;
const DISKS: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let edit = (0..DISKS, 0..SIZE, 1usize..400_000, 1u64..1000).prop_map(
        |(disk, offset, length, seed)| Step::Edit {
            disk,
            offset,
            length,
            seed,
        },
    );
    prop_oneof![
        3 => edit,
        1 => (0..DISKS, 0..DISKS).prop_map(|(from, to)| Step::Clone(from, to)),
        4 => (0..DISKS).prop_map(Step::BackUp),
        1 => any::<prop::sample::Index>().prop_map(Step::Forget),
    ]
}

async fn play(steps: Vec<Step>) -> (Arc<InMemory>, Repository) {
    let memory = Arc::new(InMemory::new());
    let store: Arc<dyn ObjectStore> = Arc::clone(&memory) as _;
    let repository = init(&store, TINY_PACKS).await;
    let mut disks = vec![image(21, SIZE); DISKS];
    let mut points = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Edit {
                disk,
                offset,
                length,
                seed,
            } => {
                let end = (offset + length).min(SIZE);
                let new = image(seed, end - offset);
                disks[disk][offset..end].copy_from_slice(&new);
            }
            Step::Clone(from, to) => disks[to] = disks[from].clone(),
            Step::BackUp(disk) => {
                let name = format!("p{number}");
                points.push(back_up_disk(&repository, &name, disk, &disks[disk]).await);
            }
            Step::Forget(index) if !points.is_empty() => {
                let id = points.swap_remove(index.index(points.len()));
                repository.delete_point(&id).await.unwrap();
            }
            Step::Forget(_) => {}
        }
    }
    (memory, repository)
}

async fn back_up_disk(repository: &Repository, name: &str, disk: usize, image: &[u8]) -> PointId {
    let new = NewPoint {
        lineage: format!("disk {disk}"),
        ..new_point(name, image.len())
    };
    let mut writer = repository.begin_point(new).await.unwrap();
    for portion in image.chunks(1 << 20) {
        let portion = bytes::Bytes::copy_from_slice(portion);
        writer.write(portion).await.unwrap();
    }
    writer.commit().await.unwrap().point.id
}

fn held(content: &Holdings) -> u64 {
    content.stored_bytes + content.node_bytes
}

/// Statistics once only these points are left, and everything else was freed that whole packs are freed for.
async fn left_with(memory: &InMemory, keep: impl Fn(&Point) -> bool) -> Stats {
    let fork: Arc<dyn ObjectStore> = Arc::new(memory.fork());
    let repository = open(&fork).await;
    for point in repository.list_points().await.unwrap() {
        if !keep(&point) {
            repository.delete_point(&point.id).await.unwrap();
        }
    }
    let whole_packs = CollectOptions {
        compact_below_percent: 0,
        ..CollectOptions::default()
    };
    repository.collect(&whole_packs, &|_| ()).await.unwrap();
    repository.stats().await.unwrap()
}

async fn check(memory: &InMemory, repository: &Repository) {
    let stats = repository.stats().await.unwrap();
    let points = repository.list_points().await.unwrap();
    assert_eq!(stats.points, points.len() as u64);
    assert!(stats.damage.is_empty(), "{stats:?}");
    let mut lineages: BTreeMap<&str, u64> = BTreeMap::new();
    for point in &stats.point_stats {
        *lineages.entry(&point.lineage).or_default() += point.referenced_bytes;
        let listed = points.iter().find(|p| p.id == point.id).unwrap();
        assert_eq!(point.referenced_bytes, listed.bytes_scanned);
        let without = left_with(memory, |p| p.id != point.id).await;
        let freed = held(&stats.total) - held(&without.total);
        assert_eq!(point.unique_bytes, freed, "{point:?}");
    }
    for lineage in &stats.lineages {
        let alone = left_with(memory, |p| p.lineage == lineage.lineage).await;
        let own = lineage.content;
        assert_eq!(own.referenced_bytes, lineages[lineage.lineage.as_str()]);
        assert_eq!(own, alone.total, "{}", lineage.lineage);
        assert_eq!(own, alone.lineages[0].content);
    }
    let packs = stats.data_packs.bytes + stats.node_packs.bytes;
    assert!(held(&stats.total) + stats.garbage_bytes <= packs);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]
    #[test]
    fn a_point_frees_what_is_called_its_own(steps in prop::collection::vec(step(), 1..12)) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let (memory, repository) = play(steps).await;
            check(&memory, &repository).await;
        });
    }
}

#[tokio::test]
async fn copies_of_a_disk_cost_nothing_and_are_nobodys_own() {
    let (_, repository) = play(vec![Step::BackUp(0), Step::BackUp(1), Step::BackUp(0)]).await;
    let stats = repository.stats().await.unwrap();
    assert!(stats.point_stats.iter().all(|p| p.unique_bytes == 0));
    let (first, second) = (&stats.lineages[0], &stats.lineages[1]);
    assert_eq!((first.points, second.points), (2, 1));
    assert_eq!(first.content.distinct_bytes, stats.total.distinct_bytes);
    assert_eq!(second.content.stored_bytes, stats.total.stored_bytes);
    let of_two = first.content.dedup_ratio.unwrap() / second.content.dedup_ratio.unwrap();
    assert!((of_two - 2.0).abs() < 1e-9);
    assert_eq!(stats.garbage_bytes, 0);
}

#[tokio::test]
async fn what_nobody_holds_is_garbage() {
    let (_, repository) = play(vec![Step::BackUp(0)]).await;
    let point = repository.list_points().await.unwrap().remove(0);
    repository.delete_point(&point.id).await.unwrap();
    let stats = repository.stats().await.unwrap();
    assert_eq!(
        stats.garbage_bytes,
        stats.data_packs.bytes + stats.node_packs.bytes
    );
    assert_eq!(stats.total, Holdings::default());
}

#[tokio::test]
async fn what_cannot_be_read_is_named_and_left_out() {
    let edit = |seed| Step::Edit {
        disk: 1,
        offset: 1_000_000,
        length: 3_000_000,
        seed,
    };
    let steps = vec![Step::BackUp(0), edit(5), Step::BackUp(1)];
    let (memory, repository) = play(steps).await;
    let whole = repository.stats().await.unwrap();
    for folder in ["packs", "nodes"] {
        // One at a time: below a lost node nobody knows what else is lost.
        let store: Arc<dyn ObjectStore> = Arc::new(memory.fork());
        let lost = super::collecting::objects(&*store, &[folder]).await;
        let lost = &lost[0].0;
        let path = Path::from(lost.as_str());
        object_store::ObjectStoreExt::delete(&*store, &path)
            .await
            .unwrap();
        let stats = open(&store).await.stats().await.unwrap();
        assert_eq!(stats.points, 2);
        assert!(held(&stats.total) < held(&whole.total));
        let named: Vec<&str> = stats.damage.iter().map(|d| d.object.as_str()).collect();
        assert_eq!(named, [lost.as_str()]);
        assert_eq!(stats.damage_count, 1);
    }
}
